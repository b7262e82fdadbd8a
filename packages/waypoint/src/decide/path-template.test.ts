import { describe, expect, test } from '@jest/globals';
import { parsePathTemplate, pathTemplateMatches } from './path-template.ts';

function matches(text: string, path: string): boolean {
  const template = parsePathTemplate(text);
  if (typeof template === 'string') throw new Error(template);
  return pathTemplateMatches(template, path);
}

describe('path templates', () => {
  test.each([
    ['/foo/{*}', '/foo/bar', true],
    ['/foo/{*}', '/foo/bar/baz', false],
    ['/foo/{*}', '/foo/', false],
    ['/foo/{*}', '/foo', false],
    ['/foo/{**}/', '/foo/bar/', true],
    ['/foo/{**}/', '/foo//', true],
    ['/foo/{**}/', '/foo/bar', false],
    ['/foo/{**}/', '/foo/', false],
    ['/foo/{*}/bar/{**}', '/foo/buzz/bar/', true],
    ['/foo/{*}/bar/{**}', '/foo/buzz/bar/baz', true],
    ['/foo/{*}/bar/{**}', '/foo/buzz/bar/baz/x/', true],
    ['/foo/{*}/bar/{**}', '/foo/buzz/bar', false],
    ['/foo/{*}/bar/{**}', '/foo/buzz/baz/x', false],
    ['/{**}/end', '/a/b/end', true],
    ['/{**}/end', '//end', true],
    ['/{**}/end', '/end', false],
    ['/{**}/end', '/a/bend', false],
    ['/{**}', '/', true],
    ['/{**}', '/a/b', true],
    ['/a/{*}/c', '/a/b/c', true],
    ['/a/{*}/c', '/a/b/c/', false],
    ['/a/{*}', 'a/b', false],
  ])('%s and %s: %s', (template, path, want) => {
    expect(matches(template, path)).toBe(want);
  });

  test('agree with the regular expression that they stand for, over 40 000 random pairs', () => {
    let state = 5;
    const below = (count: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return (state >>> 8) % count;
    };
    const words = (from: readonly string[], count: number) =>
      Array.from({ length: below(count) }, () => from[below(from.length)]).join('/');
    let matched = 0;
    for (let i = 0; i < 40_000; i++) {
      const glob = below(2) === 0 ? '' : `/{**}${below(2) === 0 ? '' : `/${words(['a', 'b'], 3)}`}`;
      const text = `/${words(['a', 'b', '{*}'], 4)}${glob}`;
      const path = `/${words(['a', 'b', ''], 6)}`;
      const pattern = text.replaceAll('{**}', '.*').replaceAll('{*}', '[^/]+');
      const want = new RegExp(`^${pattern}$`).test(path);
      if (matches(text, path) !== want) throw new Error(`${text} and ${path}`);
      matched += want ? 1 : 0;
    }
    expect(matched).toBeGreaterThan(1_000);
  });
});
