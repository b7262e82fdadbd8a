import { describe, expect, test } from '@jest/globals';
import { LinearRegex } from '@ambit/core/linear-regex';
import { MAX_SHOWN_CHARS, MAX_SHOWN_ITEMS } from './limits.ts';
import { shown } from './shown.ts';

describe('shown', () => {
  const regex = LinearRegex.compile('a+');
  const cases: Record<string, { readonly value: unknown; readonly want: unknown }> = {
    'maps and sets as JSON has them': {
      value: { map: new Map([['a', new Set([1, 2])]]), big: 3n, none: undefined },
      want: { map: { a: [1, 2] }, big: '3', none: undefined },
    },
    'a pattern as it was written': { value: regex.kind === 'regex' && regex.regex, want: 'a+' },
    'bytes by their number': { value: new Uint8Array(5), want: '5 bytes' },
    'no header that lets somebody in': {
      value: [
        { name: 'authorization', value: 'Bearer x' },
        { name: 'x-version', value: '2' },
      ],
      want: [
        { name: 'authorization', value: '(hidden)' },
        { name: 'x-version', value: '2' },
      ],
    },
    'a long text cut': {
      value: 'x'.repeat(MAX_SHOWN_CHARS + 1),
      want: `${'x'.repeat(MAX_SHOWN_CHARS)}…`,
    },
  };

  test.each(Object.entries(cases))('%s', (_, { value, want }) => {
    expect(shown(value)).toEqual(want);
  });

  test('a long list cut, and the rest counted', () => {
    const many = Array.from({ length: MAX_SHOWN_ITEMS + 2 }, (_, i) => i);
    expect((shown(many) as unknown[]).slice(-2)).toEqual([MAX_SHOWN_ITEMS - 1, 'and 2 more']);
    const map = shown(new Map(many.map((i) => [`k${i}`, i])));
    expect(Object.entries(map as object).at(-1)).toEqual(['…', 'and 2 more']);
  });
});
