/**
 * When the process gives memory back: a quiet moment after its start, and after changes that left much garbage behind.
 *
 * Collecting holds every thread up, so it never comes between a start and being ready: that is when each millisecond is
 * waited for. A process that is never quiet for so long allocates enough for V8 to collect by itself. Not here: what a
 * worker's warm-up leaves behind, which that worker collects when it ends (worker/warm-up.ts).
 */
import type { Clock, Timer } from '@ambit/core/clock';

export interface TidyingOptions {
  /** On all threads; they stand still meanwhile. */
  readonly collect: () => void;
  /** How long after the last reason. */
  readonly delayMs: number;
  readonly clock: Clock;
}

export class Tidying implements Disposable {
  readonly #options: TidyingOptions;
  #timer: Timer | undefined;

  constructor(options: TidyingOptions) {
    this.#options = options;
  }

  /** There is something to give back. However many say so in a row, it is given back once, after the last. */
  soon(): void {
    const { clock, delayMs, collect } = this.#options;
    this.#timer?.cancel();
    this.#timer = clock.after(delayMs, collect);
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
  }
}
