import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { generateKeys } from './keys.ts';
import { createOwnRoot, isPlainName } from './own-root.ts';
import { signedFields } from './testing/signed-fields.ts';
import { createAuthority } from './x509.ts';

const VALIDITY = { notBeforeMs: Date.UTC(2026, 0, 2, 3, 4, 5), notAfterMs: Date.UTC(2051, 5, 7, 8, 9, 10) };

describe('createOwnRoot', () => {
  test.each([
    ['cluster.local', () => generateKeys()],
    ["a 'b' (c) + d, e - f. /g: h = i?", () => generateKeys()],
    ['Ämbit & Söhne', () => generateKeys()],
    ['under_score@at*star', () => generateKeys()],
    ['x'.repeat(200), () => generateKeys()],
    ['a#b', () => generateKeys()],
    ['', () => generateKeys()],
    ['RSA', () => generateKeyPairSync('rsa', { modulusLength: 2_048 })],
  ])('says to the bit what the X.509 library says: %j', async (organization, make) => {
    const keys = await make();
    const ours = createOwnRoot({ organization, keys, ...VALIDITY });
    const theirs = await createAuthority({ organization, keys, ...VALIDITY });
    expect(signedFields(ours)).toEqual(signedFields(theirs));
    const read = new X509Certificate(ours);
    expect(read.verify(keys.publicKey)).toBe(true);
    expect(read.ca).toBe(true);
  });

  test.each([
    ['cluster.local', true],
    ['Ämbit & Söhne', true],
    ['a\\b', false],
    ['#abc', false],
    ['a#b', true],
    ['\ud800', false],
  ])('a name is plain or not: %j', (organization, plain) => {
    expect(isPlainName(organization)).toBe(plain);
  });

  test('no two have one serial number', async () => {
    const keys = await generateKeys();
    const make = () =>
      new X509Certificate(createOwnRoot({ organization: 'a', keys, ...VALIDITY })).serialNumber;
    expect(make()).not.toBe(make());
  });
});
