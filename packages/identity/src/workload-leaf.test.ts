import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { spiffeIdentities } from './alternative-names.ts';
import { CertificateAuthority } from './certificate-authority.ts';
import { createRequest } from './certificate-request.ts';
import { createFakeCa } from './fake-ca.ts';
import { generateKeys, insecureKeysFromSeed } from './keys.ts';
import { signedFields } from './testing/signed-fields.ts';
import { createWorkloadLeaf } from './workload-leaf.ts';
import { createAuthority, createLeaf, type Signer } from './x509.ts';

const ALICE = 'spiffe://td/ns/shop/sa/alice';
const VALIDITY = { notBeforeMs: Date.UTC(2026, 0, 2, 3, 4, 5), notAfterMs: Date.UTC(2051, 5, 7, 8, 9, 10) };

async function signerWith(keys: Awaited<ReturnType<typeof generateKeys>>): Promise<Signer> {
  const validity = { notBeforeMs: 0, notAfterMs: Date.UTC(2099, 0) };
  const certificatePem = await createAuthority({
    organization: 'Ämbit',
    commonName: 'root',
    keys,
    ...validity,
  });
  return { certificatePem, privateKey: keys.privateKey };
}

describe('createWorkloadLeaf', () => {
  test('says to the bit what the X.509 library says', async () => {
    const signer = await signerWith(await generateKeys());
    const { publicKey } = await generateKeys();
    const ours = createWorkloadLeaf({ identity: ALICE, publicKey, ...VALIDITY }, signer);
    const theirs = await createLeaf({ names: { uris: [ALICE] }, publicKey, ...VALIDITY }, signer);
    expect(signedFields(ours)).toEqual(signedFields(theirs));
    expect(spiffeIdentities(new X509Certificate(ours).raw)).toEqual([ALICE]);
  });

  test.each([
    ['ECDSA P-256', () => generateKeys()],
    ['ECDSA P-384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' })],
    ['RSA', () => generateKeyPairSync('rsa', { modulusLength: 2_048 })],
  ])('is signed by a CA whose key is %s', async (_, make) => {
    const signer = await signerWith(await make());
    const { publicKey } = await generateKeys();
    const leaf = new X509Certificate(createWorkloadLeaf({ identity: ALICE, publicKey, ...VALIDITY }, signer));
    expect(leaf.verify(createPublicKey(signer.privateKey))).toBe(true);
    expect(leaf.checkIssued(new X509Certificate(signer.certificatePem))).toBe(true);
  });

  test('no two have one serial number', async () => {
    const signer = await signerWith(await generateKeys());
    const { publicKey } = await generateKeys();
    const make = () =>
      new X509Certificate(createWorkloadLeaf({ identity: ALICE, publicKey, ...VALIDITY }, signer));
    expect(make().serialNumber).not.toBe(make().serialNumber);
  });
});

test.each([
  ['ECDSA P-256', () => generateKeys(), 'ecdsa-with-SHA256'],
  ['ECDSA P-384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' }), 'ecdsa-with-SHA384'],
  ['RSA', () => generateKeyPairSync('rsa', { modulusLength: 2_048 }), 'sha256WithRSAEncryption'],
])('an authority whose key is %s signs requests as its key asks for', async (_, make, algorithm) => {
  const signer = await signerWith(await make());
  const ca = new CertificateAuthority(
    { signer, chainPem: [], rootsPem: [signer.certificatePem] },
    { clock: systemClock },
  );
  const csrPem = createRequest(ALICE, await generateKeys());
  for (const identities of [[ALICE], [ALICE, `${ALICE}2`]]) {
    const [pem = ''] = await ca.issue({ csrPem, identities, ttlMs: 0 });
    const leaf = new X509Certificate(pem);
    expect([leaf.signatureAlgorithm, leaf.verify(createPublicKey(signer.privateKey))]).toEqual([
      algorithm,
      true,
    ]);
    expect(spiffeIdentities(leaf.raw)).toEqual(identities);
  }
});

test("the fake CA's certificate has the key that everybody knows, and is signed with it", async () => {
  const { signer } = (await createFakeCa({ clock: systemClock })).material;
  const root = new X509Certificate(signer.certificatePem);
  const keys = insecureKeysFromSeed('ambit insecure fake CA: everybody knows this key');
  expect(root.publicKey.equals(keys.publicKey) && root.checkPrivateKey(signer.privateKey)).toBe(true);
  expect([root.verify(keys.publicKey), root.ca, root.subject]).toEqual([
    true,
    true,
    'O=ambit INSECURE fake CA',
  ]);
});
