/** What requests and certificates share in DER: an extension, the URI names in one, a certificate's fields, and how the whole is signed. */
import { type KeyObject, randomBytes, sign } from 'node:crypto';
import { BIT_STRING, BOOLEAN, derOf, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE } from './der.ts';
import { CertificateError } from './errors.ts';
import { toPem } from './pem.ts';
import type { Validity } from './x509.ts';

const NULL = 0x05;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
/** GeneralName's `[6] uniformResourceIdentifier`. */
const URI_NAME = 0x86;
/** TBSCertificate's `[0] version` and `[3] extensions`. */
const VERSION = 0xa0;
export const EXTENSIONS = 0xa3;
/** The first year that UTCTime, with its two digits, cannot say. */
const GENERALIZED_TIME_FROM_YEAR = 2050;

/** An object identifier from its encoded bytes. */
export function oidOf(...bytes: readonly number[]): Uint8Array {
  return derOf(OBJECT_IDENTIFIER, Uint8Array.from(bytes));
}

/** 2.5.29.17 */
const SUBJECT_ALTERNATIVE_NAME = oidOf(0x55, 0x1d, 0x11);
/** 1.2.840.10045.4.3.2 */
const ECDSA_WITH_SHA256 = derOf(SEQUENCE, oidOf(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
/** 1.2.840.113549.1.1.11 */
const RSA_WITH_SHA256 = derOf(
  SEQUENCE,
  oidOf(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b),
  derOf(NULL),
);

export function integerOf(...bytes: readonly number[]): Uint8Array {
  return derOf(INTEGER, Uint8Array.from(bytes));
}

/** @param unusedBits - How many bits at the end of `bytes` do not count. */
export function bitsOf(unusedBits: number, bytes: Uint8Array): Uint8Array {
  return derOf(BIT_STRING, Uint8Array.of(unusedBits), bytes);
}

export function extensionOf(oid: Uint8Array, value: Uint8Array, critical: boolean): Uint8Array {
  const mark = critical ? [derOf(BOOLEAN, Uint8Array.of(0xff))] : [];
  return derOf(SEQUENCE, oid, ...mark, derOf(OCTET_STRING, value));
}

/** The one name of a workload; critical, as there is no subject beside it. */
export function uriNameExtension(uri: string): Uint8Array {
  const names = derOf(SEQUENCE, derOf(URI_NAME, Buffer.from(uri, 'latin1')));
  return extensionOf(SUBJECT_ALTERNATIVE_NAME, names, true);
}

/** Whether SHA-256 is what the X.509 library signs with, too, as {@link signedOf} always does. */
export function signsBySha256({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  return asymmetricKeyType === 'rsa' || asymmetricKeyDetails?.namedCurve === 'prime256v1';
}

/** @throws {@link CertificateError} if the key is neither ECDSA nor RSA. */
export function signatureAlgorithmOf({ asymmetricKeyType, type }: KeyObject): Uint8Array {
  if (asymmetricKeyType === 'ec') return ECDSA_WITH_SHA256;
  if (asymmetricKeyType === 'rsa') return RSA_WITH_SHA256;
  throw new CertificateError(`unsupported key: ${asymmetricKeyType ?? type}`);
}

/** `body`, the algorithm and the signature, one after another. */
export function signedOf(body: Uint8Array, key: KeyObject): Uint8Array {
  return derOf(SEQUENCE, body, signatureAlgorithmOf(key), bitsOf(0, sign('sha256', body, key)));
}

/** What a certificate says, of any kind. Names are whole, in DER. */
export interface CertificateFields extends Validity {
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly publicKey: KeyObject;
  readonly extensions: readonly Uint8Array[];
}

/**
 * The certificate in PEM, with a random serial number.
 *
 * @throws {@link CertificateError} if `signingKey` is neither ECDSA nor RSA.
 */
export function certificateOf(fields: CertificateFields, signingKey: KeyObject): string {
  const { issuer, subject, publicKey, notBeforeMs, notAfterMs, extensions } = fields;
  const body = derOf(
    SEQUENCE,
    derOf(VERSION, integerOf(2)),
    integerOf(...randomSerial()),
    signatureAlgorithmOf(signingKey),
    issuer,
    derOf(SEQUENCE, timeOf(notBeforeMs), timeOf(notAfterMs)),
    subject,
    publicKey.export({ format: 'der', type: 'spki' }),
    derOf(EXTENSIONS, derOf(SEQUENCE, ...extensions)),
  );
  return toPem(signedOf(body, signingKey), 'CERTIFICATE');
}

/** 127 random bits with none of the forms that DER would shorten. */
export function randomSerial(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes;
}

function timeOf(timeMs: number): Uint8Array {
  const time = new Date(timeMs);
  const digits = time.toISOString().replace(/[-:T]|\.\d+/g, '');
  return time.getUTCFullYear() < GENERALIZED_TIME_FROM_YEAR
    ? derOf(UTC_TIME, Buffer.from(digits.slice(2)))
    : derOf(GENERALIZED_TIME, Buffer.from(digits));
}
