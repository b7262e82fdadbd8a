import { describe, expect, test } from '@jest/globals';
import { cookieOf, headerOf, pathOnly, queryParameterOf, splitAuthority } from './request-view.ts';
import { request } from './testing/requests.ts';

describe('query parameters', () => {
  test.each([
    ['/?a=1', 'a', '1'],
    ['/?a=1&b=2', 'b', '2'],
    ['/?ab=1&a=2', 'a', '2'],
    ['/?a=1&a=2', 'a', '1'],
    ['/?a', 'a', ''],
    ['/?a=', 'a', ''],
    ['/?a&b', 'b', ''],
    ['/?a=b=c', 'a', 'b=c'],
    ['/?&&a=1', 'a', '1'],
    ['/?=x', '', 'x'],
    ['/?a=%20+', 'a', '%20+'],
    ['/a=1', 'a', undefined],
    ['/?b=1', 'a', undefined],
    ['/?', 'a', undefined],
  ])('%s has %s: %s', (path, name, want) => {
    expect(queryParameterOf(path, name)).toBe(want);
  });

  test('are found as a plain split finds them, over 50 000 random queries', () => {
    let state = 3;
    const below = (count: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return (state >>> 8) % count;
    };
    let found = 0;
    for (let i = 0; i < 50_000; i++) {
      const path = `/?${Array.from({ length: below(8) }, () => 'ab=&'[below(4)]).join('')}`;
      const pairs = path
        .slice(2)
        .split('&')
        .map((pair) => {
          const [name = '', ...value] = pair.split('=');
          return [name, value.join('=')] as const;
        });
      const want = pairs.find(([name]) => name === 'a')?.[1];
      if (queryParameterOf(path, 'a') !== want) throw new Error(path);
      found += want === undefined ? 0 : 1;
    }
    expect(found).toBeGreaterThan(10_000);
  });
});

describe('cookies', () => {
  test.each([
    ['a=1; b=2', '2'],
    ['b="2"', '2'],
    ['b=""', ''],
    ['b="', '"'],
    ['bb=1;b=2', '2'],
    ['b=1; b=2', '1'],
    ['b', undefined],
    ['', undefined],
  ])('%s', (cookie, want) => {
    expect(cookieOf(request('/', { headers: { cookie } }), 'b')).toBe(want);
  });
});

describe('authorities', () => {
  test.each([
    ['a', 'a', undefined],
    ['a:80', 'a', 80],
    ['a:', 'a:', undefined],
    ['a:b', 'a:b', undefined],
    ['[::1]', '[::1]', undefined],
    ['[::1]:80', '[::1]', 80],
    ['::1', '::1', undefined],
    ['', '', undefined],
  ])('%s', (authority, host, port) => {
    expect(splitAuthority(authority)).toEqual({ host, port });
  });
});

test('headers: all values joined, pseudo-headers by their names, host from the authority', () => {
  const asked = { ...request('/p?q', { authority: 'h' }), fields: ['a', '1', 'b', '2', 'a', '3'] };
  expect(
    ['a', 'b', 'c', 'host', ':authority', ':path', ':method', ':scheme'].map((name) => headerOf(asked, name)),
  ).toEqual(['1,3', '2', undefined, 'h', 'h', '/p?q', 'GET', 'http']);
  expect(pathOnly('/p?q?r')).toBe('/p');
});
