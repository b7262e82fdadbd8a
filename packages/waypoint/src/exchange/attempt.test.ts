import { expect, test } from '@jest/globals';
import { HttpError } from '@ambit/http/errors';
import type { HttpClientConnection } from '@ambit/http/exchange';
import { FakeClock } from '@ambit/identity/testing/fake-clock';
import type { AttemptOutcome } from '../decide/retry.ts';
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
