/**
 * Deadlines of many connections on one timer: setting one costs an assignment, not a timer.
 *
 * Coarse: a deadline is met up to two ticks late. The timer runs while somebody is watched.
 */
import type { Clock, Timer } from '@ambit/core/clock';
import { NOWHERE, Roster } from './roster.ts';

export const DEADLINE_TICK_MS = 250;

export interface Watched {
  /** In the wheel's milliseconds; `Infinity`: none. */
  readonly deadlineMs: number;
  /** Of {@link Deadlines}; starts as `NOWHERE`. */
  watchPlace: number;
  /** Past due; called once a tick until the deadline moves or the watch ends. */
  onDeadline(): void;
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #watched = new Roster<'watchPlace', Watched>('watchPlace');
  #timer: Timer | undefined;
  #nowMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The time as of the last tick: what deadlines are counted from. */
  get nowMs(): number {
    return this.#nowMs;
  }

  watch(watched: Watched): void {
    this.#watched.add(watched);
    if (this.#timer) return;
    this.#nowMs = this.#clock.monotonicMs();
    this.#timer = this.#clock.every(DEADLINE_TICK_MS, () => this.#tick());
  }

  unwatch(watched: Watched): void {
    this.#watched.delete(watched);
    if (this.#watched.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #tick(): void {
    this.#nowMs = this.#clock.monotonicMs();
    const due: Watched[] = [];
    for (const watched of this.#watched) if (watched.deadlineMs <= this.#nowMs) due.push(watched);
    for (const watched of due) if (watched.watchPlace !== NOWHERE) watched.onDeadline();
  }
}
