import { expect, test } from '@jest/globals';
import { QueueBudget } from '@ambit/hbone/queue-budget';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { MIRROR_TIMEOUT_MS, MIRRORS_AT_A_TIME } from '../limits.ts';
import { Breakers } from '../upstream/breakers.ts';
import type { Cluster } from '../upstream/cluster.ts';
import type { ExchangeContext } from './context.ts';
import type { Downstream } from './downstream.ts';
import { startMirror } from './mirror.ts';

/** Copies that no endpoint ever takes. */
function silentDestination() {
  const clock = new FakeClock();
  const budget = new QueueBudget(100_000);
  const waiting = new Set<object>();
  const endpoint = {
    activeRequests: 0,
    report: () => undefined,
    http: () => ({
      acquire: (waiter: object) => {
        waiting.add(waiter);
        return { [Symbol.dispose]: () => waiting.delete(waiter) };
      },
    }),
  };
  const all = 1_000;
  const cluster = {
    mirrors: 0,
    breakers: new Breakers({ connections: all, pendingRequests: all, requests: all, retries: all }),
    destination: {},
    pick: () => endpoint,
  } as unknown as Cluster;
  const context = { clock, budget, upstreams: { clusterFor: () => cluster } } as unknown as ExchangeContext;
  const head = {
    method: 'POST',
    scheme: 'http' as const,
    authority: 'a',
    path: '/',
    version: '1.1' as const,
    fields: [],
    upgrade: undefined,
    expectsContinue: false,
    endsHere: false,
  };
  const downstream = { connection: {}, destination: {} } as unknown as Downstream;
  const backend = { to: { service: 'shop/shadow' as never, port: 80 }, subset: '' };
  const mirror = (timeoutMs?: number) =>
    startMirror(context, downstream, backend, {
      head,
      sent: { authority: 'a', path: '/', fields: [] },
      timeoutMs,
    });
  return { clock, budget, waiting, endpoint, cluster, mirror };
}

test('a copy that is never answered is given up, after what its route gives requests or a time of its own', async () => {
  const { clock, budget, waiting, endpoint, cluster, mirror } = silentDestination();
  mirror(1_000);
  mirror()?.onRequestData(Buffer.alloc(1_000));
  expect([waiting.size, endpoint.activeRequests, cluster.mirrors]).toEqual([2, 2, 2]);
  expect(budget.usedBytes).toBeGreaterThanOrEqual(1_000);
  await clock.advance(1_000);
  expect(waiting.size).toBe(1);
  await clock.advance(MIRROR_TIMEOUT_MS);
  expect([waiting.size, endpoint.activeRequests, cluster.mirrors]).toEqual([0, 0, 0]);
  expect([cluster.breakers.used('requests'), budget.usedBytes]).toEqual([0, 0]);
});

test('copies beyond a bound are not made, and there is room again when one ends', () => {
  const { waiting, cluster, mirror } = silentDestination();
  const first = mirror();
  for (let i = 0; i < 2 * MIRRORS_AT_A_TIME; i++) mirror()?.onRequestData(Buffer.alloc(1));
  expect(waiting.size).toBe(MIRRORS_AT_A_TIME);
  first?.giveUp();
  mirror();
  expect([waiting.size, cluster.mirrors]).toEqual([MIRRORS_AT_A_TIME, MIRRORS_AT_A_TIME]);
});

test('a copy is given up when memory is short', () => {
  const { budget, waiting, mirror } = silentDestination();
  mirror()?.onRequestData(Buffer.alloc(90_000));
  mirror()?.onRequestData(Buffer.alloc(50_000));
  expect(waiting.size).toBe(1);
  expect(budget.usedBytes).toBeLessThan(100_000);
});
