import { describe, expect, test } from '@jest/globals';
import { isSecretName } from './secret-names.ts';

describe('what a header says is hidden', () => {
  test.each([
    'authorization',
    'Proxy-Authorization',
    'cookie',
    'set-cookie',
    'x-api-key',
    'api-key',
    'apikey',
    'X_API_KEY',
    'x-auth-token',
    'x-access-token',
    'x-amz-security-token',
    'x-csrf-token',
    'x-vault-token',
    'x-goog-iap-jwt-assertion',
    'ocp-apim-subscription-key',
    'x-functions-key',
    'x-session-id',
    'x-hub-signature',
    'x-client-secret',
    'x-forwarded-client-cert',
    'password',
  ])('%s', (name) => {
    expect(isSecretName(name)).toBe(true);
  });
});

describe('what a header says is shown', () => {
  test.each([
    'x-version',
    'x-request-id',
    'host',
    ':authority',
    'x-author',
    'x-tokenizer',
    'x-key',
    'cache-key',
    'user-agent',
    'idempotency-key',
    'content-type',
    'x-user',
    'x-forwarded-for',
  ])('%s', (name) => {
    expect(isSecretName(name)).toBe(false);
  });
});
