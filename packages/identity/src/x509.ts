/**
 * Making certificates and reading requests; the one file that knows the X.509 library.
 *
 * Synchronous facts about certificates (validity, key, names) come from node:crypto and `alternative-names.ts`; what is
 * here signs. The library's own crypto is given explicitly on each call: its process-wide default stays untouched.
 */
import 'reflect-metadata';
import { createPublicKey, type KeyObject } from 'node:crypto';
import { Crypto as WebCrypto } from '@peculiar/webcrypto';
import * as x509 from '@peculiar/x509';
import { CertificateError } from './errors.ts';
import { MAX_PEM_BLOCK_SIZE_BYTES, MAX_RSA_KEY_SIZE_BITS, MIN_RSA_KEY_SIZE_BITS } from './limits.ts';
import { pemBlocks, toPem } from './pem.ts';
import { randomSerial } from './signed-der.ts';

const crypto = new WebCrypto();

/** Who signs: a CA's certificate and the key that belongs to it. */
export interface Signer {
  readonly certificatePem: string;
  readonly privateKey: KeyObject;
}

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** The names a certificate proves. A common name may be taken for a DNS name: it never comes from who asks. */
export interface SubjectNames {
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly ips?: readonly string[];
  readonly commonName?: string;
  /** What Kubernetes takes for the groups of the user that the common name says. */
  readonly organizations?: readonly string[];
}

export interface LeafOptions extends Validity {
  readonly names: SubjectNames;
  readonly publicKey: KeyObject;
  /** Default: both, as mesh workloads need. */
  readonly usages?: readonly ('serverAuth' | 'clientAuth')[];
}

export interface AuthorityOptions extends Validity {
  readonly organization: string;
  readonly commonName?: string;
  readonly keys: KeyPair;
  /** Who signs it; absent: it signs itself, a root. */
  readonly signer?: Signer;
  /** Hexadecimal; default random. */
  readonly serial?: string;
}

/**
 * The key of a PKCS#10 request, whose sender holds it. Nothing else of it counts; the CA decides the names.
 *
 * @throws {@link CertificateError} if it cannot be read, its key is too weak or of another kind, or its signature
 * is wrong.
 */
export async function readRequest(pem: string): Promise<KeyObject> {
  if (pem.length > MAX_PEM_BLOCK_SIZE_BYTES)
    throw new CertificateError(`certificate request of more than ${MAX_PEM_BLOCK_SIZE_BYTES} bytes`);
  const [block] = [...pemBlocks(pem, 'CERTIFICATE REQUEST'), ...pemBlocks(pem, 'NEW CERTIFICATE REQUEST')];
  if (block === undefined) throw new CertificateError('no PEM certificate request');
  const base64 = block.split(/\r?\n/).slice(1, -2).join('');
  const request = attempt('certificate request', () => new x509.Pkcs10CertificateRequest(base64));
  const publicKey = attempt('key of the certificate request', () =>
    createPublicKey({ key: Buffer.from(request.publicKey.rawData), format: 'der', type: 'spki' }),
  );
  checkStrength(publicKey);
  const genuine = await request.verify(crypto).catch(() => false);
  if (!genuine) throw new CertificateError('the signature of the certificate request is wrong');
  return publicKey;
}

/** Signs a certificate for a workload or a server; in PEM. */
export async function createLeaf(options: LeafOptions, signer: Signer): Promise<string> {
  const issuer = new x509.X509Certificate(signer.certificatePem);
  const usages = options.usages ?? ['serverAuth', 'clientAuth'];
  const subject = subjectOf(options.names);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: randomSerial().toString('hex'),
      issuer: issuer.subjectName,
      ...(subject.length === 0 ? {} : { subject: [...subject] }),
      notBefore: new Date(options.notBeforeMs),
      notAfter: new Date(options.notAfterMs),
      publicKey: spki(options.publicKey),
      signingKey: await importKey(signer.privateKey),
      signingAlgorithm: signatureAlgorithm(signer.privateKey),
      extensions: [
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment,
          true,
        ),
        new x509.ExtendedKeyUsageExtension(usages.map((usage) => x509.ExtendedKeyUsage[usage])),
        new x509.BasicConstraintsExtension(false, undefined, true),
        ...authorityKeyIdentifier(issuer),
        ...alternativeNames(options.names),
      ],
    },
    crypto,
  );
  return `${certificate.toString('pem')}\n`;
}

/** Signs a CA's certificate: a root if there is no signer, else an intermediate; in PEM. */
export async function createAuthority(options: AuthorityOptions): Promise<string> {
  const { keys, signer, organization, commonName } = options;
  const subject = [{ O: [organization] }, ...(commonName === undefined ? [] : [{ CN: [commonName] }])];
  const issuer = signer && new x509.X509Certificate(signer.certificatePem);
  const signingKey = signer?.privateKey ?? keys.privateKey;
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: options.serial ?? randomSerial().toString('hex'),
      issuer: issuer?.subjectName ?? subject,
      subject,
      notBefore: new Date(options.notBeforeMs),
      notAfter: new Date(options.notAfterMs),
      publicKey: spki(keys.publicKey),
      signingKey: await importKey(signingKey),
      signingAlgorithm: signatureAlgorithm(signingKey),
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(spki(keys.publicKey), false, crypto),
        ...(issuer ? authorityKeyIdentifier(issuer) : []),
      ],
    },
    crypto,
  );
  return `${certificate.toString('pem')}\n`;
}

