import { describe, expect, test } from '@jest/globals';
import type { RetryWord } from '@ambit/api/waypoint';
import { DEFAULT_RETRY, type RetryPolicy } from '../resources/http-route.ts';
import { type AttemptOutcome, type AttemptResult, decideRetry, type RetryLoad } from './retry.ts';

const IDLE: RetryLoad = { activeRequests: 1, activeRetries: 0, retriesLastSecond: 0 };

function policy(words: readonly RetryWord[] | undefined, parts: Partial<RetryPolicy> = {}): RetryPolicy {
  return { ...DEFAULT_RETRY, ...(words ? { retryOn: new Set(words) } : {}), ...parts };
}

function decide(
  with_: RetryPolicy,
  outcome: AttemptOutcome,
  result: Partial<AttemptResult> = {},
  load: RetryLoad = IDLE,
): string {
  const attempt = { method: 'GET', tries: 1, bodyLost: false, ...result, outcome };
  const decision = decideRetry(with_, attempt, load, undefined, () => 0.5);
  return decision.kind === 'retry' ? 'retry' : decision.reason;
}

const answered = (status: number, fields: readonly string[] = []): AttemptOutcome => ({
  kind: 'response',
  status,
  fields,
});
const reset = (sent: boolean, onKeptConnection = false): AttemptOutcome => ({
  kind: 'reset',
  sent,
  onKeptConnection,
});
const REFUSED: AttemptOutcome = { kind: 'refused' };
const NO_CONNECTION: AttemptOutcome = { kind: 'connect-failure' };
const TIMEOUT: AttemptOutcome = { kind: 'try-timeout' };

describe('what is tried again', () => {
  const cases: Record<
    string,
    [words: readonly RetryWord[] | undefined, outcome: AttemptOutcome, want: string, method?: string]
  > = {
    'by default: no connection': [undefined, NO_CONNECTION, 'retry'],
    'by default: no connection, whatever the method': [undefined, NO_CONNECTION, 'retry', 'POST'],
    'by default: a refused stream': [undefined, REFUSED, 'retry', 'POST'],
    'by default: gRPC unavailable': [undefined, answered(200, ['grpc-status', '14']), 'retry', 'POST'],
    'by default: gRPC cancelled': [undefined, answered(200, ['grpc-status', '1']), 'retry', 'POST'],
    'by default: not another status of gRPC': [
      undefined,
      answered(200, ['grpc-status', '13']),
      'not-retriable',
    ],
    'by default: not a 503': [undefined, answered(503), 'not-retriable'],
    'by default: not a timeout': [undefined, TIMEOUT, 'not-retriable'],
    'by default: a reset before anything was sent': [undefined, reset(false), 'retry', 'POST'],
    'by default: not a reset of a new connection, the request may have been the reason': [
      undefined,
      reset(true),
      'not-retriable',
    ],
    'by default: a kept connection that was closed under an idempotent request': [
      undefined,
      reset(true, true),
      'retry',
      'PUT',
    ],
    'by default: the same, but done twice is not done once': [
      undefined,
      reset(true, true),
      'may-have-been-processed',
      'POST',
    ],
    'reset: whatever the method, as the user asked': [['reset'], reset(true), 'retry', 'POST'],
    'reset: a timeout of one try': [['reset'], TIMEOUT, 'retry'],
    '5xx: a 500': [['5xx'], answered(500), 'retry'],
    '5xx: a timeout': [['5xx'], TIMEOUT, 'retry'],
    '5xx: not a 404': [['5xx'], answered(404), 'not-retriable'],
    'gateway-error: a 503': [['gateway-error'], answered(503), 'retry'],
    'gateway-error: not a 500': [['gateway-error'], answered(500), 'not-retriable'],
    'gateway-error: a reset': [['gateway-error'], reset(true), 'retry'],
    'retriable-4xx: a 409': [['retriable-4xx'], answered(409), 'retry'],
    'retriable-4xx: not a 404': [['retriable-4xx'], answered(404), 'not-retriable'],
    'connect-failure alone: not a refused stream': [['connect-failure'], REFUSED, 'not-retriable'],
    'refused-stream alone: no connection is another thing': [
      ['refused-stream'],
      NO_CONNECTION,
      'not-retriable',
    ],
    'gRPC internal': [['internal'], answered(200, ['grpc-status', '13']), 'retry'],
    'gRPC deadline exceeded': [['deadline-exceeded'], answered(200, ['grpc-status', '4']), 'retry'],
    'gRPC resource exhausted': [['resource-exhausted'], answered(200, ['grpc-status', '8']), 'retry'],
    'a status that is no number': [['unavailable'], answered(200, ['grpc-status', 'x']), 'not-retriable'],
    'envoy-ratelimited': [['envoy-ratelimited'], answered(429, ['x-envoy-ratelimited', 'true']), 'retry'],
    'reset-before-request': [['reset-before-request'], reset(false), 'retry'],
  };

  test.each(Object.entries(cases))('%s', (_, [words, outcome, want, method = 'GET']) => {
    expect(decide(policy(words), outcome, { method })).toBe(want);
  });

  test('status codes of the user', () => {
    const with_ = policy(undefined, { statusCodes: new Set([500, 425]) });
    expect([500, 425, 503].map((status) => decide(with_, answered(status)))).toEqual([
      'retry',
      'retry',
      'not-retriable',
    ]);
  });
});

