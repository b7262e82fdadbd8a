/**
 * INSECURE, for tests and trials: a CA whose root key everybody knows.
 *
 * Its key follows from a constant below, so that two ztunnels started with `FAKE_CA=true` trust each other without
 * having met, and no private key lies in a repository. Whoever reads this file can be anybody in such a mesh.
 */
import type { AuthorityOptions, CertificateAuthority } from './certificate-authority.ts';
import { insecureKeysFromSeed } from './keys.ts';

const SEED = 'ambit insecure fake CA: everybody knows this key';
const SERIAL = '466b';
const NOT_BEFORE_MS = Date.UTC(2024, 0, 1);
const NOT_AFTER_MS = Date.UTC(2124, 0, 1);

/** The CA of `FAKE_CA=true`. Every process that makes one trusts every other's certificates. */
export async function createFakeCa(options: AuthorityOptions): Promise<CertificateAuthority> {
  // Loaded only here: proxies that have a real CA need not pay for the X.509 library.
  const { CertificateAuthority: Authority } = await import('./certificate-authority.ts');
  const { createAuthority } = await import('./x509.ts');
  const keys = insecureKeysFromSeed(SEED);
  const certificatePem = await createAuthority({
    organization: 'ambit INSECURE fake CA',
    keys,
    serial: SERIAL,
    notBeforeMs: NOT_BEFORE_MS,
    notAfterMs: NOT_AFTER_MS,
  });
  const signer = { certificatePem, privateKey: keys.privateKey };
  return new Authority({ signer, chainPem: [], rootsPem: [certificatePem] }, options);
}
