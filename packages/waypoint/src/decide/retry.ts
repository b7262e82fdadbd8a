/**
 * Whether a request that failed is tried again, asked after each try and before any of the answer went to the client.
 *
 * The words are Envoy's. One thing is ours: a request that the endpoint may have seen is tried again only if the user asked
 * for that kind of failure, or if it was lost on a kept connection that the endpoint closed at that moment and doing it
 * twice is the same as once (RFC 9110 §9.2.2): that is what every rollout of an application looks like.
 */
import { GRPC_STATUSES, type GrpcStatus, type RetryWord } from '@ambit/api/waypoint';
import type { Random } from '@ambit/core/clock';
import { fieldValue, type HeaderFields } from '@ambit/http/header-fields';
import type { RetryBudget } from '../resources/destination-policy.ts';
import type { RetryPolicy } from '../resources/http-route.ts';

/** How a try ended. */
export type AttemptOutcome =
  | { readonly kind: 'response'; readonly status: number; readonly fields: HeaderFields }
  /** No connection came about: the endpoint saw nothing. */
  | { readonly kind: 'connect-failure' }
  /** The endpoint said that it processed nothing (REFUSED_STREAM, or GOAWAY below the stream). */
  | { readonly kind: 'refused' }
  | {
      /** The connection or the stream broke before an answer. */
      readonly kind: 'reset';
      /** The endpoint may have seen the request. */
      readonly sent: boolean;
      /** The connection had served other requests, and none of this one's answer had come. */
      readonly onKeptConnection: boolean;
    }
  /** HTTP cannot carry the request, to no endpoint. */
  | { readonly kind: 'cannot-be-sent' }
  /** Nothing came within the time of one try. */
  | { readonly kind: 'try-timeout' };

export interface AttemptResult {
  readonly method: string;
  /** Tries made so far, this one included. */
  readonly tries: number;
  readonly outcome: AttemptOutcome;
  /** Part of the request's body is gone and was not kept, so it cannot be sent again. */
  readonly bodyLost: boolean;
}

/** Requests to one destination, retries among them, as of now. */
export interface RetryLoad {
  readonly activeRequests: number;
  readonly activeRetries: number;
  readonly retriesLastSecond: number;
}

export type RetryDecision =
  | { readonly kind: 'retry'; readonly backoffMs: number }
  | { readonly kind: 'give-up'; readonly reason: GiveUpReason };

export type GiveUpReason =
  /** Not a failure, or not one that the policy names. */
  | 'not-retriable'
  /** Envoy's flag for it: URX, when there were retries. */
  | 'no-attempts-left'
  | 'over-budget'
  | 'body-lost'
  | 'may-have-been-processed';

/** @param budget - Of the destination. */
export function decideRetry(
  policy: RetryPolicy,
  result: AttemptResult,
  load: RetryLoad,
  budget: RetryBudget | undefined,
  random: Random,
): RetryDecision {
  const wanted = isRetriable(policy, result);
  if (wanted !== 'retry') return { kind: 'give-up', reason: wanted };
  if (result.tries > policy.attempts) return { kind: 'give-up', reason: 'no-attempts-left' };
  if (result.bodyLost) return { kind: 'give-up', reason: 'body-lost' };
  if (!isWithinBudget(policy, load, budget)) return { kind: 'give-up', reason: 'over-budget' };
  return { kind: 'retry', backoffMs: backoffMs(policy, result.tries, random) };
}

/**
 * Whether a request that has no answer yet may be sent to another endpoint beside the first: only where doing it twice is the
 * same as once, where there is no body to send twice, and within the budget of retries, of which it is one.
 */
export function mayHedge(
  policy: RetryPolicy,
  { method, endsHere }: { readonly method: string; readonly endsHere: boolean },
  load: RetryLoad,
  budget: RetryBudget | undefined,
): boolean {
  return endsHere && IDEMPOTENT.has(method) && isWithinBudget(policy, load, budget);
}

type Wanted = 'retry' | 'not-retriable' | 'may-have-been-processed';

function isRetriable(policy: RetryPolicy, { outcome, method }: AttemptResult): Wanted {
  const on = (...words: readonly RetryWord[]) => words.some((word) => policy.retryOn.has(word));
  const when = (condition: boolean): Wanted => (condition ? 'retry' : 'not-retriable');
  switch (outcome.kind) {
    case 'response':
      return when(isRetriableResponse(policy, outcome.status, outcome.fields));
    case 'connect-failure':
      return when(on('connect-failure', '5xx', 'gateway-error', 'reset', 'reset-before-request'));
    case 'refused':
      return when(on('refused-stream', '5xx', 'gateway-error', 'reset'));
    case 'cannot-be-sent':
      return 'not-retriable';
    case 'try-timeout':
      return when(on('5xx', 'gateway-error', 'reset'));
    case 'reset': {
      if (on('5xx', 'gateway-error', 'reset')) return 'retry';
      if (!outcome.sent) return when(on('connect-failure', 'reset-before-request'));
      if (!on('connect-failure') || !outcome.onKeptConnection) return 'not-retriable';
      return IDEMPOTENT.has(method) ? 'retry' : 'may-have-been-processed';
    }
    default:
      return outcome satisfies never;
  }
}

/** Methods of requests that may be sent twice without harm (RFC 9110 §9.2.2). */
export const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

function isRetriableResponse(
  { retryOn, statusCodes }: RetryPolicy,
  status: number,
  fields: HeaderFields,
): boolean {
  if (statusCodes.has(status)) return true;
  if (status >= 500 && retryOn.has('5xx')) return true;
  if (status >= 502 && status <= 504 && retryOn.has('gateway-error')) return true;
  if (status === 409 && retryOn.has('retriable-4xx')) return true;
  if (retryOn.has('envoy-ratelimited') && fieldValue(fields, 'x-envoy-ratelimited') !== undefined)
    return true;
  const word = grpcWord(fields);
  return word !== undefined && retryOn.has(word);
}

const GRPC_WORDS: Readonly<Partial<Record<GrpcStatus, RetryWord>>> = {
  CANCELLED: 'cancelled',
  DEADLINE_EXCEEDED: 'deadline-exceeded',
  INTERNAL: 'internal',
  RESOURCE_EXHAUSTED: 'resource-exhausted',
  UNAVAILABLE: 'unavailable',
};

/** A response that is a gRPC status alone. One that comes in trailers comes too late: its messages are under way. */
function grpcWord(fields: HeaderFields): RetryWord | undefined {
  const status = GRPC_STATUSES[Number(fieldValue(fields, 'grpc-status'))];
  return status && GRPC_WORDS[status];
}

/** Istio has none by default but a percentage; a few retries are always allowed, or nothing idle could ever be retried. */
function isWithinBudget(policy: RetryPolicy, load: RetryLoad, budget: RetryBudget | undefined): boolean {
  if (budget === undefined && load.retriesLastSecond < policy.budgetMinPerSecond) return true;
  const percent = budget?.percent ?? policy.budgetPercent;
  const least = budget?.minRetryConcurrency ?? 0;
  return load.activeRetries < Math.max(least, Math.ceil((load.activeRequests * percent) / 100));
}

const MAX_BACKOFF_FACTOR = 10;
/** Of a wait that the user chose: retries of many clients should not come at one moment. */
const JITTER = 0.25;

function backoffMs({ backoffMs: base, backoffIsLeast }: RetryPolicy, tries: number, random: Random): number {
  const grown = Math.min(base * 2 ** (tries - 1), base * MAX_BACKOFF_FACTOR);
  return backoffIsLeast ? grown * (1 + random() * JITTER) : grown * random();
}
