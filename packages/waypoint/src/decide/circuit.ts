/**
 * How much is under way to one destination, and whether more may be: DestinationRule's connection pool limits.
 *
 * Counts alone. Whoever enters must leave, exactly once; whoever may not enter answers 503 with the flag UO.
 */
import type { ConnectionPool } from '../resources/destination-policy.ts';
import type { RetryLoad } from './retry.ts';

export interface CircuitLimits {
  /** Connections to all endpoints together. */
  readonly connections: number;
  /** Requests that wait for a connection. */
  readonly pending: number;
  /** Requests under way, those that wait not counted. */
  readonly requests: number;
  /** Retries under way. */
  readonly retries: number;
}

/** Istio sets none; these keep one destination from taking all of the process. */
export const DEFAULT_CIRCUIT_LIMITS: CircuitLimits = {
  connections: 65_536,
  pending: 16_384,
  requests: 65_536,
  retries: 16_384,
};

export function circuitLimits(pool: ConnectionPool | undefined): CircuitLimits {
  const bounded = (wanted: number | undefined, limit: number) => Math.min(wanted ?? limit, limit);
  return {
    connections: bounded(pool?.maxConnections, DEFAULT_CIRCUIT_LIMITS.connections),
    pending: bounded(pool?.maxPendingRequests, DEFAULT_CIRCUIT_LIMITS.pending),
    requests: bounded(pool?.maxRequests, DEFAULT_CIRCUIT_LIMITS.requests),
    retries: bounded(pool?.maxRetries, DEFAULT_CIRCUIT_LIMITS.retries),
  };
}

export type CircuitUse = keyof CircuitLimits;

const SECOND_MS = 1_000;

export class Circuit {
  #limits: CircuitLimits;
  readonly #used: Record<CircuitUse, number> = { connections: 0, pending: 0, requests: 0, retries: 0 };
  /** Retries that began in the second before {@link #secondStartMs}, and since. */
  #retriesBefore = 0;
  #retriesSince = 0;
  #secondStartMs = 0;

  constructor(limits: CircuitLimits) {
    this.#limits = limits;
  }

  /** Others from now on. What is under way stays. */
  set limits(limits: CircuitLimits) {
    this.#limits = limits;
  }

  /** @returns Whether there is room; nothing is counted otherwise. */
  enter(use: CircuitUse): boolean {
    if (this.#used[use] >= this.#limits[use]) return false;
    this.#used[use] += 1;
    return true;
  }

  leave(use: CircuitUse): void {
    this.#used[use] -= 1;
  }

  used(use: CircuitUse): number {
    return this.#used[use];
  }

  /** As `enter('retries')`, and counts it for the rate. @param nowMs - `Clock.monotonicMs`. */
  enterRetry(nowMs: number): boolean {
    if (!this.enter('retries')) return false;
    this.#turn(nowMs);
    this.#retriesSince += 1;
    return true;
  }

  /** @param nowMs - `Clock.monotonicMs`. */
  retryLoad(nowMs: number): RetryLoad {
    this.#turn(nowMs);
    // Part of the second before still lies within the last one; it is taken to have been spread evenly.
    const part = 1 - (nowMs - this.#secondStartMs) / SECOND_MS;
    return {
      activeRequests: this.#used.requests,
      activeRetries: this.#used.retries,
      retriesLastSecond: this.#retriesSince + this.#retriesBefore * part,
    };
  }

  #turn(nowMs: number): void {
    const elapsed = nowMs - this.#secondStartMs;
    if (elapsed < SECOND_MS) return;
    this.#retriesBefore = elapsed < 2 * SECOND_MS ? this.#retriesSince : 0;
    this.#retriesSince = 0;
    this.#secondStartMs = nowMs - (elapsed % SECOND_MS);
  }
}
