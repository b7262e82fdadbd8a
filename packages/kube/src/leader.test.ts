import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Clock, systemClock } from '@ambit/core/clock';
import { AccessSource } from './access.ts';
import { KubeClient } from './client.ts';
import { LeaderElection } from './leader.ts';
import type { Lease } from './resources/coordination.ts';
import { FakeApiServer } from './testing/fake-api-server.ts';

const LEASES = '/apis/coordination.k8s.io/v1/leases';
/** Time runs a hundred times as fast. */
const fast: Clock = {
  ...systemClock,
  monotonicMs: () => systemClock.monotonicMs() * 100,
  sleep: (ms, signal) => systemClock.sleep(ms / 100, signal),
};

let api: FakeApiServer;
let client: KubeClient;
let stack: AsyncDisposableStack;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  api = stack.use(new FakeApiServer());
  const access = { server: new URL(await api.start()), tls: {}, headers: {}, namespace: '' };
  client = stack.use(new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock)));
});
afterEach(() => stack.disposeAsync());

async function eventually(what: () => boolean): Promise<void> {
  const endMs = performance.now() + 15_000;
  while (!what()) {
    if (performance.now() > endMs) throw new Error(`never came true: ${what.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const stand = (identity: string) =>
  stack.use(
    new LeaderElection({ client, namespace: 'ns', name: 'l', identity, clock: fast, random: () => 0.5 }),
  );
const lease = () => api.find(LEASES, 'ns', 'l') as Lease | undefined;

describe('LeaderElection', () => {
  test('one leads, and the next when it gives the lease back', async () => {
    const first = stand('a');
    await eventually(() => first.leads.value);
    const second = stand('b');
    await systemClock.sleep(400);
    expect([first.leads.value, second.leads.value]).toEqual([true, false]);
    await first[Symbol.asyncDispose]();
    expect(first.leads.value).toBe(false);
    await eventually(() => second.leads.value);
    expect(lease()?.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
  });

  test('a holder that is gone is waited for, and then replaced', async () => {
    const metadata = { namespace: 'ns', name: 'l' };
    api.put(LEASES, { metadata, spec: { holderIdentity: 'gone', leaseDurationSeconds: 30 } } as Lease);
    const startedMs = fast.monotonicMs();
    const leader = stand('a');
    await eventually(() => leader.leads.value);
    expect(fast.monotonicMs() - startedMs).toBeGreaterThan(30_000);
  });

  test('who cannot renew stops leading in time', async () => {
    const leader = stand('a');
    await eventually(() => leader.leads.value);
    api.intercept = () => ({ status: 503, body: {} });
    await eventually(() => !leader.leads.value);
    api.intercept = undefined;
    await eventually(() => leader.leads.value);
  });

  test('an answer that comes late does not make a lease last longer', async () => {
    const clock: Clock = {
      ...systemClock,
      monotonicMs: () => systemClock.monotonicMs() * 20,
      sleep: (ms, signal) => systemClock.sleep(ms / 20, signal),
      after: (ms, run) => systemClock.after(ms / 20, run),
    };
    let writtenMs: number | undefined;
    const hanging = (signal: AbortSignal | undefined) =>
      new Promise<never>((_, reject) =>
        signal?.addEventListener('abort', () => reject(signal.reason as Error)),
      );
    const slow: Pick<KubeClient, 'find' | 'create' | 'replace'> = {
      find: async (_resource, _name, signal) => (writtenMs === undefined ? undefined : hanging(signal)),
      create: async (_resource, object) => {
        writtenMs = clock.monotonicMs();
        await clock.sleep(4_000);
        return object;
      },
      replace: (_resource, _object, _options, signal) => hanging(signal),
    };
    const leader = stack.use(
      new LeaderElection({
        client: slow,
        namespace: 'ns',
        name: 'l',
        identity: 'a',
        clock,
        random: () => 0.5,
      }),
    );
    await eventually(() => leader.leads.value);
    await eventually(() => !leader.leads.value);
    // Others wait 30 s from when it was written, and the first failure after 15 s must be the last.
    expect(clock.monotonicMs() - (writtenMs ?? 0)).toBeLessThan(25_000);
  });

  test('who loses the lease to another stops at once', async () => {
    const leader = stand('a');
    await eventually(() => leader.leads.value);
    api.put(LEASES, {
      ...lease(),
      metadata: { namespace: 'ns', name: 'l' },
      spec: { holderIdentity: 'thief', leaseDurationSeconds: 30 },
    } as Lease);
    await eventually(() => !leader.leads.value);
  });
});
