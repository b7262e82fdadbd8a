import { expect, test } from '@jest/globals';
import { refreshAtMs } from './refresh-time.ts';

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const NOW_MS = 1_800_000_000_000;
/** As CAs date certificates back. */
const BACK_MS = 120_000;

/** How long after it came a certificate is renewed that is valid for so long. */
const after = (leftMs: number, chance = 0.5, notBeforeMs = NOW_MS - BACK_MS) =>
  refreshAtMs({ notBeforeMs, notAfterMs: NOW_MS + leftMs }, NOW_MS, chance) - NOW_MS;

test.each([
  ['a day', 24 * HOUR_MS, 12 * HOUR_MS],
  ['an hour', HOUR_MS, HOUR_MS / 2],
  ['two minutes', 120 * SECOND_MS, 60 * SECOND_MS],
  ['one minute', 60 * SECOND_MS, 30 * SECOND_MS],
  ['ten seconds', 10 * SECOND_MS, 5 * SECOND_MS],
  ['so little that half of it is no time', 7 * SECOND_MS, 5 * SECOND_MS],
  ['less than we wait otherwise', 5 * SECOND_MS, 4 * SECOND_MS],
  ['a moment', 300, SECOND_MS],
  ['no more', -5 * SECOND_MS, SECOND_MS],
])('one that lives for %s', (_, leftMs, want) => expect(after(leftMs)).toBe(want));

test('those of a node do not coincide', () => {
  expect(after(24 * HOUR_MS, 0)).toBe(24 * HOUR_MS * 0.45);
  expect(after(24 * HOUR_MS, 0.999)).toBeLessThan(24 * HOUR_MS * 0.55);
});

test('one whose time has not come is asked for again, and not all the time', () => {
  expect(after(HOUR_MS, 0.5, NOW_MS + 3 * SECOND_MS)).toBe(3 * SECOND_MS);
  expect(after(HOUR_MS, 0.5, NOW_MS + HOUR_MS)).toBe(10 * SECOND_MS);
});
