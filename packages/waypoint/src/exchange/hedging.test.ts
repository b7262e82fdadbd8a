/** A second try beside one that has no answer: who gets it, whose answer counts, and what a fault of ours ends. */
import { describe, expect, test } from '@jest/globals';
import { messageOf } from '@ambit/core/errors';
import { HttpError } from '@ambit/http/errors';
import type { HttpClientConnection, RequestHead, ResponseReceiver } from '@ambit/http/exchange';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { decideRetry } from '../decide/retry.ts';
import { DEFAULT_RETRY, type RetryPolicy } from '../resources/http-route.ts';
import { Breakers } from '../upstream/breakers.ts';
import { UpstreamEndpoint } from '../upstream/endpoint.ts';
import type { PoolWaiter } from '../upstream/http-pool.ts';
import type { ExchangeContext } from './context.ts';
import { RequestBody } from './request-body.ts';
import { Tries, type TriesHost, type TriesOptions } from './tries.ts';

const AFTER_MS = 100;

interface Given {
  readonly method?: string;
  readonly endsHere?: boolean;
  readonly hedgeAfterMs?: number | undefined;
  /** How many there are. */
  readonly endpoints?: number;
  readonly budget?: { readonly percent: number; readonly minRetryConcurrency: number };
  readonly retry?: Partial<RetryPolicy>;
}

function setup(given: Given = {}) {
  const { method = 'GET', endsHere = true, endpoints: count = 2, budget, retry } = given;
  const hedgeAfterMs = 'hedgeAfterMs' in given ? given.hedgeAfterMs : AFTER_MS;
  const clock = new FakeClock();
  const events: string[] = [];
  const receivers = new Map<string, ResponseReceiver>();
  const endpointNamed = (name: string) => {
    const connection = {
      completedExchanges: 0,
      request: (_: RequestHead, receiver: ResponseReceiver) => {
        events.push(`sent to ${name}`);
        receivers.set(name, receiver);
        const nothing = () => undefined;
        return {
          abort: () => events.push(`${name} given up`),
          credit: nothing,
          write: nothing,
          end: nothing,
        };
      },
    } as unknown as HttpClientConnection;
    const pool = { acquire: (waiter: PoolWaiter) => waiter.onConnection(connection) };
    return new UpstreamEndpoint(
      { workload: undefined, to: { ip: name, port: 80 }, tunnelled: false, identities: [], weight: 1 },
      0,
      { tellsClient: false, makePool: () => pool as never, report: () => undefined },
    );
  };
  const endpoints = ['a', 'b', 'c', 'd'].slice(0, count).map(endpointNamed);
  const breakers = new Breakers({ connections: 9, pendingRequests: 9, requests: 9, retries: 9 });
  const isBroken = { now: false };
  const cluster = {
    breakers,
    counts: { retriesOverBudget: 0 },
    destination: { retryBudget: budget, connectionPool: undefined },
    appProtocol: 'HTTP11',
    pick: ({ avoid }: { avoid: ReadonlySet<UpstreamEndpoint> }) => {
      if (isBroken.now) throw new TypeError('nobody thought of it');
      return endpoints.find((one) => !avoid.has(one)) ?? endpoints[0];
    },
  };
  const host: TriesHost = {
    onTry: () => undefined,
    onSending: () => undefined,
    onInformational: () => undefined,
    onResponse: ({ status }, _, { key }) => events.push(`${status} of ${key}`),
    onResponseData: () => undefined,
    onResponseEnd: () => undefined,
    onNotTriedAgain: (flag) => events.push(`not tried again: ${flag}`),
    onFailed: ({ reason }) => events.push(`failed: ${reason}`),
    onFault: (error) => {
      events.push(`fault: ${messageOf(error)}`);
      tries[Symbol.dispose]();
    },
  };
  const tries = new Tries(
    { clock, random: () => 0, decisions: { decideRetry } } as unknown as ExchangeContext,
    {
      decision: { retry: { ...DEFAULT_RETRY, ...retry }, hedgeAfterMs, timeouts: { perTryMs: undefined } },
      cluster,
      client: undefined,
      address: { ip: '', port: 0 },
      head: { method, endsHere, fields: [], version: '1.1' },
      body: new RequestBody({ credit: () => undefined }, 0),
      hash: undefined,
      preferred: undefined,
    } as unknown as TriesOptions,
    host,
  );
  tries.start();
  const answer = (name: string, status: number) =>
    receivers.get(name)?.onResponse({ status, fields: [] }, true);
  const reset = (name: string) => receivers.get(name)?.onAbort(new HttpError('reset', 'gone'));
  return { clock, events, answer, reset, tries, breakers, isBroken };
}

