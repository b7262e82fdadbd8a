/** Work in pieces, between which others have their turn: proxies are served by the same thread. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '@ambit/core/clock';

/**
 * Goes on in another turn after `turnMs` milliseconds, by time and not by count: one piece may take a thousand times as long as
 * another. A piece itself is not divided.
 */
export async function* inTurns<T>(
  pieces: Iterable<T>,
  turnMs: number,
  clock: Pick<Clock, 'monotonicMs'>,
): AsyncGenerator<T> {
  let untilMs = clock.monotonicMs() + turnMs;
  for (const piece of pieces) {
    yield piece;
    if (clock.monotonicMs() < untilMs) continue;
    await nextTurn();
    untilMs = clock.monotonicMs() + turnMs;
  }
}
