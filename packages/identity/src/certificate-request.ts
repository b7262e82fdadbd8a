/**
 * A workload's request to its CA (PKCS#10): a key, an empty subject and one critical URI name.
 *
 * Written here in DER, as it is this one small form: a node's proxy makes nothing else, and the X.509 library that CAs
 * need would cost it 18 MB. `x509.ts` reads requests, these too.
 */
import { derOf, SEQUENCE } from './der.ts';
import { CertificateError } from './errors.ts';
import { toPem } from './pem.ts';
import { integerOf, oidOf, signedOf, uriNameExtension } from './signed-der.ts';
import { parseSpiffeId } from './spiffe-id.ts';
import type { KeyPair } from './x509.ts';

const SET = 0x31;
/** CertificationRequestInfo's `[0] attributes`. */
const ATTRIBUTES = 0xa0;
/** 1.2.840.113549.1.9.14 */
const EXTENSION_REQUEST = oidOf(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e);

/**
 * The request in PEM, signed with `keys`.
 *
 * @throws {@link CertificateError} if `identity` is no SPIFFE identity, or the key is neither ECDSA nor RSA.
 */
export function createRequest(identity: string, keys: KeyPair): string {
  if (!parseSpiffeId(identity))
    throw new CertificateError(`not a SPIFFE identity: ${JSON.stringify(identity)}`);
  const extensions = derOf(SEQUENCE, uriNameExtension(identity));
  const attribute = derOf(SEQUENCE, EXTENSION_REQUEST, derOf(SET, extensions));
  const emptySubject = derOf(SEQUENCE);
  const info = derOf(
    SEQUENCE,
    integerOf(0),
    emptySubject,
    keys.publicKey.export({ format: 'der', type: 'spki' }),
    derOf(ATTRIBUTES, attribute),
  );
  return toPem(signedOf(info, keys.privateKey), 'CERTIFICATE REQUEST');
}
