/**
 * What may be under way to one destination at a time: connections, requests that wait for one, requests, retries.
 *
 * Counted for all endpoints of a destination together. Whoever takes something gives it back exactly once.
 */

export interface BreakerLimits {
  readonly connections: number;
  readonly pendingRequests: number;
  readonly requests: number;
  readonly retries: number;
}

export type BreakerKind = 'connections' | 'pendingRequests' | 'requests' | 'retries';

export class Breakers {
  #limits: BreakerLimits;
  readonly #used: Record<BreakerKind, number> = {
    connections: 0,
    pendingRequests: 0,
    requests: 0,
    retries: 0,
  };

  constructor(limits: BreakerLimits) {
    this.#limits = limits;
  }

  /** What is above a lowered limit goes on until it ends. */
  set limits(limits: BreakerLimits) {
    this.#limits = limits;
  }

  used(kind: BreakerKind): number {
    return this.#used[kind];
  }

  hasRoom(kind: BreakerKind): boolean {
    return this.#used[kind] < this.#limits[kind];
  }

  /** Whether there was room; then it is taken. */
  tryTake(kind: BreakerKind): boolean {
    if (!this.hasRoom(kind)) return false;
    this.#used[kind] += 1;
    return true;
  }

  /** Takes beyond the limit: an endpoint may always have one connection. */
  take(kind: BreakerKind): void {
    this.#used[kind] += 1;
  }

  release(kind: BreakerKind): void {
    this.#used[kind] -= 1;
  }
}
