import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { until } from '@ambit/core/watch';
import { AccessSource } from './access.ts';
import { KubeClient } from './client.ts';
import { LeaderElection, type LeaderOptions } from './leader.ts';
import {
  LEASE_DURATION_MS,
  LEASE_RENEW_DEADLINE_MS,
  LEASE_REQUEST_TIMEOUT_MS,
  LEASE_RETRY_MS,
} from './limits.ts';
import type { Lease } from './resources/coordination.ts';
import { FakeApiServer } from './testing/fake-api-server.ts';
import { MemoryLease } from './testing/memory-lease.ts';

/** Between two tries, at most. */
const TRY_MS = LEASE_RETRY_MS * 1.5;

let clock: FakeClock;
let stored: MemoryLease;
let stack: AsyncDisposableStack;

beforeEach(() => {
  stack = new AsyncDisposableStack();
  clock = new FakeClock();
  stored = new MemoryLease();
});
afterEach(() => stack.disposeAsync());

const stand = (identity: string, client: LeaderOptions['client'] = stored.client) =>
  stack.use(new LeaderElection({ client, namespace: 'ns', name: 'l', identity, clock, random: () => 0.5 }));

/** In steps, so that what is asked for in between is asked at its time; the time at which it came true. */
async function passes(what: () => boolean, atMostMs: number): Promise<number> {
  const startedMs = clock.monotonicMs();
  while (!what()) {
    if (clock.monotonicMs() - startedMs > atMostMs) throw new Error(`never came true: ${what.toString()}`);
    await clock.advance(100);
  }
  return clock.monotonicMs() - startedMs;
}

