/** Draws from numbers in [0, 1): each uses one, so that who counts the numbers can count the outcomes. */
import type { Random } from '@ambit/core/clock';

/** One of the values, by weight; `undefined` when none has any. */
export function drawByWeight<T extends { readonly weight: number }>(
  values: readonly T[],
  random: Random,
): T | undefined {
  let total = 0;
  for (const { weight } of values) total += weight;
  if (total <= 0) return undefined;
  let remaining = random() * total;
  let last: T | undefined;
  for (const value of values) {
    if (value.weight <= 0) continue;
    last = value;
    remaining -= value.weight;
    if (remaining < 0) return value;
  }
  // Only rounding leads here.
  return last;
}

/** True for this share of requests, which is from 0 to 1. */
export function happens(share: number, random: Random): boolean {
  if (share <= 0) return false;
  return share >= 1 || random() < share;
}
