import { describe, expect, test } from '@jest/globals';
import { formatSpiffeId, parseSpiffeId } from './spiffe-id.ts';

describe('parseSpiffeId', () => {
  const good: Record<string, [trustDomain: string, namespace: string, serviceAccount: string]> = {
    'spiffe://cluster.local/ns/shop/sa/web': ['cluster.local', 'shop', 'web'],
    'spiffe://td:1/ns/a/sa/b': ['td:1', 'a', 'b'],
    'spiffe://acme@corp/ns/a-b/sa/c.d_e': ['acme@corp', 'a-b', 'c.d_e'],
  };
  test.each(Object.entries(good))('%s', (uri, [trustDomain, namespace, serviceAccount]) => {
    const id = { trustDomain, namespace, serviceAccount };
    expect(parseSpiffeId(uri)).toEqual(id);
    expect(formatSpiffeId(id)).toBe(uri);
  });

  const bad: Record<string, string> = {
    'another scheme': 'https://td/ns/a/sa/b',
    'a scheme in capitals': 'SPIFFE://td/ns/a/sa/b',
    'no trust domain': 'spiffe:///ns/a/sa/b',
    'no namespace': 'spiffe://td/ns//sa/b',
    'no service account': 'spiffe://td/ns/a/sa/',
    'too few parts': 'spiffe://td/ns/a',
    'too many parts': 'spiffe://td/ns/a/sa/b/c',
    'a slash at the end': 'spiffe://td/ns/a/sa/b/',
    'other words': 'spiffe://td/namespace/a/serviceaccount/b',
    'a query': 'spiffe://td/ns/a/sa/b?x',
    'a percent sign': 'spiffe://td/ns/a%2f/sa/b',
    'a comma, which other forms use as separator': 'spiffe://td/ns/a/sa/b, URI:spiffe://td/ns/a/sa/c',
    'a line break': 'spiffe://td/ns/a/sa/b\n',
    'a NUL': 'spiffe://td/ns/a/sa/b\0',
    'a space': ' spiffe://td/ns/a/sa/b',
    'letters that only look alike': 'spiffe://td/ns/\u0430/sa/b',
    'a parent directory': 'spiffe://td/ns/../sa/b',
    'far too long': `spiffe://td/ns/a/sa/${'b'.repeat(3_000)}`,
    empty: '',
  };
  test.each(Object.entries(bad))('refuses %s', (_, uri) => {
    expect(parseSpiffeId(uri)).toBeUndefined();
  });
});
