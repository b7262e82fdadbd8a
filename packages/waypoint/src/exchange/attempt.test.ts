import { describe, expect, test } from '@jest/globals';
import { HttpError } from '@ambit/http/errors';
import type { ClientExchange, HttpClientConnection, ResponseReceiver } from '@ambit/http/exchange';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import type { AttemptOutcome } from '../decide/retry.ts';
import { DROPPED_ANSWER_BYTES, DROPPED_ANSWER_MS } from '../limits.ts';
import type { UpstreamEndpoint } from '../upstream/endpoint.ts';
import type { UpstreamError } from '../upstream/errors.ts';
import type { PoolWaiter } from '../upstream/http-pool.ts';
import { Attempt, type AttemptHost, type AttemptOptions } from './attempt.ts';
import { RequestBody } from './request-body.ts';

test.each([
  [
    'octets that may not be there',
    new HttpError('protocol', 'illegal-outgoing-field'),
    'request_not_sendable',
  ],
  ['a fault of any kind', new TypeError('x is undefined'), 'request_not_sendable'],
  ['a connection that takes no more', new HttpError('refused', 'gone'), 'remote_refused_stream_reset'],
])('a head that cannot be sent fails its try and nothing else: %s', (_, error, reason) => {
  const failures: [AttemptOutcome['kind'], string][] = [];
  const reports: string[] = [];
  const connection = {
    completedExchanges: 0,
    request: () => {
      throw error;
    },
  } as unknown as HttpClientConnection;
  const endpoint = {
    activeRequests: 0,
    report: (result: string) => reports.push(result),
    http: () => ({ acquire: (waiter: PoolWaiter) => waiter.onConnection(connection) }),
  } as unknown as UpstreamEndpoint;
  const host = {
    onAttemptFailed: (_attempt: Attempt, outcome: AttemptOutcome, problem: UpstreamError) =>
      failures.push([outcome.kind, problem.reason]),
  } as unknown as AttemptHost;
  const attempt = new Attempt({
    host,
    endpoint,
    version: '1.1',
    client: undefined as unknown as AttemptOptions['client'],
    head: { method: 'GET', endsHere: true } as AttemptOptions['head'],
    body: new RequestBody({ credit: () => undefined }, 0),
    clock: new FakeClock(),
    perTryMs: 1_000,
  });
  attempt.start();
  expect(failures.map(([, why]) => why)).toEqual([reason]);
  // No other endpoint could be sent it either.
  expect(failures.map(([kind]) => kind === 'cannot-be-sent')).toEqual([reason === 'request_not_sendable']);
  expect(endpoint.activeRequests).toBe(0);
  // Its head is nothing that an endpoint did.
  expect(reports).toEqual(reason === 'request_not_sendable' ? [] : ['local-origin']);
});

describe('an answer that another try follows', () => {
  /** One that has begun, and that nobody wants. */
  function dropped() {
    const events: string[] = [];
    const clock = new FakeClock();
    let receiver: ResponseReceiver | undefined;
    const exchange = {
      credit: (bytes: number) => events.push(`credit ${bytes}`),
      abort: (reason: string) => events.push(`abort ${reason}`),
    } as unknown as ClientExchange;
    const connection = {
      completedExchanges: 0,
      request: (_: unknown, to: ResponseReceiver) => {
        receiver = to;
        return exchange;
      },
    } as unknown as HttpClientConnection;
    const endpoint = {
      activeRequests: 0,
      report: () => undefined,
      http: () => ({ acquire: (waiter: PoolWaiter) => waiter.onConnection(connection) }),
    } as unknown as UpstreamEndpoint;
    const host = {
      onAttemptResponse: (attempt: Attempt) => attempt.drop(),
      onAttemptData: () => events.push('data'),
      onAttemptEnd: () => events.push('end'),
      onAttemptFailed: () => events.push('failed'),
    } as unknown as AttemptHost;
    new Attempt({
      host,
      endpoint,
      version: '1.1',
      client: undefined as unknown as AttemptOptions['client'],
      head: { method: 'GET', endsHere: true } as AttemptOptions['head'],
      body: new RequestBody({ credit: () => undefined }, 0),
      clock,
      perTryMs: undefined,
    }).start();
    receiver?.onResponse({ status: 503, fields: [] }, false);
    const data = (bytes: number) => receiver?.onData(Buffer.alloc(bytes));
    return { events, clock, endpoint, data, end: () => receiver?.onEnd(undefined), receiver };
  }

  test('is read to its end, so that its connection can be kept, and heard of by nobody', async () => {
    const { events, clock, endpoint, data, end } = dropped();
    data(100);
    data(DROPPED_ANSWER_BYTES - 100);
    end();
    await clock.advance(2 * DROPPED_ANSWER_MS);
    expect(events).toEqual(['credit 100', `credit ${DROPPED_ANSWER_BYTES - 100}`]);
    expect(endpoint.activeRequests).toBe(0);
  });

  test('ends with its connection when it is long', async () => {
    const { events, clock, data } = dropped();
    data(DROPPED_ANSWER_BYTES);
    data(1);
    await clock.advance(2 * DROPPED_ANSWER_MS);
    expect(events).toEqual([`credit ${DROPPED_ANSWER_BYTES}`, 'abort cancelled']);
  });

  test('and when it is slow', async () => {
    const { events, clock, data } = dropped();
    await clock.advance(DROPPED_ANSWER_MS - 1);
    data(1);
    expect(events).toEqual(['credit 1']);
    await clock.advance(1);
    expect(events).toEqual(['credit 1', 'abort cancelled']);
  });

  test('and nothing more is done when its connection breaks first', async () => {
    const { events, clock, receiver } = dropped();
    receiver?.onAbort(new HttpError('closed', 'gone'));
    await clock.advance(2 * DROPPED_ANSWER_MS);
    expect(events).toEqual([]);
  });
});
