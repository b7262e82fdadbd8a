import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { createRequest } from './certificate-request.ts';
import { derContent, derOf, derValues } from './der.ts';
import { createFakeCa } from './fake-ca.ts';
import { generateKeys } from './keys.ts';
import { readRequest } from './x509.ts';

const ALICE = 'spiffe://td/ns/shop/sa/alice';

describe('createRequest', () => {
  test.each([
    ['ECDSA P-256', () => generateKeys()],
    ['ECDSA P-384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' })],
    ['RSA', () => generateKeyPairSync('rsa', { modulusLength: 2_048 })],
  ])('of a key of kind %s is read and signed by a CA', async (_, make) => {
    const keys = await make();
    const csrPem = createRequest(ALICE, keys);
    const { publicKey, commonName } = await readRequest(csrPem);
    expect(publicKey.equals(keys.publicKey)).toBe(true);
    expect(commonName).toBeUndefined();
    const ca = await createFakeCa({ clock: systemClock });
    const [leaf = ''] = await ca.issue({ csrPem, identities: [ALICE], ttlMs: 0 });
    expect(new X509Certificate(leaf).checkPrivateKey(keys.privateKey)).toBe(true);
  });

  test('is, but for key and signature, these bytes: version 0, no subject, one critical URI name', async () => {
    const { publicKey, privateKey } = await generateKeys();
    const csr = createRequest(ALICE, { publicKey, privateKey });
    const der = Buffer.from(csr.split('\n').slice(1, -2).join(''), 'base64');
    const [info] = derValues(derContent(der, 0x30) ?? new Uint8Array(), 3) ?? [];
    const key = publicKey.export({ format: 'der', type: 'spki' }).toString('hex');
    const name = `861c${Buffer.from(ALICE).toString('hex')}`;
    const attributes = `a03d303b06092a864886f70d01090e312e302c302a0603551d110101ff0420301e${name}`;
    expect(Buffer.from(info?.content ?? []).toString('hex')).toBe(`0201003000${key}${attributes}`);
  });

  test('a name that is no identity, or a key of another kind, is refused', async () => {
    const keys = await generateKeys();
    expect(() => createRequest('spiffe://td/ns/shop', keys)).toThrow('not a SPIFFE identity');
    expect(() => createRequest(ALICE, generateKeyPairSync('ed25519'))).toThrow('unsupported key: ed25519');
  });
});

test.each([0, 1, 127, 128, 255, 256, 65_535, 65_536])('a DER value of %d bytes is read back', (length) => {
  const content = Buffer.alloc(length, 7);
  expect(derValues(derOf(0x04, content), 1)?.[0]?.content.length).toBe(length);
});
