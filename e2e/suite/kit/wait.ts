/** Waiting for what a cluster does in its own time: with a deadline, and with what was last seen when it passes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '@ambit/core/errors';

const DEFAULT_TIMEOUT_MS = 90_000;
const DEFAULT_EVERY_MS = 200;
/**
 * Of those that learn of a change each in its own time (two pods of a waypoint, say), one more is asked by chance each time:
 * after so many answers in a row that are as wanted, all of them have learnt of it.
 */
export const EVERYBODY = 8;

export interface Patience {
  readonly timeoutMs?: number;
  readonly everyMs?: number;
  /** So many times in a row it must hold, asked without a pause: {@link EVERYBODY}. Default: once. */
  readonly inARow?: number;
}

/**
 * For what one replica of the control plane does alone: a lease that was not given back runs out first, and whoever waits
 * for it looks every nine seconds.
 */
export const LED: Patience = { timeoutMs: 150_000 };

/**
 * Asks until `done` holds; resolves with that value.
 *
 * A question that fails counts as one not answered yet: while an API server restarts, that is what it does.
 */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T>,
  done: (value: T) => boolean,
  { timeoutMs = DEFAULT_TIMEOUT_MS, everyMs = DEFAULT_EVERY_MS, inARow = 1 }: Patience = {},
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (let times = 0; ; ) {
    const seen = await ask().then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    if ('value' in seen && done(seen.value)) {
      times += 1;
      if (times >= inARow) return seen.value;
    } else {
      times = 0;
    }
    if (performance.now() > deadline)
      throw new Error(`not within ${timeoutMs / 1_000} s: ${what}; last seen: ${lastSeen(seen)}`);
    if (times === 0) await sleep(everyMs);
  }
}

function lastSeen(seen: { readonly value: unknown } | { readonly error: unknown }): string {
  if ('error' in seen) return messageOf(seen.error);
  const text = JSON.stringify(seen.value) ?? String(seen.value);
  return text.length > 2_000 ? `${text.slice(0, 2_000)}…` : text;
}

/** As {@link eventually}, for questions that are answered with yes in the end. */
export async function until(what: string, holds: () => Promise<boolean>, patience?: Patience): Promise<void> {
  await eventually(what, holds, (yes) => yes, patience);
}

/** Checks that something stays true for a while. */
export async function throughout(
  what: string,
  holds: () => Promise<boolean>,
  durationMs: number,
  everyMs = DEFAULT_EVERY_MS,
): Promise<void> {
  const end = performance.now() + durationMs;
  while (performance.now() < end) {
    if (!(await holds())) throw new Error(`no longer true: ${what}`);
    await sleep(everyMs);
  }
}
