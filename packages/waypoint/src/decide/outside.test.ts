import { describe, expect, test } from '@jest/globals';
import { nameBelow } from './outside.ts';

describe('a name below a wildcard', () => {
  test.each([
    ['*.example.com', 'a.example.com', 'a.example.com'],
    ['*.example.com', 'A.b.Example.COM.', 'a.b.example.com'],
    ['*.example.com', 'a.example.com:8443', 'a.example.com'],
    ['*-eu.example.com', 'shop-eu.example.com', 'shop-eu.example.com'],
    ['*.Example.com', '_a.example.com', '_a.example.com'],
    ['*', 'anything.test', 'anything.test'],
  ])('%s: %s is looked up', (wildcard, host, name) => {
    expect(nameBelow(wildcard, host)).toBe(name);
  });

  test.each([
    ['*.example.com', 'example.com'],
    ['*.example.com', '.example.com'],
    ['*.example.com', 'badexample.com'],
    ['*.example.com', 'a.example.com.evil.test'],
    ['*.example.com', 'a.example.org'],
    ['*.example.com', 'a..example.com'],
    ['*.example.com', '*.example.com'],
    ['*.example.com', 'a b.example.com'],
    ['*.example.com', 'ä.example.com'],
    ['*.example.com', 'user@a.example.com'],
    ['*.example.com', `${'a'.repeat(64)}.example.com`],
    ['*.example.com', `${'a.'.repeat(125)}example.com`],
    ['*-eu.example.com', '-eu.example.com'],
    ['*', '192.0.2.1'],
    ['*', '192.0.2.1:80'],
    ['*', '[2001:db8::1]:80'],
    ['*', ''],
  ])('%s: %s is none', (wildcard, host) => {
    expect(nameBelow(wildcard, host)).toBeUndefined();
  });
});
