/** A token bucket: so many events at once, then so many a second. */
import type { Clock } from '@ambit/core/clock';

export interface Allowance {
  readonly burst: number;
  readonly perSecond: number;
}

export class FloodGuard {
  readonly #allowance: Allowance;
  readonly #clock: Clock;
  #tokens: number;
  #filledAtMs: number;

  constructor(allowance: Allowance, clock: Clock) {
    this.#allowance = allowance;
    this.#clock = clock;
    this.#tokens = allowance.burst;
    this.#filledAtMs = clock.monotonicMs();
  }

  /** So many events more are fair: something asked for them. */
  earn(count: number): void {
    this.#tokens = Math.min(this.#allowance.burst, this.#tokens + count);
  }

  /** Whether one more event is still within bounds. */
  admits(): boolean {
    if (this.#tokens < 1) {
      const nowMs = this.#clock.monotonicMs();
      const { burst, perSecond } = this.#allowance;
      this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#filledAtMs) * perSecond) / 1000);
      this.#filledAtMs = nowMs;
      if (this.#tokens < 1) return false;
    }
    this.#tokens--;
    return true;
  }
}
