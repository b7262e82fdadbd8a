/** The way from what signs to a root that peers trust, and how long it lasts. */
import { X509Certificate } from 'node:crypto';
import type { AuthorityMaterial } from './certificate-authority.ts';

export function isIssuer(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** Of certificates that would all do, such as one that was renewed with its key, the one that lasts longest. */
export function longestLasting(certificates: readonly X509Certificate[]): X509Certificate | undefined {
  return certificates.toSorted((one, other) => expiryMs(other) - expiryMs(one))[0];
}

/** The root that vouches for what signs, which may be the root itself; `undefined`: none of those that are trusted does. */
export function rootOf({ signer, chainPem, rootsPem }: AuthorityMaterial): X509Certificate | undefined {
  const top = new X509Certificate(chainPem.at(-1) ?? signer.certificatePem);
  const roots = rootsPem.map((pem) => new X509Certificate(pem));
  return longestLasting(roots.filter((root) => isIssuer(root, top)));
}

/**
 * When the first certificate expires that peers need to believe what is signed; milliseconds since 1970. A root counts as
 * any other, since peers look at its dates too.
 */
export function trustedUntilMs(material: AuthorityMaterial): number {
  const path = [material.signer.certificatePem, ...material.chainPem].map((pem) => new X509Certificate(pem));
  const root = rootOf(material);
  return Math.min(...[...path, ...(root ? [root] : [])].map(expiryMs));
}

function expiryMs(certificate: X509Certificate): number {
  return certificate.validToDate.getTime();
}
