/** When a certificate is renewed: at half of its life, a little earlier or later, so that a node's do not all coincide. */
import { MIN_REFRESH_INTERVAL_MS } from './limits.ts';
import type { Validity } from './x509.ts';

/** Share of the lifetime by which the moment moves, at most, to either side. */
const JITTER = 0.05;

/**
 * Milliseconds since 1970. A certificate whose validity has not begun (a CA ahead of our clock) is renewed soon.
 *
 * @param chance - In [0, 1).
 */
export function refreshAtMs(validity: Validity, nowMs: number, chance: number): number {
  const { notBeforeMs, notAfterMs } = validity;
  const soonest = nowMs + MIN_REFRESH_INTERVAL_MS;
  if (notBeforeMs > nowMs) return soonest;
  const share = 0.5 + JITTER * (2 * chance - 1);
  return Math.max(soonest, notBeforeMs + (notAfterMs - notBeforeMs) * share);
}
