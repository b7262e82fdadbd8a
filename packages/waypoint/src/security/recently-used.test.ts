import { describe, expect, test } from '@jest/globals';
import { RecentlyUsed } from './recently-used.ts';

describe('values that were used recently', () => {
  const cases: Record<string, { use: readonly string[]; left: readonly (number | undefined)[] }> = {
    'the first that was put there goes first': { use: [], left: [undefined, 2, 3] },
    'one that was asked for stays': { use: ['a'], left: [1, undefined, 3] },
    'the last one asked for again changes nothing': { use: ['a', 'a', 'a'], left: [1, undefined, 3] },
    'two by turns both stay': { use: ['a', 'b', 'a', 'b'], left: [1, 2, undefined] },
    'one that is not there is no use': { use: ['d'], left: [undefined, 2, 3] },
  };
  test.each(Object.entries(cases))('%s', (_, { use, left }) => {
    const known = new RecentlyUsed<number>();
    for (const [i, key] of ['a', 'b', 'c'].entries()) known.set(key, i + 1);
    for (const key of use) known.get(key);
    expect(known.dropOldest()).toBe(['a', 'b', 'c'][left.indexOf(undefined)]);
    expect(['a', 'b', 'c'].map((key) => known.get(key))).toEqual(left);
  });

  test('a value that takes the place of another was used last, and there are none when all are gone', () => {
    const known = new RecentlyUsed<number>();
    known.set('a', 1);
    known.set('b', 2);
    known.set('a', 3);
    expect([...known.values()]).toEqual([2, 3]);
    expect([known.dropOldest(), known.dropOldest(), known.dropOldest()]).toEqual(['b', 'a', undefined]);
    known.set('a', 4);
    expect([known.size, known.get('a')]).toEqual([1, 4]);
  });
});
