import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { checkServerIdentity } from 'node:tls';
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { createRequest } from './certificate-request.ts';
import { derContent, derOf, derValues, SEQUENCE } from './der.ts';
import { createFakeCa } from './fake-ca.ts';
import { generateKeys } from './keys.ts';
import { toPem } from './pem.ts';
import { integerOf, oidOf, signedOf } from './signed-der.ts';
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
    expect((await readRequest(csrPem)).equals(keys.publicKey)).toBe(true);
    expect((await readRequest(csrPem.replaceAll('\n', '\r\n'))).equals(keys.publicKey)).toBe(true);
    const ca = await createFakeCa({ clock: systemClock });
    const [leaf = ''] = await ca.issue({ csrPem, identities: [ALICE], ttlMs: 0 });
    expect(new X509Certificate(leaf).checkPrivateKey(keys.privateKey)).toBe(true);
  });

  test('gives the CA a key and no name: what else it says is in no certificate', async () => {
    const { publicKey, privateKey } = await generateKeys();
    const name = derOf(
      SEQUENCE,
      oidOf(0x55, 0x04, 0x03),
      derOf(0x0c, Buffer.from('istiod.istio-system.svc')),
    );
    const subject = derOf(SEQUENCE, derOf(0x31, name));
    const key = publicKey.export({ format: 'der', type: 'spki' });
    const info = derOf(SEQUENCE, integerOf(0), subject, key, derOf(0xa0));
    const csrPem = toPem(signedOf(info, privateKey), 'CERTIFICATE REQUEST');
    const ca = await createFakeCa({ clock: systemClock });
    const [leaf = ''] = await ca.issue({ csrPem, identities: [ALICE], ttlMs: 0 });
    const certificate = new X509Certificate(leaf);
    expect(certificate.subject).toBeUndefined();
    expect(checkServerIdentity('istiod.istio-system.svc', certificate.toLegacyObject())?.message).toMatch(
      'does not match',
    );
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
