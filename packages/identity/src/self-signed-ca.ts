/**
 * The CA a mesh has when its operator brings none: a root that signs itself, and an intermediate where wanted.
 *
 * The library for X.509 is loaded for an intermediate, and for a key or a name that is not a common one.
 *
 * A root is renewed with the same key and a later expiry, so nothing that it signed becomes invalid; for a new key see
 * root-rotation.ts.
 */
import { createPublicKey, X509Certificate } from 'node:crypto';
import type { Clock } from '@ambit/core/clock';
import {
  type AuthorityMaterial,
  type AuthorityOptions,
  CertificateAuthority,
} from './certificate-authority.ts';
import { generateKeys } from './keys.ts';
import { ROOT_LIFETIME_MS } from './limits.ts';
import { createOwnRoot, isPlainName } from './own-root.ts';
import { signsBySha256 } from './signed-der.ts';
import type { KeyPair, Signer, Validity } from './x509.ts';

export interface SelfSignedOptions {
  /** Istio puts its trust domain here. Default `cluster.local`. */
  readonly organization?: string;
  /** Sign workloads by an intermediate below the root. Default false, as Istio. */
  readonly intermediate?: boolean;
  /** Default 10 years. */
  readonly lifetimeMs?: number;
}

/** A self-signed root is renewed in the last fifth of its life. */
const RENEW_IN_LAST_SHARE = 0.2;
const CLOCK_SKEW_MS = 2 * 60_000;
const DEFAULT_ORGANIZATION = 'cluster.local';

export async function createSelfSignedCa(
  options: SelfSignedOptions & AuthorityOptions,
): Promise<CertificateAuthority> {
  return new CertificateAuthority(await createSelfSignedMaterial(options, options.clock), options);
}

/** A new root with a new key; and an intermediate below it, if asked for. */
export async function createSelfSignedMaterial(
  options: SelfSignedOptions,
  clock: Clock,
): Promise<AuthorityMaterial> {
  const organization = options.organization ?? DEFAULT_ORGANIZATION;
  const validity = validityFrom(clock.now(), options.lifetimeMs ?? ROOT_LIFETIME_MS);
  const root = await createRoot(organization, await generateKeys(), validity);
  if (!options.intermediate) return { signer: root, chainPem: [], rootsPem: [root.certificatePem] };
  return await createIntermediate(root, organization, validity);
}

/** Material that signs by an intermediate of `root`. The root's key is not part of it. */
export async function createIntermediate(
  root: Signer,
  organization: string,
  validity: Validity,
): Promise<AuthorityMaterial> {
  const keys = await generateKeys();
  const { createAuthority } = await import('./x509.ts');
  const certificatePem = await createAuthority({
    organization,
    commonName: 'Intermediate CA',
    keys,
    signer: root,
    ...validity,
  });
  return {
    signer: { certificatePem, privateKey: keys.privateKey },
    chainPem: [certificatePem],
    rootsPem: [root.certificatePem],
  };
}

/** Whether a root is in the last fifth of its life. */
export function isRenewalDue(certificatePem: string, nowMs: number): boolean {
  const { validFromDate, validToDate } = new X509Certificate(certificatePem);
  const lifetimeMs = validToDate.getTime() - validFromDate.getTime();
  return nowMs >= validToDate.getTime() - lifetimeMs * RENEW_IN_LAST_SHARE;
}

/** The same key with a later expiry. Of a material whose root signs by itself. */
export async function renewRoot(
  material: AuthorityMaterial,
  options: SelfSignedOptions,
  clock: Clock,
): Promise<AuthorityMaterial> {
  const { privateKey, certificatePem } = material.signer;
  const keys = { privateKey, publicKey: createPublicKey(privateKey) };
  const validity = validityFrom(clock.now(), options.lifetimeMs ?? ROOT_LIFETIME_MS);
  const signer = await createRoot(options.organization ?? DEFAULT_ORGANIZATION, keys, validity);
  const others = material.rootsPem.filter((pem) => pem !== certificatePem);
  return { signer, chainPem: [], rootsPem: [signer.certificatePem, ...others] };
}

async function createRoot(organization: string, keys: KeyPair, validity: Validity): Promise<Signer> {
  const options = { organization, keys, ...validity };
  const certificatePem =
    signsBySha256(keys.privateKey) && isPlainName(organization)
      ? createOwnRoot(options)
      : await (await import('./x509.ts')).createAuthority(options);
  return { certificatePem, privateKey: keys.privateKey };
}

function validityFrom(nowMs: number, lifetimeMs: number): Validity {
  return { notBeforeMs: nowMs - CLOCK_SKEW_MS, notAfterMs: nowMs + lifetimeMs };
}
