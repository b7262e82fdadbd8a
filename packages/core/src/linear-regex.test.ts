import { describe, expect, test } from '@jest/globals';
import { LinearRegex } from './linear-regex.ts';

function compile(pattern: string, ignoreCase = false): LinearRegex {
  const compiled = LinearRegex.compile(pattern, { ignoreCase });
  if (compiled.kind === 'problem') throw new Error(compiled.problem);
  return compiled.regex;
}

describe('a pattern', () => {
  test.each([
    ['/a.*', '/abc', true],
    ['/a', '/ab', false],
    ['a|b', 'b', true],
    ['', '', true],
    ['[^a-c]+', 'xyz', true],
    ['(?i)abc', 'aBC', true],
    ['\\d{2,3}', '123', true],
    ['\\pL+', 'äß', true],
    ['.', '\n', false],
  ])('%s and %j: %s', (pattern, text, want) => {
    expect(compile(pattern).matches(text)).toBe(want);
  });

  test('may be asked to overlook case', () => {
    expect([compile('/Ab', true).matches('/aB'), compile('/Ab').matches('/aB')]).toEqual([true, false]);
  });

  test.each([
    ['(', /regex \(:/],
    ['a**', /invalid/],
    ['(?=a)b', /regex/],
    ['(a)\\1', /regex/],
    ['a{1001}', /repeat/],
    ['(((a{30}){30}){30})', /regex/],
    ['x'.repeat(1_025), /longer than 1024/],
    ['[ab]{900}[ab]{900}', /steps/],
  ])('%s is none', (pattern, problem) => {
    const compiled = LinearRegex.compile(pattern);
    expect(compiled.kind === 'problem' && compiled.problem).toMatch(problem);
  });

  test('is tried on no text that would cost too much', () => {
    const cheap = compile('a*');
    expect([cheap.matches('a'.repeat(8_192)), cheap.matches('a'.repeat(8_193))]).toEqual([true, false]);
    const dear = compile('[ab]*a[ab]{300}');
    expect([dear.matches('a'.repeat(1_000)), dear.matches('a'.repeat(8_000))]).toEqual([true, false]);
  });
});

describe('replacing', () => {
  test.each([
    ['a', ['b'], 'aXa', 'bXb'],
    ['(\\w+)/(\\w+)', [2, '-', 1, '-', 0], 'x/y', 'y-x-x/y'],
    ['(a)|b', ['[', 1, ']'], 'ab', '[a][]'],
    ['', ['-'], 'ab', '-a-b-'],
    ['z', ['y'], 'ab', 'ab'],
    ['a*', ['x'], 'baac', 'xbxcx'],
  ])('%s by %j in %s', (pattern, parts, text, want) => {
    expect(compile(pattern).replaceAll(text, parts)).toBe(want);
  });

  test('replaces no more than may be looked for, and keeps the rest', () => {
    const text = 'x'.repeat(2_000);
    const replaced = compile('(x*y)|').replaceAll(text, ['z']);
    expect(replaced.length).toBeLessThan(2_100);
    expect(replaced.replaceAll('z', '')).toBe(text);
    const dear = compile('[ab]*a[ab]{300}');
    expect(dear.replaceAll('a'.repeat(8_000), ['z'])).toBe('a'.repeat(8_000));
  });
});

test('any text is a pattern or a problem, and no pattern breaks: 20 000 random ones', () => {
  let state = 17;
  const below = (count: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % count;
  };
  const pieces = [
    'a',
    'b',
    '(',
    ')',
    '[',
    ']',
    '*',
    '+',
    '?',
    '{2}',
    '{1,3}',
    '|',
    '.',
    '^',
    '$',
    '\\',
    '\\d',
    '[^a]',
    '(?i)',
    '(?:',
    '\ud800',
    '-',
  ];
  const kinds = { regex: 0, problem: 0 };
  for (let i = 0; i < 20_000; i++) {
    const compiled = LinearRegex.compile(
      Array.from({ length: below(9) }, () => pieces[below(pieces.length)]).join(''),
    );
    kinds[compiled.kind] += 1;
    if (compiled.kind === 'problem') continue;
    const { regex } = compiled;
    regex.matches('abab');
    regex.replaceAll(
      'abab',
      Array.from({ length: regex.groups + 1 }, (_, group) => group),
    );
  }
  expect(Math.min(kinds.regex, kinds.problem)).toBeGreaterThan(2_000);
});
