/**
 * A workload's request to its CA (PKCS#10): a key, an empty subject and one critical URI name.
 *
 * Written here in DER, as it is this one small form: a node's proxy makes nothing else, and the X.509 library that CAs
 * need would cost it 18 MB. `x509.ts` reads requests, these too.
 */
import { type KeyObject, sign } from 'node:crypto';
import { BOOLEAN, derOf, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE } from './der.ts';
import { CertificateError } from './errors.ts';
import { toPem } from './pem.ts';
import { parseSpiffeId } from './spiffe-id.ts';
import type { KeyPair } from './x509.ts';

const SET = 0x31;
const BIT_STRING = 0x03;
const NULL = 0x05;
/** CertificationRequestInfo's `[0] attributes`, and GeneralName's `[6] uniformResourceIdentifier`. */
const ATTRIBUTES = 0xa0;
const URI_NAME = 0x86;

const oid = (...bytes: readonly number[]) => derOf(OBJECT_IDENTIFIER, Uint8Array.from(bytes));
/** 1.2.840.113549.1.9.14 */
const EXTENSION_REQUEST = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e);
/** 2.5.29.17 */
const SUBJECT_ALTERNATIVE_NAME = oid(0x55, 0x1d, 0x11);
/** 1.2.840.10045.4.3.2 */
const ECDSA_WITH_SHA256 = derOf(SEQUENCE, oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
/** 1.2.840.113549.1.1.11 */
const RSA_WITH_SHA256 = derOf(
  SEQUENCE,
  oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b),
  derOf(NULL),
);

/**
 * The request in PEM, signed with `keys`.
 *
 * @throws {@link CertificateError} if `identity` is no SPIFFE identity, or the key is neither ECDSA nor RSA.
 */
export function createRequest(identity: string, keys: KeyPair): string {
  if (!parseSpiffeId(identity))
    throw new CertificateError(`not a SPIFFE identity: ${JSON.stringify(identity)}`);
  const algorithm = signatureAlgorithm(keys.privateKey);
  const name = derOf(URI_NAME, Buffer.from(identity, 'latin1'));
  const extension = derOf(
    SEQUENCE,
    SUBJECT_ALTERNATIVE_NAME,
    derOf(BOOLEAN, Uint8Array.of(0xff)),
    derOf(OCTET_STRING, derOf(SEQUENCE, name)),
  );
  const attribute = derOf(SEQUENCE, EXTENSION_REQUEST, derOf(SET, derOf(SEQUENCE, extension)));
  const emptySubject = derOf(SEQUENCE);
  const info = derOf(
    SEQUENCE,
    derOf(INTEGER, Uint8Array.of(0)),
    emptySubject,
    keys.publicKey.export({ format: 'der', type: 'spki' }),
    derOf(ATTRIBUTES, attribute),
  );
  const unusedBits = Uint8Array.of(0);
  const signature = derOf(BIT_STRING, unusedBits, sign('sha256', info, keys.privateKey));
  return toPem(derOf(SEQUENCE, info, algorithm, signature), 'CERTIFICATE REQUEST');
}

function signatureAlgorithm({ asymmetricKeyType, type }: KeyObject): Uint8Array {
  if (asymmetricKeyType === 'ec') return ECDSA_WITH_SHA256;
  if (asymmetricKeyType === 'rsa') return RSA_WITH_SHA256;
  throw new CertificateError(`unsupported key: ${asymmetricKeyType ?? type}`);
}
