import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { spiffeIdentities, uriNames } from './alternative-names.ts';
import { insecureKeysFromSeed } from './keys.ts';
import { createLeaf, type SubjectNames } from './x509.ts';
import { createFakeCa } from './fake-ca.ts';
import { systemClock } from '@ambit/core/clock';

const ALICE = 'spiffe://td/ns/shop/sa/alice';
const ADMIN = 'spiffe://td/ns/kube-system/sa/admin';
const keys = insecureKeysFromSeed('a test key');

async function certificate(names: SubjectNames): Promise<Buffer> {
  const { signer } = (await createFakeCa({ clock: systemClock })).material;
  const validity = { notBeforeMs: Date.UTC(2025, 0), notAfterMs: Date.UTC(2026, 0) };
  return new X509Certificate(await createLeaf({ names, publicKey: keys.publicKey, ...validity }, signer)).raw;
}

/** `der` with the URI name `from` replaced by bytes of the same length. */
function forged(der: Buffer, from: string, to: string): Buffer {
  expect(to).toHaveLength(from.length);
  const at = der.indexOf(from);
  expect(at).toBeGreaterThan(0);
  const copy = Buffer.from(der);
  copy.write(to, at, 'latin1');
  return copy;
}

describe('names of a certificate', () => {
  test('are the URI names in their order, and no other kind', async () => {
    const der = await certificate({
      uris: ['https://x', ALICE, ADMIN],
      dnsNames: [ADMIN.slice(9)],
      ips: ['10.0.0.1'],
    });
    expect(uriNames(der)).toEqual(['https://x', ALICE, ADMIN]);
    expect(spiffeIdentities(der)).toEqual([ALICE, ADMIN]);
  });

  const placeholder = (text: string) => `urn:${'x'.repeat(text.length - 4)}`;
  const hostile: Record<string, string> = {
    'a comma and what looks like the next name': `${ALICE}, URI:${ADMIN}`,
    'a line break': `${ALICE}\n${ADMIN}`,
    'a NUL that would end a C string': `${ADMIN}\0.attacker`,
    quotes: `"${ADMIN}"`,
    'bytes above ASCII': `${ADMIN}\u00e9`,
  };
  test.each(Object.entries(hostile))('one that holds %s is no identity', async (_, name) => {
    const der = forged(await certificate({ uris: [placeholder(name)] }), placeholder(name), name);
    expect(spiffeIdentities(der)).toEqual([]);
    const beside = forged(await certificate({ uris: [placeholder(name), ALICE] }), placeholder(name), name);
    expect(spiffeIdentities(beside)).toEqual([ALICE]);
  });

  test('an identity in a DNS name or in the common name counts for nothing', async () => {
    expect(spiffeIdentities(await certificate({ dnsNames: [ALICE], commonName: ALICE }))).toEqual([]);
  });

  test('no alternative names at all', async () => {
    const root = (await createFakeCa({ clock: systemClock })).material.rootsPem[0] ?? '';
    expect(uriNames(new X509Certificate(root).raw)).toEqual([]);
  });

  test('no cut and no flipped bit makes it throw, hang or invent a name', async () => {
    const der = await certificate({ uris: [ALICE] });
    for (let length = 0; length < der.length; length++)
      expect(spiffeIdentities(der.subarray(0, length))).toEqual([]);
    for (let at = 0; at < der.length * 8; at++) {
      const copy = Buffer.from(der);
      copy[at >> 3] = (copy[at >> 3] ?? 0) ^ (1 << (at & 7));
      for (const identity of spiffeIdentities(copy))
        expect(identity).toMatch(/^spiffe:\/\/[^/]+\/ns\/[^/]+\/sa\/[^/]+$/);
    }
  });
});