describe('how often', () => {
  test('so many retries as the policy has, and none with 0', () => {
    const tries = [1, 2, 3].map((count) => decide(policy(undefined), NO_CONNECTION, { tries: count }));
    expect(tries).toEqual(['retry', 'retry', 'no-attempts-left']);
    expect(decide(policy(undefined, { attempts: 0 }), NO_CONNECTION)).toBe('no-attempts-left');
  });

  test('a request whose body is gone cannot be sent again', () => {
    expect(decide(policy(undefined), NO_CONNECTION, { bodyLost: true })).toBe('body-lost');
  });

  test('over the budget not, but a few each second always', () => {
    const busy = { activeRequests: 100, activeRetries: 20, retriesLastSecond: 10 };
    expect(decide(policy(undefined), NO_CONNECTION, {}, busy)).toBe('over-budget');
    expect(decide(policy(undefined), NO_CONNECTION, {}, { ...busy, activeRetries: 19 })).toBe('retry');
    expect(decide(policy(undefined), NO_CONNECTION, {}, { ...busy, retriesLastSecond: 9.9 })).toBe('retry');
  });

  test('the destination’s budget stands in place of the route’s', () => {
    const load = { activeRequests: 100, activeRetries: 5, retriesLastSecond: 0 };
    const attempt = { method: 'GET', tries: 1, bodyLost: false, outcome: NO_CONNECTION };
    const at = (percent: number, minRetryConcurrency: number) =>
      decideRetry(policy(undefined), attempt, load, { percent, minRetryConcurrency }, () => 0).kind;
    expect([at(5, 3), at(6, 3), at(1, 6)]).toEqual(['give-up', 'retry', 'retry']);
  });

  test('the wait doubles up to ten times, from nothing where the user chose none', () => {
    const waits = (with_: RetryPolicy, number: number) =>
      [1, 2, 3, 4, 5, 6].map((tries) => {
        const attempt = { method: 'GET', tries, bodyLost: false, outcome: NO_CONNECTION };
        const decision = decideRetry(with_, attempt, IDLE, undefined, () => number);
        return decision.kind === 'retry' ? decision.backoffMs : -1;
      });
    const many = { attempts: 9 };
    expect(waits(policy(undefined, many), 0.5)).toEqual([12.5, 25, 50, 100, 125, 125]);
    expect(waits(policy(undefined, { ...many, backoffMs: 100, backoffIsLeast: true }), 0)).toEqual([
      100, 200, 400, 800, 1_000, 1_000,
    ]);
    expect(
      waits(policy(undefined, { ...many, backoffMs: 100, backoffIsLeast: true }), 0.9999)[0],
    ).toBeLessThan(125);
  });
});
