/**
 * How many clients are sent everything at the same time.
 *
 * Such a response is megabytes, and the transport copies it: for a hundred clients that connect at once that would be most
 * of the memory. They are served in turn, a few at a time, which takes no longer, since one thread serves all. A client
 * that reads slowly soon counts no more among the few; but there may only be so many of those, and when all places are
 * taken and others wait, the slowest has to come again later.
 */
import type { Clock, Timer } from '@ambit/core/clock';
import {
  FULL_PUSH_BRISK_MS,
  FULL_PUSH_MAX_MS,
  FULL_PUSHES_AT_A_TIME,
  MAX_UNREAD_FULL_PUSHES,
} from '../limits.ts';

export interface FullPushWaiter {
  /** It is this client's turn. Dispose of the turn when all is sent. */
  readonly granted: (turn: Disposable) => void;
  /** It has taken too long and others wait. Must dispose of the turn. */
  readonly cutOff: () => void;
}

interface Turn extends Disposable {
  pace: 'brisk' | 'slow' | 'overdue';
  readonly waiter: FullPushWaiter;
}

export class FullPushGate {
  readonly #clock: Clock;
  readonly #waiting = new Set<FullPushWaiter>();
  readonly #turns = new Set<Turn>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Clients that wait for their turn. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Grants the turn at once if there is room, else later. Dispose of the result to wait no more. */
  enter(waiter: FullPushWaiter): Disposable {
    this.#waiting.add(waiter);
    this.#next();
    return { [Symbol.dispose]: () => void this.#waiting.delete(waiter) };
  }

  #next(): void {
    for (const waiter of this.#waiting) {
      const turns = [...this.#turns];
      if (turns.filter(({ pace }) => pace === 'brisk').length >= FULL_PUSHES_AT_A_TIME) return;
      // Whoever is cut off gives its turn up, which comes here again.
      if (turns.length >= MAX_UNREAD_FULL_PUSHES) {
        turns.find(({ pace }) => pace === 'overdue')?.waiter.cutOff();
        return;
      }
      this.#waiting.delete(waiter);
      this.#grant(waiter);
    }
  }

  #grant(waiter: FullPushWaiter): void {
    const timers: Timer[] = [];
    const turn: Turn = {
      pace: 'brisk',
      waiter,
      [Symbol.dispose]: () => {
        for (const timer of timers) timer.cancel();
        if (this.#turns.delete(turn)) this.#next();
      },
    };
    const becomes = (pace: Turn['pace'], afterMs: number) =>
      this.#clock.after(afterMs, () => {
        turn.pace = pace;
        this.#next();
      });
    timers.push(becomes('slow', FULL_PUSH_BRISK_MS), becomes('overdue', FULL_PUSH_MAX_MS));
    this.#turns.add(turn);
    waiter.granted(turn);
  }
}
