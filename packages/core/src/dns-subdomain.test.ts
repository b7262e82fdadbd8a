import { expect, test } from '@jest/globals';
import { isDnsSubdomain } from './dns-subdomain.ts';

test.each(['a', '0', 'web-0', 'a.b-c.9d', 'a'.repeat(253)])('%j is one', (text) => {
  expect(isDnsSubdomain(text)).toBe(true);
});

test.each([
  '',
  '.',
  '..',
  'a..b',
  'a.',
  '.a',
  '-a',
  'a-',
  'a.-b',
  'A',
  'a_b',
  'a/b',
  'a=b',
  'a b',
  'a\n',
  'ä',
  'a'.repeat(254),
])('%j is none', (text) => expect(isDnsSubdomain(text)).toBe(false));