describe('a request without an answer', () => {
  test('goes to another endpoint as well, and the first answer counts', async () => {
    const { clock, events, answer, tries, breakers } = setup();
    await clock.advance(AFTER_MS - 1);
    expect(events).toEqual(['sent to a']);
    await clock.advance(1);
    expect([events, breakers.used('retries'), breakers.retries]).toEqual([['sent to a', 'sent to b'], 1, 1]);
    answer('b', 200);
    expect(events.slice(2)).toEqual(['a given up', '200 of b:80']);
    answer('a', 200);
    await clock.advance(10 * AFTER_MS);
    tries[Symbol.dispose]();
    expect([events.length, breakers.used('retries'), breakers.used('requests'), tries.count]).toEqual([
      4, 0, 0, 2,
    ]);
  });

  test('whichever it is of', async () => {
    const { clock, events, answer } = setup();
    await clock.advance(AFTER_MS);
    answer('a', 404);
    expect(events.slice(2)).toEqual(['b given up', '404 of a:80']);
  });

  test('an error, or no answer at all, leaves it to the other', async () => {
    const { clock, events, answer } = setup();
    await clock.advance(AFTER_MS);
    answer('b', 503);
    expect(events.slice(2)).toEqual([]);
    answer('a', 200);
    expect(events.slice(2)).toEqual(['200 of a:80']);
    const broken = setup();
    await broken.clock.advance(AFTER_MS);
    broken.reset('a');
    broken.answer('b', 200);
    expect(broken.events.slice(2)).toEqual(['200 of b:80']);
  });

  test('when both fail, the second failure is the request’s', async () => {
    const { clock, events, answer, reset } = setup();
    await clock.advance(AFTER_MS);
    reset('a');
    answer('b', 500);
    expect(events.slice(2)).toEqual(['500 of b:80']);
  });

  test('given up, both are', async () => {
    const { clock, events, tries, breakers } = setup();
    await clock.advance(AFTER_MS);
    tries[Symbol.dispose]();
    expect([events.slice(2), breakers.used('retries')]).toEqual([['a given up', 'b given up'], 0]);
  });
});

test('an answer that would be tried again, were not too much, is told of as one', () => {
  const retry = { attempts: 2, retryOn: new Set(['5xx'] as const), backoffMs: 0 };
  const { events, answer } = setup({ retry, budget: { percent: 0, minRetryConcurrency: 0 } });
  answer('a', 503);
  expect(events).toEqual(['sent to a', 'not tried again: UO', '503 of a:80']);
});

describe('a second try', () => {
  const retry = { attempts: 2, retryOn: new Set(['5xx'] as const), backoffMs: 0, ignorePreviousHosts: false };

  test('goes to none that was tried, however many were', async () => {
    const { clock, events, answer } = setup({ endpoints: 4, retry: { ...retry, ignorePreviousHosts: true } });
    answer('a', 503);
    await clock.advance(0);
    answer('b', 503);
    await clock.advance(0);
    await clock.advance(AFTER_MS);
    expect(events).toEqual(['sent to a', 'sent to b', 'sent to c', 'sent to d']);
  });

  test('is not made where all were tried', async () => {
    const { clock, events, answer } = setup({ endpoints: 2, retry: { ...retry, ignorePreviousHosts: true } });
    answer('a', 503);
    await clock.advance(0);
    await clock.advance(AFTER_MS);
    expect(events).toEqual(['sent to a', 'sent to b']);
  });

  test.each([true, false])('leaves what was tried to further tries as they are: %s', async (avoids) => {
    const { clock, events, answer, reset } = setup({
      endpoints: 3,
      retry: { ...retry, ignorePreviousHosts: avoids },
    });
    await clock.advance(AFTER_MS);
    reset('a');
    answer('b', 503);
    await clock.advance(0);
    expect(events).toEqual(['sent to a', 'sent to b', avoids ? 'sent to c' : 'sent to a']);
  });
});

describe('a fault of ours', () => {
  test('in a second try ends the request, and gives its places back', async () => {
    const { clock, events, isBroken, breakers } = setup();
    isBroken.now = true;
    await clock.advance(AFTER_MS);
    expect([events, breakers.used('requests'), breakers.used('retries')]).toEqual([
      ['sent to a', 'fault: nobody thought of it', 'a given up'],
      0,
      0,
    ]);
  });

  test('in a further try does, too', async () => {
    const { clock, events, answer, isBroken, breakers } = setup({
      hedgeAfterMs: undefined,
      retry: { attempts: 2, retryOn: new Set(['5xx'] as const), backoffMs: 0 },
    });
    answer('a', 503);
    isBroken.now = true;
    await clock.advance(0);
    expect([events, breakers.used('requests'), breakers.used('retries')]).toEqual([
      ['sent to a', 'fault: nobody thought of it'],
      0,
      0,
    ]);
  });
});

test.each<[string, Given]>([
  ['one that may not be done twice', { method: 'POST' }],
  ['one with a body', { method: 'PUT', endsHere: false }],
  ['where no other endpoint is', { endpoints: 1 }],
  ['where the budget has no room', { budget: { percent: 0, minRetryConcurrency: 0 } }],
  ['where nobody asked for it', { hedgeAfterMs: undefined }],
])('goes to one endpoint: %s', async (_, given) => {
  const { clock, events } = setup(given);
  await clock.advance(10 * AFTER_MS);
  expect(events).toEqual(['sent to a']);
});

test('one that was answered, or waits for its next try, gets no second one', async () => {
  const answered = setup();
  answered.answer('a', 200);
  await answered.clock.advance(AFTER_MS);
  expect(answered.events).toEqual(['sent to a', '200 of a:80']);
});
