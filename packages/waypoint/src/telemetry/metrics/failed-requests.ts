/**
 * Counts requests that ended otherwise than by an answer of an endpoint or of a route, by the word that access logs have
 * for the reason (`%RESPONSE_CODE_DETAILS%`): Istio's own metrics tell no more of most refusals than their status.
 */
import type { Counter, MetricRegistry } from '@ambit/core/metrics';
import { MAX_FAILURE_REASONS } from '../limits.ts';

/** How requests end that were served. */
const SERVED: ReadonlySet<string> = new Set(['via_upstream', 'direct_response', 'cors_response']);
/** Reasons beyond those that have a series. */
const OTHERS = '(others)';

export class FailedRequests {
  readonly #counter: Counter<'reason'>;
  readonly #reasons = new Set<string>();

  constructor(registry: MetricRegistry) {
    this.#counter = registry.counter({
      name: 'ambit_waypoint_failed_requests',
      help: 'Requests that ended otherwise than by an answer of an endpoint or of a route, by the reason in access logs',
      labels: ['reason'],
    });
  }

  /** @param details - Of a request that has ended. */
  ended(details: string): void {
    if (!SERVED.has(details)) this.#counter.inc({ reason: this.#seriesOf(reasonIn(details)) });
  }

  #seriesOf(reason: string): string {
    if (this.#reasons.has(reason)) return reason;
    if (this.#reasons.size >= MAX_FAILURE_REASONS) return OTHERS;
    this.#reasons.add(reason);
    return reason;
  }
}

/** Without what is not of a few words: the policy that refused, and what a parser said of a key set. */
export function reasonIn(details: string): string {
  return details.replace(/\[[^\]]*\]$/, '').replace(/:.*\}$/s, '}');
}
