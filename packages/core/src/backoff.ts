/** How long to wait before trying again: exponential, with jitter and a ceiling; pure but for its own count. */
import type { Random } from './clock.ts';

export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  /** Default 2. */
  readonly factor?: number;
  /** Share of the delay that is random, around it: 0.2 gives 80 % to 120 %. Default 0. */
  readonly jitter?: number;
}

export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: Random;
  #attempts = 0;

  constructor(options: BackoffOptions, random: Random) {
    this.#options = options;
    this.#random = random;
  }

  /** The next delay in milliseconds; each call counts as one more failure. */
  nextMs(): number {
    const { initialMs, maxMs, factor = 2, jitter = 0 } = this.#options;
    // The ceiling is that of the longest draw: were the draws cut off there, half of all would be the same.
    const plain = Math.min(maxMs / (1 + jitter), initialMs * factor ** this.#attempts);
    this.#attempts += 1;
    return Math.min(maxMs, plain * (1 + jitter * (2 * this.#random() - 1)));
  }

  /** After a success: the next failure starts from `initialMs` again. */
  reset(): void {
    this.#attempts = 0;
  }
}
