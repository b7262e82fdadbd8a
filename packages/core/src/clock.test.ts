import { describe, expect, jest, test } from '@jest/globals';
import { systemClock } from './clock.ts';

test('sleep ends early with the reason of its signal', async () => {
  const abort = new AbortController();
  const sleeping = systemClock.sleep(60_000, abort.signal);
  abort.abort(new Error('woken'));
  await expect(sleeping).rejects.toThrow('woken');
  await expect(systemClock.sleep(0, abort.signal)).rejects.toThrow('woken');
});

describe('a wait of more than the 24 days that Node knows', () => {
  const THIRTY_DAYS_MS = 30 * 86_400_000;

  test.each([THIRTY_DAYS_MS, 4 * THIRTY_DAYS_MS, Number.POSITIVE_INFINITY])(
    'of %d ms is over then, and not at once',
    (ms) => {
      jest.useFakeTimers();
      try {
        let fired = 0;
        const timer = systemClock.after(ms, () => fired++);
        const cancelled = systemClock.after(ms, () => (fired += 100));
        jest.advanceTimersByTime(Math.min(ms, 300 * 86_400_000) - 1);
        cancelled.cancel();
        expect(fired).toBe(0);
        jest.advanceTimersByTime(1);
        expect(fired).toBe(ms === Number.POSITIVE_INFINITY ? 0 : 1);
        timer.cancel();
      } finally {
        jest.useRealTimers();
      }
    },
  );

  test('is slept through, and not counted as often as can be', async () => {
    const abort = new AbortController();
    let fired = 0;
    const timer = systemClock.every(THIRTY_DAYS_MS, () => fired++);
    const sleeping = systemClock.sleep(THIRTY_DAYS_MS, abort.signal);
    await systemClock.sleep(20);
    abort.abort(new Error('woken'));
    await expect(sleeping).rejects.toThrow('woken');
    timer.cancel();
    expect(fired).toBe(0);
  });
});

test('a cancelled timer does not fire', async () => {
  let fired = 0;
  const timers = [systemClock.after(1, () => fired++), systemClock.every(1, () => fired++)];
  for (const timer of timers) timer.cancel();
  systemClock.after(1, () => (fired += 100));
  await systemClock.sleep(20);
  expect(fired).toBe(100);
});
