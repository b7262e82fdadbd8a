import { expect, test } from '@jest/globals';
import { request } from '../decide/testing/requests.ts';
import type { JwtRule, TokenLocation } from '../resources/request-authentication.ts';
import { findTokens } from './find-tokens.ts';
import { withToken } from './place-token.ts';

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
const TOKEN = `${part({ alg: 'ES256' })}.${part({ iss: 'second' })}.c2ln`;

const rule = (issuer: string, location: TokenLocation) =>
  ({ issuer, locations: [location] }) as unknown as JwtRule;

test.each<TokenLocation>([
  { kind: 'header', name: 'x-token', prefix: 'Token ' },
  { kind: 'cookie', name: 'session' },
  { kind: 'query-parameter', name: 'access token' },
])('a token is found where it was put: %j', (location) => {
  const rules = [rule('first', { kind: 'header', name: 'x-first', prefix: '' }), rule('second', location)];
  const placed = withToken(request('/a?b=c', {}), TOKEN, rules);
  expect(findTokens({ locations: [location] }, placed)).toEqual([TOKEN]);
  expect(rules[0] && findTokens(rules[0], placed)).toEqual([]);
});

test('without a rule a token is a bearer token', () => {
  const { fields } = withToken(request('/', {}), TOKEN, []);
  expect(fields.slice(-2)).toEqual(['authorization', `Bearer ${TOKEN}`]);
});
