/** What requests and certificates share in DER: an extension, the URI names in one, and how the whole is signed. */
import { type KeyObject, sign } from 'node:crypto';
import { BOOLEAN, derOf, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE } from './der.ts';
import { CertificateError } from './errors.ts';

const BIT_STRING = 0x03;
const NULL = 0x05;
/** GeneralName's `[6] uniformResourceIdentifier`. */
const URI_NAME = 0x86;

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
