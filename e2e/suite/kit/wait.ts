/** Waiting for what a cluster does in its own time: with a deadline, and with what was last seen when it passes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '@ambit/core/errors';

const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_EVERY_MS = 200;

export interface Patience {
  readonly timeoutMs?: number;
  readonly everyMs?: number;
}

/**
 * Asks until `done` holds; resolves with that value.
 *
 * A question that fails counts as one not answered yet: while an API server restarts, that is what it does.
 */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T>,
  done: (value: T) => boolean,
  { timeoutMs = DEFAULT_TIMEOUT_MS, everyMs = DEFAULT_EVERY_MS }: Patience = {},
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const seen = await ask().then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    if ('value' in seen && done(seen.value)) return seen.value;
    if (performance.now() > deadline)
      throw new Error(`not within ${timeoutMs / 1_000} s: ${what}; last seen: ${lastSeen(seen)}`);
    await sleep(everyMs);
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