/**
 * A CRL that revokes `serials` (hexadecimal), in PEM; for operators' tools and tests.
 *
 * @param untilMs - When there should be another. Default: it does not say.
 */
export async function createRevocationList(
  serials: readonly string[],
  nowMs: number,
  signer: Signer,
  untilMs?: number,
): Promise<string> {
  const list = await x509.X509CrlGenerator.create(
    {
      issuer: new x509.X509Certificate(signer.certificatePem).subjectName,
      thisUpdate: new Date(nowMs),
      ...(untilMs === undefined ? {} : { nextUpdate: new Date(untilMs) }),
      entries: serials.map((serialNumber) => ({ serialNumber, revocationDate: new Date(nowMs) })),
      signingKey: await importKey(signer.privateKey),
      signingAlgorithm: signatureAlgorithm(signer.privateKey),
    },
    crypto,
  );
  return toPem(new Uint8Array(list.rawData), 'X509 CRL');
}

function subjectOf({ organizations = [], commonName }: SubjectNames): x509.JsonName {
  return [
    ...organizations.map((organization) => ({ O: [organization] })),
    ...(commonName === undefined ? [] : [{ CN: [commonName] }]),
  ];
}

/** An extension without names would be refused by whoever reads it. */
function alternativeNames(names: SubjectNames): readonly x509.Extension[] {
  const all = [
    ...(names.uris ?? []).map((value) => ({ type: 'url', value }) as const),
    ...(names.dnsNames ?? []).map((value) => ({ type: 'dns', value }) as const),
    ...(names.ips ?? []).map((value) => ({ type: 'ip', value }) as const),
  ];
  return all.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(all, true)];
}

/** The issuer's own key identifier, whatever way it was made; a verifier compares the two. */
function authorityKeyIdentifier(issuer: x509.X509Certificate): readonly x509.Extension[] {
  const own = issuer.getExtension(x509.SubjectKeyIdentifierExtension);
  return own ? [new x509.AuthorityKeyIdentifierExtension(own.keyId)] : [];
}

function spki(key: KeyObject): Uint8Array<ArrayBuffer> {
  return new Uint8Array(key.export({ format: 'der', type: 'spki' }));
}

async function importKey(key: KeyObject): Promise<CryptoKey> {
  const algorithm = keyAlgorithm(key);
  return key.type === 'private'
    ? await crypto.subtle.importKey('pkcs8', privateBytes(key), algorithm, false, ['sign'])
    : await crypto.subtle.importKey('spki', spki(key), algorithm, true, ['verify']);
}

function privateBytes(key: KeyObject): Uint8Array<ArrayBuffer> {
  return new Uint8Array(key.export({ format: 'der', type: 'pkcs8' }));
}

const CURVES: Readonly<Record<string, { readonly webName: string; readonly hash: string }>> = {
  prime256v1: { webName: 'P-256', hash: 'SHA-256' },
  secp384r1: { webName: 'P-384', hash: 'SHA-384' },
  secp521r1: { webName: 'P-521', hash: 'SHA-512' },
};

function keyAlgorithm(key: KeyObject): EcKeyImportParams | RsaHashedImportParams {
  if (key.asymmetricKeyType === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  return { name: 'ECDSA', namedCurve: curveOf(key).webName };
}

function signatureAlgorithm(key: KeyObject): Algorithm | EcdsaParams {
  if (key.asymmetricKeyType === 'rsa') return { name: 'RSASSA-PKCS1-v1_5' };
  return { name: 'ECDSA', hash: curveOf(key).hash };
}

function curveOf(key: KeyObject) {
  const curve = CURVES[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (key.asymmetricKeyType !== 'ec' || !curve)
    throw new CertificateError(
      `unsupported key: ${key.asymmetricKeyType ?? key.type} (RSA or ECDSA P-256/384/521)`,
    );
  return curve;
}

/** @throws {@link CertificateError} unless it is RSA of a sane size or ECDSA on a known curve. */
export function checkStrength(key: KeyObject): void {
  if (key.asymmetricKeyType !== 'rsa') {
    curveOf(key);
    return;
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (bits < MIN_RSA_KEY_SIZE_BITS || bits > MAX_RSA_KEY_SIZE_BITS)
    throw new CertificateError(
      `RSA key of ${bits} bits: want ${MIN_RSA_KEY_SIZE_BITS} to ${MAX_RSA_KEY_SIZE_BITS}`,
    );
}

function attempt<T>(what: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new CertificateError(`${what} cannot be read`, { cause: error });
  }
}
