import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Clock, systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import type { Lease } from '@ambit/kube/resources/coordination';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';
import { Leadership } from './leadership.ts';

const LEASES = '/apis/coordination.k8s.io/v1/leases';
/** Time runs fifty times as fast. */
const fast: Clock = {
  ...systemClock,
  monotonicMs: () => systemClock.monotonicMs() * 50,
  sleep: (ms, signal) => systemClock.sleep(ms / 50, signal),
  after: (ms, run) => systemClock.after(ms / 50, run),
};

let scope: AsyncDisposableStack;
let api: FakeApiServer;
let client: KubeClient;
let log: string[];

beforeEach(async () => {
  scope = new AsyncDisposableStack();
  api = scope.use(new FakeApiServer());
  const access = { server: new URL(await api.start()), tls: {}, headers: {}, namespace: '' };
  client = scope.use(new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock)));
  log = [];
});
afterEach(() => scope.disposeAsync());

const stand = (identity: string) =>
  scope.use(
    new Leadership({
      client,
      namespace: 'ns',
      name: 'l',
      identity,
      clock: fast,
      random: () => 0.5,
      log: silentLogger,
    }),
  );
const work =
  (name: string, endsAfterMs = 0) =>
  (own: AsyncDisposableStack) => {
    log.push(`${name} starts`);
    own.defer(async () => {
      await systemClock.sleep(endsAfterMs);
      log.push(`${name} ended, lease of ${holder()}`);
    });
  };
const holder = () => (api.find(LEASES, 'ns', 'l') as Lease | undefined)?.spec?.holderIdentity;

async function eventually(what: () => boolean): Promise<void> {
  const endMs = performance.now() + 15_000;
  while (!what()) {
    if (performance.now() > endMs) throw new Error(`never came true: ${what.toString()} of ${log.join()}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

describe('Leadership', () => {
  test('all work of a lease runs at one replica; on a stop it ends, then the lease is given back', async () => {
    const first = stand('a');
    first.whileLeading(work('a1', 20));
    await eventually(() => log.length === 1);
    first.whileLeading(work('a2'));
    await eventually(() => log.length === 2);
    const second = stand('b');
    second.whileLeading(work('b'));
    await systemClock.sleep(400);
    expect(log).toEqual(['a1 starts', 'a2 starts']);
    await first[Symbol.asyncDispose]();
    expect(log.slice(2)).toEqual(['a2 ended, lease of a', 'a1 ended, lease of a']);
    expect(holder()).not.toBe('a');
    await eventually(() => log.length === 5);
    expect(log[4]).toBe('b starts');
  });

  test('who loses the lease stops its work, and starts it again with the lease', async () => {
    stand('a').whileLeading(work('a'));
    await eventually(() => log.length === 1);
    const taken = api.find(LEASES, 'ns', 'l') as Lease;
    api.put(LEASES, { ...taken, spec: { holderIdentity: 'thief', leaseDurationSeconds: 30 } } as Lease);
    await eventually(() => log.length === 2);
    expect(log[1]).toBe('a ended, lease of thief');
    api.put(LEASES, { ...taken, spec: { holderIdentity: '' } } as Lease);
    await eventually(() => log.length === 3);
  });

  test('work that is ended by itself stays ended; work that fails to start harms no other', async () => {
    const leadership = stand('a');
    leadership.whileLeading(() => {
      throw new Error('no');
    });
    const ended = leadership.whileLeading(work('a'));
    leadership.whileLeading(work('b'));
    await eventually(() => log.length === 2);
    await ended[Symbol.asyncDispose]();
    await leadership[Symbol.asyncDispose]();
    expect(log.slice(2)).toEqual(['a ended, lease of a', 'b ended, lease of a']);
  });

  test('work that cannot be started ends what it had begun, and is tried again while the lease is held', async () => {
    const leadership = stand('a');
    let failures = 0;
    leadership.whileLeading((own) => {
      work('half')(own);
      failures += 1;
      if (failures <= 3) throw new Error('not yet');
      log.push('whole');
    });
    await eventually(() => log.includes('whole'));
    const [starts, ends] = ['half starts', 'half ended, lease of a'];
    expect(log).toEqual([starts, ends, starts, ends, starts, ends, starts, 'whole']);
    await leadership[Symbol.asyncDispose]();
    expect(log.slice(8)).toEqual([ends]);
  });

  test('work that cannot be started is not tried any more once the lease is gone', async () => {
    const leadership = stand('a');
    let starts = 0;
    leadership.whileLeading(() => {
      starts += 1;
      throw new Error('never');
    });
    await eventually(() => starts > 1);
    await leadership[Symbol.asyncDispose]();
    const before = starts;
    await systemClock.sleep(100);
    expect(starts).toBe(before);
  });
});
