/**
 * Time and chance as dependencies. Nothing outside this file reads the clock, sets a timer or throws dice, so a
 * test decides when it is and what falls; tools/tidy checks that.
 */
import { setTimeout as sleepFor } from 'node:timers/promises';

/** A timer that was set; `cancel` may be called at any time, also after it fired. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since 1970, as `Date.now`. Steps when the machine's clock is set. */
  now(): number;
  /** Milliseconds from an arbitrary start, never going back: for durations. */
  monotonicMs(): number;
  /** Resolves after `ms` milliseconds; rejects with `signal.reason` when that aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` once after `ms` milliseconds. Does not keep the process alive. */
  after(ms: number, run: () => void): Timer;
  /** Calls `run` every `ms` milliseconds, and at least every 24 days. Does not keep the process alive. */
  every(ms: number, run: () => void): Timer;
}

/** A number in [0, 1), as `Math.random`. Passed to decisions, which stay pure. */
export type Random = () => number;

/** The longest that a timer of Node's waits: one that is set to more fires at once. Some 24 days. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    signal?.throwIfAborted();
    try {
      for (let leftMs = ms; ; leftMs -= LONGEST_TIMER_MS) {
        await sleepFor(Math.min(leftMs, LONGEST_TIMER_MS), undefined, signal ? { signal } : {});
        if (leftMs <= LONGEST_TIMER_MS) return;
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  },
  after: (ms, run) => {
    if (ms > LONGEST_TIMER_MS) return afterLong(ms, run);
    const timer = setTimeout(run, ms).unref();
    return { cancel: () => clearTimeout(timer) };
  },
  every: (ms, run) => {
    const timer = setInterval(run, Math.min(ms, LONGEST_TIMER_MS)).unref();
    return { cancel: () => clearInterval(timer) };
  },
};

function afterLong(ms: number, run: () => void): Timer {
  let rest = systemClock.after(LONGEST_TIMER_MS, () => {
    rest = systemClock.after(ms - LONGEST_TIMER_MS, run);
  });
  return { cancel: () => rest.cancel() };
}

export const systemRandom: Random = () => Math.random();
