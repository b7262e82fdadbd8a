import { expect, test } from '@jest/globals';
import { Backoff } from './backoff.ts';

test('doubles up to the ceiling, and starts over after a success', () => {
  const backoff = new Backoff({ initialMs: 10, maxMs: 50 }, () => 0.5);
  expect([1, 2, 3, 4].map(() => backoff.nextMs())).toEqual([10, 20, 40, 50]);
  backoff.reset();
  expect(backoff.nextMs()).toBe(10);
});

test('jitter spreads the delay around its value, never above the ceiling', () => {
  const at = (random: number, attempts: number) => {
    const backoff = new Backoff({ initialMs: 100, maxMs: 200, jitter: 0.2 }, () => random);
    for (let i = 1; i < attempts; i++) backoff.nextMs();
    return backoff.nextMs();
  };
  expect([at(0, 1), at(1, 1), at(1, 2)]).toEqual([80, 120, 200]);
});

test('those who wait as long as may be do not all wait the same', () => {
  const waits = [0.5, 0.6, 0.7, 0.8, 0.9].map((random) => {
    const backoff = new Backoff({ initialMs: 100, maxMs: 100, jitter: 0.3 }, () => random);
    backoff.nextMs();
    return backoff.nextMs();
  });
  expect(new Set(waits).size).toBe(waits.length);
  expect(Math.max(...waits)).toBeLessThanOrEqual(100);
});

test('a thousand failures do not overflow', () => {
  const backoff = new Backoff({ initialMs: 1, maxMs: 15_000 }, () => 0);
  for (let i = 0; i < 2_000; i++) backoff.nextMs();
  expect(backoff.nextMs()).toBe(15_000);
});
