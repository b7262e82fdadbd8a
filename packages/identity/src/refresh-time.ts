/** When a certificate is renewed: at half of its life, a little earlier or later, so that a node's do not all coincide. */
import { MIN_REFRESH_INTERVAL_MS, NOT_YET_VALID_INTERVAL_MS, SHORTEST_INTERVAL_MS } from './limits.ts';
import type { Validity } from './x509.ts';

/** Share of the lifetime by which the moment moves, at most, to either side. */
const JITTER = 0.05;
/** Share of what is left that may pass before a renewal, however little is left. */
const LATEST = 0.8;

/**
 * Milliseconds since 1970, for a certificate that has just come.
 *
 * Its life is what is left of it: CAs date certificates back by some minutes, for clocks that are behind, and of one that
 * lives for a minute half would have passed before it came. One whose validity has not begun (a CA ahead of our clock) is
 * asked for again.
 *
 * @param chance - In [0, 1).
 */
export function refreshAtMs(validity: Validity, nowMs: number, chance: number): number {
  const { notBeforeMs, notAfterMs } = validity;
  if (notBeforeMs > nowMs) return Math.min(notBeforeMs, nowMs + NOT_YET_VALID_INTERVAL_MS);
  const leftMs = notAfterMs - nowMs;
  const share = 0.5 + JITTER * (2 * chance - 1);
  const soonestMs = Math.max(SHORTEST_INTERVAL_MS, Math.min(MIN_REFRESH_INTERVAL_MS, leftMs * LATEST));
  return nowMs + Math.max(soonestMs, leftMs * share);
}
