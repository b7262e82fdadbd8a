import { describe, expect, test } from '@jest/globals';
import { Breakers } from './breakers.ts';

const LIMITS = { connections: 1, pendingRequests: 2, requests: 3, retries: 1 };

describe('circuit breakers', () => {
  test('let in as many as there is room for', () => {
    const breakers = new Breakers(LIMITS);
    const taken = () => breakers.tryTake('pendingRequests');
    expect([taken(), taken(), taken()]).toEqual([true, true, false]);
    breakers.release('pendingRequests');
    expect([taken(), breakers.tryTake('connections'), breakers.used('pendingRequests')]).toEqual([
      true,
      true,
      2,
    ]);
  });

  test('limits may change under way', () => {
    const breakers = new Breakers(LIMITS);
    expect([breakers.tryTake('retries'), breakers.tryTake('retries')]).toEqual([true, false]);
    breakers.limits = { ...LIMITS, retries: 2 };
    expect(breakers.tryTake('retries')).toBe(true);
  });

  test('count the retries of the last second', () => {
    const breakers = new Breakers(LIMITS);
    for (let i = 0; i < 8; i++) breakers.countRetry(10_000);
    expect(breakers.retriesLastSecond(10_500)).toBe(8);
    // Of those of the second before, the part that lies within the last one.
    expect(breakers.retriesLastSecond(11_250)).toBeCloseTo(6);
    expect(breakers.retriesLastSecond(13_000)).toBe(0);
  });
});
