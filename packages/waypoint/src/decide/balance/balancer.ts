/**
 * The choice of an endpoint. Built for one set of endpoints, and asked for each request.
 *
 * What changes with every request (load, ejection) is read from the endpoints themselves, which belong to `upstream/`;
 * what changes seldom (the set, weights, localities) makes a new balancer. Chance and time are handed in.
 */
import type { Random } from '@ambit/core/clock';
import type { Locality } from '@ambit/model/workload';

/** What a balancer must know of an endpoint. The last four fields change while it is in use. */
export interface BalancedEndpoint {
  /** Unique in its set, and the same for as long as the endpoint is: what consistent hashing hashes. `ip:port`. */
  readonly key: string;
  readonly weight: number;
  readonly locality: Locality;
  readonly network: string;
  readonly node: string;
  readonly clusterId: string;
  /** When it came, as `Clock.monotonicMs` has it, for slow start. */
  readonly sinceMs: number;
  /** Neither unhealthy nor ejected. */
  readonly isHealthy: boolean;
  readonly activeRequests: number;
}

export interface PickRequest<E> {
  /** From what `hashOf` found in the request; `undefined`: any endpoint will do. */
  readonly hash: number | undefined;
  /** Endpoints not to pick if there is another: those that failed this request before. */
  readonly avoid: ReadonlySet<E>;
  /** `Clock.monotonicMs`. */
  readonly nowMs: number;
  readonly random: Random;
}

export interface Balancer<E extends BalancedEndpoint> {
  /** `undefined`: there is none that may be used. */
  pick(request: PickRequest<E>): E | undefined;
  readonly endpoints: readonly E[];
}
