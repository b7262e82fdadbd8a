/** The questions that an exchange asks of the decisions, in the order in which it asks them. */
import type { HeaderFields } from '@ambit/http/header-fields';
import type { Random } from '@ambit/core/clock';
import type { ConsistentHash } from '../resources/destination-policy.ts';
import type { RetryPolicy } from '../resources/http-route.ts';
import type { ConnectionView, RequestView } from './request-view.ts';

/** balance/hash-key.ts. `setCookie`: the response tells the client to send this back. */
export type HashOf = (
  policy: ConsistentHash,
  request: RequestView,
  connection: ConnectionView,
  random: Random,
) => { readonly hash: number | undefined; readonly setCookie: string | undefined };

/** retry.ts: after a try failed or was answered, and before any of the answer went to the client. */
export type DecideRetry = (policy: RetryPolicy, attempt: AttemptResult, random: Random) => RetryDecision;

export interface AttemptResult {
  /** Tries made so far, this one included. */
  readonly tries: number;
  readonly outcome: AttemptOutcome;
  /** What the request's own x-envoy-retry-on asks for does not count: a mesh's client is not trusted with it. */
  readonly request: RequestView;
  /** The request's body is gone and was not kept, so it cannot be sent again. */
  readonly bodyLost: boolean;
  /** Of all requests to the destination. */
  readonly budget: { readonly activeRequests: number; readonly activeRetries: number };
}

export type AttemptOutcome =
  | { readonly kind: 'response'; readonly status: number; readonly fields: HeaderFields }
  /** No connection came about: the endpoint saw nothing. */
  | { readonly kind: 'connect-failure' }
  /** The endpoint said that it processed nothing (REFUSED_STREAM, or GOAWAY below the stream). */
  | { readonly kind: 'refused' }
  /** The connection or the stream broke; `sent`: the endpoint may have seen the request. */
  | { readonly kind: 'reset'; readonly sent: boolean }
  | { readonly kind: 'try-timeout' };

export type RetryDecision =
  | { readonly kind: 'retry'; readonly backoffMs: number }
  | {
      readonly kind: 'give-up';
      readonly reason:
        | 'not-retriable'
        | 'no-attempts-left'
        | 'budget'
        | 'body-lost'
        | 'may-have-been-processed';
    };
