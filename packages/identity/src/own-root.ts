/**
 * Signs a root by its own key: an organization, no other name.
 *
 * Written here in DER, as a workload's certificate is (`workload-leaf.ts`): a proxy that needs a root for a moment would keep
 * 5 MB of the X.509 library for it. It makes what `createAuthority` of `x509.ts` makes of the same names, so that a root that
 * one has made can be renewed by the other.
 */
import { createHash } from 'node:crypto';
import { BIT_STRING, BOOLEAN, derContent, derOf, derValues, OCTET_STRING, SEQUENCE } from './der.ts';
import { CertificateError } from './errors.ts';
import { bitsOf, certificateOf, extensionOf, oidOf } from './signed-der.ts';
import type { KeyPair, Validity } from './x509.ts';

const SET = 0x31;
const UTF8_STRING = 0x0c;
const PRINTABLE_STRING = 0x13;
/** X.680 §41.4. */
const PRINTABLE = /^[A-Za-z0-9 '()+,\-./:=?]*$/;
/** 2.5.4.10 */
const ORGANIZATION = oidOf(0x55, 0x04, 0x0a);
/** 2.5.29.14 */
const SUBJECT_KEY_IDENTIFIER = oidOf(0x55, 0x1d, 0x0e);
/** 2.5.29.19: a CA. */
const BASIC_CONSTRAINTS = extensionOf(
  oidOf(0x55, 0x1d, 0x13),
  derOf(SEQUENCE, derOf(BOOLEAN, Uint8Array.of(0xff))),
  true,
);
/** 2.5.29.15: keyCertSign and cRLSign. */
const KEY_USAGE = extensionOf(oidOf(0x55, 0x1d, 0x0f), bitsOf(1, Uint8Array.of(0x06)), true);

/** Whether the X.509 library takes this text for an organization as it stands: it gives meaning to backslashes and a leading `#`. */
export function isPlainName(organization: string): boolean {
  return organization.isWellFormed() && !/^#|\\/.test(organization);
}

export interface OwnRootOptions extends Validity {
  readonly organization: string;
  readonly keys: KeyPair;
}

/**
 * The certificate in PEM.
 *
 * @param options - With a plain name ({@link isPlainName}).
 * @throws {@link CertificateError} if the key is neither ECDSA nor RSA.
 */
export function createOwnRoot({ organization, keys, notBeforeMs, notAfterMs }: OwnRootOptions): string {
  const name = nameOf(organization);
  const extensions = [BASIC_CONSTRAINTS, KEY_USAGE, keyIdentifierOf(keys)];
  const { publicKey, privateKey } = keys;
  return certificateOf(
    { issuer: name, subject: name, publicKey, notBeforeMs, notAfterMs, extensions },
    privateKey,
  );
}

function nameOf(organization: string): Uint8Array {
  const tag = PRINTABLE.test(organization) ? PRINTABLE_STRING : UTF8_STRING;
  const attribute = derOf(SEQUENCE, ORGANIZATION, derOf(tag, Buffer.from(organization)));
  return derOf(SEQUENCE, derOf(SET, attribute));
}

/** RFC 5280 §4.2.1.2 (1): the SHA-1 of the key's bits, as a name for it and not as a proof of anything. */
function keyIdentifierOf({ publicKey }: KeyPair): Uint8Array {
  const spki = derContent(publicKey.export({ format: 'der', type: 'spki' }), SEQUENCE);
  const bits = spki && derValues(spki, 2)?.[1];
  if (bits?.tag !== BIT_STRING) throw new CertificateError('the public key cannot be read');
  const unusedBits = 1;
  const digest = createHash('sha1').update(bits.content.subarray(unusedBits)).digest();
  return extensionOf(SUBJECT_KEY_IDENTIFIER, derOf(OCTET_STRING, digest), false);
}
