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

test('a thousand failures do not overflow', () => {
  const backoff = new Backoff({ initialMs: 1, maxMs: 15_000 }, () => 0);
  for (let i = 0; i < 2_000; i++) backoff.nextMs();
  expect(backoff.nextMs()).toBe(15_000);
});
