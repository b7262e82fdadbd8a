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

export const BREAKER_KINDS = ['connections', 'pendingRequests', 'requests', 'retries'] as const;
export type BreakerKind = (typeof BREAKER_KINDS)[number];

const SECOND_MS = 1_000;

export class Breakers {
  #limits: BreakerLimits;
  readonly #used: Record<BreakerKind, number> = nothing();
  readonly #refused: Record<BreakerKind, number> = nothing();
  #retries = 0;

  /** Retries that began in the second before {@link #secondStartMs}, and since. */
  #retriesBefore = 0;
  #retriesSince = 0;
  #secondStartMs = 0;

  constructor(limits: BreakerLimits) {
    this.#limits = limits;
  }

  /** What is above a lowered limit goes on until it ends. */
  set limits(limits: BreakerLimits) {
    this.#limits = limits;
  }

  get limits(): BreakerLimits {
    return this.#limits;
  }

  used(kind: BreakerKind): number {
    return this.#used[kind];
  }

  /** How often there was no room. */
  refused(kind: BreakerKind): number {
    return this.#refused[kind];
  }

  /** Retries that ever began. */
  get retries(): number {
    return this.#retries;
  }

  hasRoom(kind: BreakerKind): boolean {
    return this.#used[kind] < this.#limits[kind];
  }

  /** Whether there was room; then it is taken. */
  tryTake(kind: BreakerKind): boolean {
    if (!this.hasRoom(kind)) {
      this.#refused[kind] += 1;
      return false;
    }
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

  /** A retry begins. @param nowMs - `Clock.monotonicMs`. */
  countRetry(nowMs: number): void {
    this.#turn(nowMs);
    this.#retriesSince += 1;
    this.#retries += 1;
  }

  /** @param nowMs - `Clock.monotonicMs`. */
  retriesLastSecond(nowMs: number): number {
    this.#turn(nowMs);
    // Part of the second before still lies within the last one; it is taken to have been spread evenly.
    const part = 1 - (nowMs - this.#secondStartMs) / SECOND_MS;
    return this.#retriesSince + this.#retriesBefore * part;
  }

  #turn(nowMs: number): void {
    const elapsed = nowMs - this.#secondStartMs;
    if (elapsed < SECOND_MS) return;
    this.#retriesBefore = elapsed < 2 * SECOND_MS ? this.#retriesSince : 0;
    this.#retriesSince = 0;
    this.#secondStartMs = nowMs - (elapsed % SECOND_MS);
  }
}

function nothing(): Record<BreakerKind, number> {
  return { connections: 0, pendingRequests: 0, requests: 0, retries: 0 };
}
