import { describe, expect, test } from '@jest/globals';
import type { PathNormalization } from '../resources/mesh-settings.ts';
import { normalizePath } from './normalize-path.ts';

function normalized(mode: PathNormalization, path: string): string {
  const result = normalizePath(mode, path);
  return result.kind === 'path' ? result.path : result.reason;
}

describe('a path', () => {
  const cases: Record<string, [path: string, base: string, merge?: string, decode?: string]> = {
    'as usual': ['/a/b?c=/../d', '/a/b?c=/../d'],
    'a parent': ['/a/../b', '/b'],
    'dots, as Istio documents': ['/public/./data/abc/../xyz', '/public/data/xyz'],
    'above the root': ['/../../a', '/a'],
    'a parent at the end': ['/a/b/..', '/a/'],
    'a parent of the root': ['/..', '/'],
    'a dot at the end': ['/a/.', '/a/'],
    'a dot alone': ['/.', '/'],
    'names that begin with dots': ['/.a/..b/...', '/.a/..b/...'],
    'encoded dots': ['/a/%2e%2E/b', '/b'],
    'a dot half encoded': ['/a/.%2e/b', '/b'],
    'unreserved characters': ['/%61%42%39%2D%5f%7e', '/aB9-_~'],
    'an encoded percent sign': ['/a/%252e%252e/b', '/a/%252e%252e/b'],
    'reserved characters': ['/a%3Fb%23c%20d%40', '/a%3Fb%23c%20d%40'],
    'the neighbours of letters and digits': [
      '/%40%5B%60%7B%2F',
      '/%40%5B%60%7B%2F',
      '/%40%5B%60%7B%2F',
      '/%40%5B%60%7B/',
    ],
    'no triplet at all is refused': ['/a%zz%', 'bad-percent-encoding'],
    backslashes: ['/some\\data', '/some/data'],
    'a backslash and a parent': ['/a\\..\\b', '/b'],
    slashes: ['/some//data///abc', '/some//data///abc', '/some/data/abc'],
    'an empty segment has a parent': ['/a//../b', '/a/b'],
    'an encoded slash, as Istio documents': [
      '/some%2fdata/%61%62%63',
      '/some%2fdata/abc',
      '/some%2fdata/abc',
      '/some/data/abc',
    ],
    'encoded slashes and a parent': ['/a%2F..%2fb', '/a%2F..%2fb', '/a%2F..%2fb', '/b'],
    'an encoded backslash': ['/a%5cb', '/a%5cb', '/a%5cb', '/a/b'],
    'encoded backslashes in a row': ['/a%5C%5cb', '/a%5C%5cb', '/a%5C%5cb', '/a/b'],
    'a query is left alone': ['/a//b?x=%2e%2e//\\', '/a//b?x=%2e%2e//\\', '/a/b?x=%2e%2e//\\'],
    'NUL is refused': ['/a%00', 'nul-in-path'],
    'NUL in a query is not ours': ['/a?%00', '/a?%00'],
    'a fragment is refused': ['/a#b', 'fragment-in-path'],
    'a fragment behind a query too': ['/a?b#c', 'fragment-in-path'],
    'an escape cut short is refused': ['/a%2', 'bad-percent-encoding'],
    'a percent sign alone is refused': ['/100%', 'bad-percent-encoding'],
    'an escape that decoding would complete is refused': ['/x/%2%65%2%65/admin', 'bad-percent-encoding'],
    'so is one within an escape': ['/x/%%32%65/admin', 'bad-percent-encoding'],
    'a percent sign in a query is not ours': ['/a?100%', '/a?100%'],
    'an asterisk is none': ['*', 'no-path'],
    'nor is nothing': ['', 'no-path'],
    'nor a name': ['admin', 'no-path'],
  };

  test.each(Object.entries(cases))('%s', (_, [path, base, merge = base, decode = merge]) => {
    expect(normalized('BASE', path)).toBe(base);
    expect(normalized('MERGE_SLASHES', path)).toBe(merge);
    expect(normalized('DECODE_AND_MERGE_SLASHES', path)).toBe(decode);
  });

  test('NONE changes nothing, and refuses what is never a path', () => {
    expect(normalized('NONE', '/a//../%2e\\')).toBe('/a//../%2e\\');
    expect(normalized('NONE', '/%00')).toBe('nul-in-path');
  });

  test('is the same when normalized again, and holds nothing that the mode removes: 60 000 random ones', () => {
    let state = 11;
    const below = (count: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return (state >>> 8) % count;
    };
    const parts = [
      '/',
      '/',
      '.',
      '..',
      'a',
      '%2e',
      '%2F',
      '%5c',
      '\\',
      '%25',
      '2e',
      '%41',
      '%',
      '%zz',
      'é',
      ';',
    ];
    const modes = ['BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'] as const;
    let changed = 0;
    for (let i = 0; i < 60_000; i++) {
      const path = `/${Array.from({ length: below(9) }, () => parts[below(parts.length)]).join('')}`;
      const mode = modes[i % 3] ?? 'BASE';
      const once = normalized(mode, path);
      changed += once === path ? 0 : 1;
      if (once === 'bad-percent-encoding') continue;
      const isClean =
        once.startsWith('/') &&
        !once.includes('\\') &&
        !/\/\.{1,2}(\/|$)/.test(once) &&
        (mode === 'BASE' || !once.includes('//'));
      if (!isClean) throw new Error(`${mode} leaves ${once} of ${path}`);
      // A second decoding, as the application does one, finds nothing new.
      if (normalized(mode, once) !== once) {
        throw new Error(`${mode} makes ${path} ${once}, and that ${normalized(mode, once)}`);
      }
    }
    expect(changed).toBeGreaterThan(20_000);
  });
});
