import { expect, test } from '@jest/globals';
import { asciiLowerCase, isCookiePath, isToken } from './http-text.ts';

test.each([
  ['GET', true],
  ['x-request-id', true],
  ["!#$%&'*+-.^_`|~0aA", true],
  ['', false],
  ['a b', false],
  ['a:b', false],
  ['a\n', false],
  ['\u00e4', false],
])('%j is a token: %s', (text, want) => expect(isToken(text)).toBe(want));

test.each([
  ['', true],
  ['/a b', true],
  ['/a;b', false],
  ['/a\r\n', false],
  ['/\u00e4', false],
])('%j is a path of a cookie: %s', (text, want) => expect(isCookiePath(text)).toBe(want));

test.each([
  ['Ab-Z', 'ab-z'],
  ['\u00c4B', '\u00c4b'],
  ['\u0130I', '\u0130i'],
  ['', ''],
])('%j in lower case is %j', (text, want) => expect(asciiLowerCase(text)).toBe(want));
