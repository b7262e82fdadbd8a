/** A duration as Istio's kinds have it, which is Go's: numbers with units, as `1.5s` or `1h30m`. Pure. */

import { MAX_WIRE_DURATION_MS } from '../limits.ts';

const UNIT_MS: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
  ms: 1,
  us: 0.001,
  µs: 0.001,
  ns: 0.000_001,
};
const PART = /([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h)/g;
const WHOLE = /^(?:(?:[0-9]{1,19}\.?[0-9]{0,19}|\.[0-9]{1,19})(?:ns|us|µs|ms|s|m|h)){1,8}$/;

/** Whole milliseconds, upwards, so that only nothing is 0; `undefined` for anything that is no such duration. */
export function goDurationMs(text: string): number | undefined {
  if (text === '0') return 0;
  if (!WHOLE.test(text)) return undefined;
  const parts = [...text.matchAll(PART)];
  const ms = parts.reduce((sum, [, amount, unit = '']) => sum + Number(amount) * (UNIT_MS[unit] ?? 0), 0);
  return Number.isSafeInteger(Math.ceil(ms)) ? Math.ceil(ms) : undefined;
}

/** 0 for none, and at most what waypoints take. What is not of the form is none. */
export function wireDurationMs(text: string | undefined): number {
  return Math.min(goDurationMs(text ?? '') ?? 0, MAX_WIRE_DURATION_MS);
}