describe('LeaderElection', () => {
  test('one leads, and the next when it gives the lease back', async () => {
    const first = stand('a');
    await clock.advance(0);
    expect(first.leads.value).toBe(true);
    const second = stand('b');
    await clock.advance(10 * LEASE_DURATION_MS);
    expect([first.leads.value, second.leads.value]).toEqual([true, false]);
    await first[Symbol.asyncDispose]();
    expect(first.leads.value).toBe(false);
    await passes(() => second.leads.value, TRY_MS);
    expect(stored.lease?.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
  });

  test('of several that stand at once one leads', async () => {
    const all = ['a', 'b', 'c'].map((identity) => stand(identity));
    await clock.advance(10 * LEASE_DURATION_MS);
    expect(all.filter(({ leads }) => leads.value)).toHaveLength(1);
  });

  test('a holder that is gone is waited for, and then replaced', async () => {
    stored.put({ holderIdentity: 'gone', leaseDurationSeconds: LEASE_DURATION_MS / 1_000 });
    const leader = stand('a');
    const waitedMs = await passes(() => leader.leads.value, LEASE_DURATION_MS + TRY_MS);
    expect(waitedMs).toBeGreaterThan(LEASE_DURATION_MS);
  });

  test('who cannot renew stops leading in time', async () => {
    const leader = stand('a');
    await clock.advance(0);
    stored.problem = new Error('no');
    await clock.advance(LEASE_RENEW_DEADLINE_MS - TRY_MS);
    expect(leader.leads.value).toBe(true);
    await passes(() => !leader.leads.value, LEASE_RENEW_DEADLINE_MS + TRY_MS);
    stored.problem = undefined;
    await passes(() => leader.leads.value, TRY_MS);
  });

  test('an answer that comes late does not make a lease last longer', async () => {
    let writtenMs: number | undefined;
    const hanging = (signal: AbortSignal | undefined) =>
      new Promise<never>((_, reject) =>
        signal?.addEventListener('abort', () => reject(signal.reason as Error)),
      );
    const leader = stand('a', {
      find: async (_resource, _name, signal) => (writtenMs === undefined ? undefined : hanging(signal)),
      create: async (_resource, object) => {
        writtenMs = clock.monotonicMs();
        await clock.sleep(4_000);
        return object;
      },
      replace: (_resource, _object, _options, signal) => hanging(signal),
    });
    await passes(() => leader.leads.value, 5_000);
    await passes(() => !leader.leads.value, LEASE_DURATION_MS);
    // Others wait 30 s from when it was written, and the first failure after 15 s must be the last.
    expect(clock.monotonicMs() - (writtenMs ?? 0)).toBeLessThan(25_000);
    const stopped = leader[Symbol.asyncDispose]();
    await clock.advance(LEASE_REQUEST_TIMEOUT_MS);
    await stopped;
  });

  test('who loses the lease to another stops at once', async () => {
    const leader = stand('a');
    await clock.advance(0);
    stored.put({ holderIdentity: 'thief', leaseDurationSeconds: 30 });
    await passes(() => !leader.leads.value, TRY_MS);
  });

  describe('a stop', () => {
    /** Ends as the transport does: with the signal, whatever the server has done by then. */
    const answerIn = (ms: number, signal: AbortSignal | undefined) => clock.sleep(ms, signal);

    test.each(['written at once', 'written at last'])(
      'while the lease is on its way to us gives it back: %s',
      async (when) => {
        stored.put({ holderIdentity: '' });
        const first = stand('a', {
          ...stored.client,
          replace: async (resource, object, options, signal) => {
            if (when === 'written at last') await answerIn(1_000, signal);
            const answer = await stored.client.replace(resource, object, options, signal);
            if (when === 'written at once') await answerIn(1_000, signal);
            return answer;
          },
        });
        await clock.advance(500);
        const stopped = first[Symbol.asyncDispose]();
        const seen: boolean[] = [];
        first.leads.subscribe(() => seen.push(first.leads.value));
        await clock.advance(2_000);
        await stopped;
        expect(stored.lease?.spec).toMatchObject({ holderIdentity: '' });
        expect(seen).not.toContain(true);
        const second = stand('b');
        await clock.advance(0);
        expect(second.leads.value).toBe(true);
      },
    );

    test('gives back what was written and never answered', async () => {
      let isHanging = true;
      const first = stand('a', {
        ...stored.client,
        create: async (resource, object, options, signal) => {
          const answer = await stored.client.create(resource, object, options, signal);
          if (isHanging) await answerIn(60_000, signal);
          return answer;
        },
      });
      await clock.advance(500);
      isHanging = false;
      const stopped = first[Symbol.asyncDispose]();
      await clock.advance(LEASE_REQUEST_TIMEOUT_MS);
      await stopped;
      expect(stored.lease?.spec?.holderIdentity).toBe('');
    });

    test('gives back what could not be renewed in time', async () => {
      const leader = stand('a');
      await clock.advance(0);
      stored.problem = new Error('no');
      await passes(() => !leader.leads.value, LEASE_RENEW_DEADLINE_MS + TRY_MS);
      stored.problem = undefined;
      expect(stored.lease?.spec?.holderIdentity).toBe('a');
      await leader[Symbol.asyncDispose]();
      expect(stored.lease?.spec?.holderIdentity).toBe('');
    });

    test('waits for no answer to who holds it, and leaves the lease of another alone', async () => {
      const lease = stored.put({ holderIdentity: 'other', leaseDurationSeconds: 30 });
      const waiting = stand('a', {
        ...stored.client,
        find: async (resource, at, signal) => {
          const answer = await stored.client.find(resource, at, signal);
          await answerIn(4_000, signal);
          return answer;
        },
      });
      await clock.advance(500);
      await waiting[Symbol.asyncDispose]();
      expect(stored.lease).toEqual(lease);
    });
  });

  test('the lease is an object of the API', async () => {
    const api = stack.use(new FakeApiServer());
    const access = { server: new URL(await api.start()), tls: {}, headers: {}, namespace: '' };
    const client = stack.use(new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock)));
    const holder = () =>
      (api.find('/apis/coordination.k8s.io/v1/leases', 'ns', 'l') as Lease | undefined)?.spec?.holderIdentity;
    const options = { client, namespace: 'ns', name: 'l', clock: systemClock, random: systemRandom };
    const first = new LeaderElection({ ...options, identity: 'a' });
    const signal = AbortSignal.timeout(120_000);
    await until(first.leads, (leads) => leads, signal);
    expect(holder()).toBe('a');
    await first[Symbol.asyncDispose]();
    expect(holder()).toBe('');
    await using second = new LeaderElection({ ...options, identity: 'b' });
    await until(second.leads, (leads) => leads, signal);
    expect(holder()).toBe('b');
  });
});
