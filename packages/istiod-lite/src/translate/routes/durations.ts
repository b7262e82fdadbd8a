/** A duration of the Gateway API (GEP-2257): up to four numbers with units, as `1h30m` or `500ms`. Pure. */

import { MAX_WIRE_DURATION_MS } from '../../limits.ts';

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
const WHOLE = /^(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}$/;

/** Milliseconds, at most what waypoints take; `undefined` for anything else. */
export function gatewayDurationMs(text: string): number | undefined {
  if (!WHOLE.test(text)) return undefined;
  const parts = [...text.matchAll(/([0-9]+)(ms|h|m|s)/g)];
  const ms = parts.reduce((sum, [, amount, unit = '']) => sum + Number(amount) * (UNIT_MS[unit] ?? 0), 0);
  return Math.min(ms, MAX_WIRE_DURATION_MS);
}
