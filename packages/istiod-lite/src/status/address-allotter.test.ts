import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { derivedValues } from '@ambit/collections/derived';
import { IndexCollection } from '@ambit/collections/index-by';
import { Scheduler } from '@ambit/collections/scheduler';
import { systemClock } from '@ambit/core/clock';
import { parseCidr } from '@ambit/core/ip';
import { silentLogger } from '@ambit/core/log';
import { until } from '@ambit/core/watch';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import { type ServiceEntry, serviceEntries } from '@ambit/kube/resources/networking';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import { watchCollection } from '@ambit/kube/watch-collection';
import { claimedAddresses } from '../decide/allotment.ts';
import { checkedEntry } from '../translate/service-entry.ts';
import { AddressAllotter } from './address-allotter.ts';

const ENTRIES = '/apis/networking.istio.io/v1/serviceentries';

let scope: AsyncDisposableStack;
let api: FakeApiServer;
let client: KubeClient;

beforeEach(async () => {
  scope = new AsyncDisposableStack();
  api = scope.use(new FakeApiServer());
  const access = { server: new URL(await api.start()), tls: {}, headers: {}, namespace: '' };
  client = scope.use(new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock)));
});
afterEach(() => scope.disposeAsync());

async function start(block = '240.240.0.0/16'): Promise<AddressAllotter> {
  const scheduler = new Scheduler({ onError: (_, __, error) => expect(error).toBeUndefined() });
  const common = { client, clock: systemClock, random: () => 0.5, log: silentLogger };
  const entries = scope.use(watchCollection(client, serviceEntries, common));
  const checked = derivedValues({
    name: 'checked',
    scheduler,
    from: entries,
    compute: (entry) => checkedEntry(entry),
  });
  const claims = new IndexCollection({ name: 'claims', scheduler, from: checked, keysOf: claimedAddresses });
  await until(claims.synced, Boolean, AbortSignal.timeout(120_000));
  const [ipv4Block, ipv6Block] = [parseCidr(block), parseCidr('2001:2::/48')];
  if (!ipv4Block || !ipv6Block) throw new Error('no blocks');
  return scope.use(
    new AddressAllotter({
      ...common,
      settings: { ipAutoallocate: true },
      ipv4Block,
      ipv6Block,
      entries,
      checked,
      claims,
    }),
  );
}

function put(name: string, spec: ServiceEntry['spec'], status?: ServiceEntry['status']): void {
  const metadata = { namespace: 'shop', name };
  api.put(ENTRIES, { metadata, ...(spec && { spec }), ...(status && { status }) } as ServiceEntry);
}
const found = (name: string) => api.find(ENTRIES, 'shop', name) as ServiceEntry | undefined;
const listed = (name: string) => found(name)?.status?.addresses?.map(({ value }) => value);
const writes = () => api.requests.filter((line) => line.startsWith('PATCH')).length;
const quiet = () => api.quiet();

async function eventually(what: () => boolean): Promise<void> {
  // Turns and not time: after a stall there are as many left for what has waited for them.
  for (let turn = 0; turn < 10_000; turn += 1) {
    if (what()) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  throw new Error(`never came true: ${what.toString()}`);
}

const dns = (host: string) => ({ hosts: [host], resolution: 'DNS' }) as const;

describe('AddressAllotter', () => {
  test('allots once, beside what others wrote; clears what is not wanted any more, and does not reuse it', async () => {
    put('x', dns('x.com'), { conditions: [{ type: 'Theirs', status: 'True' }] });
    await start();
    await eventually(() => listed('x')?.length === 2);
    expect(listed('x')).toEqual(['240.240.0.1', '2001:2::1']);
    expect(found('x')?.status?.conditions).toHaveLength(1);
    await quiet();
    expect(writes()).toBe(1);
    expect(api.requests.find((line) => line.startsWith('PATCH'))).toBe(
      'PATCH /apis/networking.istio.io/v1/namespaces/shop/serviceentries/x/status',
    );
    put('x', { ...dns('x.com'), addresses: ['192.0.2.1'] }, found('x')?.status);
    await eventually(() => listed('x')?.length === 0);
    put('y', dns('y.com'));
    await eventually(() => listed('y')?.length === 2);
    expect(listed('y')).toEqual(['240.240.0.2', '2001:2::2']);
  });

  test('goes on where another replica stopped', async () => {
    put('x', dns('x.com'), { addresses: [{ host: 'x.com', value: '240.240.0.1' }] });
    put('y', dns('y.com'));
    await start();
    await eventually(() => listed('y')?.length === 2);
    expect(listed('y')).toEqual(['240.240.0.2', '2001:2::1']);
    expect(listed('x')).toEqual(['240.240.0.1']);
  });

  test('moves the younger of two, and whoever has what somebody names', async () => {
    put('x', dns('x.com'), { addresses: [{ host: 'x.com', value: '240.240.0.1' }] });
    put('y', dns('y.com'), { addresses: [{ host: 'y.com', value: '240.240.0.1' }] });
    await start();
    await eventually(() => listed('y')?.[0] === '240.240.0.2');
    expect(listed('x')).toEqual(['240.240.0.1']);
    put('z', { hosts: ['z.com'], addresses: ['240.240.0.1'] });
    await eventually(() => listed('x')?.[0] === '240.240.0.3');
  });

  test('a status that changed meanwhile: decided again, and no address is lost', async () => {
    put('x', dns('x.com'));
    let refusals = 0;
    api.intercept = (method) =>
      method === 'PATCH' && ++refusals <= 2 ? { status: 422, body: { reason: 'Invalid' } } : undefined;
    await start();
    await eventually(() => listed('x')?.length === 2);
    expect(listed('x')).toEqual(['240.240.0.1', '2001:2::1']);
    expect(refusals).toBe(3);
  });

  test('an entry that has gone meanwhile is let go', async () => {
    await start();
    put('x', dns('x.com'));
    api.intercept = (method) =>
      method === 'PATCH' ? { status: 404, body: { reason: 'NotFound' } } : undefined;
    await eventually(() => writes() === 1);
    await quiet();
    expect(writes()).toBe(1);
  });

  test('what becomes free in a full block is handed out, also if nobody saw that it was taken', async () => {
    put('x', dns('x.com'));
    await start('240.240.0.0/31');
    await eventually(() => listed('x')?.length === 2);
    put('y', dns('y.com'));
    await eventually(() => listed('y')?.length === 1);
    for (const name of ['a', 'b', 'c']) {
      api.remove(ENTRIES, 'shop', name === 'a' ? 'x' : String.fromCharCode(name.charCodeAt(0) - 1));
      put(name, dns(`${name}.com`));
      await eventually(() => listed(name)?.length === 2);
      expect(listed(name)?.[0]).toBe('240.240.0.1');
    }
  });

  test('many at once: no address twice', async () => {
    for (let i = 0; i < 60; i++) put(`e${i}`, dns(`e${i}.com`));
    await start();
    await eventually(() =>
      Array.from({ length: 60 }, (_, i) => listed(`e${i}`)?.length).every((n) => n === 2),
    );
    const all = Array.from({ length: 60 }, (_, i) => listed(`e${i}`) ?? []).flat();
    expect(new Set(all).size).toBe(120);
  });
});
