/**
 * Signs the certificate of one workload: a key, no subject, one critical URI name.
 *
 * Written here in DER: a proxy that is its own CA would pay 30 MB for the X.509 library, and a control plane some ten
 * milliseconds for each certificate. It makes what `createLeaf` of `x509.ts` makes of the same names.
 */
import { type KeyObject, X509Certificate } from 'node:crypto';
import {
  derContent,
  type DerValue,
  derOf,
  derValues,
  OBJECT_IDENTIFIER,
  OCTET_STRING,
  SEQUENCE,
} from './der.ts';
import { AuthorityError } from './errors.ts';
import { bitsOf, certificateOf, EXTENSIONS, extensionOf, oidOf, uriNameExtension } from './signed-der.ts';
import type { Signer, Validity } from './x509.ts';

export interface WorkloadLeafOptions extends Validity {
  readonly identity: string;
  readonly publicKey: KeyObject;
}

/** AuthorityKeyIdentifier's `[0] keyIdentifier`. */
const KEY_IDENTIFIER = 0x80;
const MAX_FIELDS = 16;
const MAX_EXTENSIONS = 64;

/** 2.5.29.14 */
const SUBJECT_KEY_IDENTIFIER = Uint8Array.of(0x55, 0x1d, 0x0e);
const AUTHORITY_KEY_IDENTIFIER = oidOf(0x55, 0x1d, 0x23);
/** 2.5.29.15: digitalSignature and keyEncipherment. */
const KEY_USAGE = extensionOf(oidOf(0x55, 0x1d, 0x0f), bitsOf(5, Uint8Array.of(0xa0)), true);
/** 2.5.29.37: serverAuth and clientAuth. */
const EXTENDED_KEY_USAGE = extensionOf(
  oidOf(0x55, 0x1d, 0x25),
  derOf(
    SEQUENCE,
    oidOf(0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01),
    oidOf(0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02),
  ),
  false,
);
/** 2.5.29.19: no CA. */
const BASIC_CONSTRAINTS = extensionOf(oidOf(0x55, 0x1d, 0x13), derOf(SEQUENCE), true);

/**
 * The certificate in PEM.
 *
 * @throws {@link AuthorityError} if the signer's certificate cannot be read; {@link CertificateError} if its key is neither
 * ECDSA nor RSA.
 */
export function createWorkloadLeaf(options: WorkloadLeafOptions, signer: Signer): string {
  const { identity, publicKey, notBeforeMs, notAfterMs } = options;
  const issuer = readIssuer(signer.certificatePem);
  if (!issuer) throw new AuthorityError('the CA certificate cannot be read');
  const keyIdentifier = issuer.keyIdentifier && derOf(SEQUENCE, derOf(KEY_IDENTIFIER, issuer.keyIdentifier));
  const extensions = [
    KEY_USAGE,
    EXTENDED_KEY_USAGE,
    BASIC_CONSTRAINTS,
    ...(keyIdentifier ? [extensionOf(AUTHORITY_KEY_IDENTIFIER, keyIdentifier, false)] : []),
    uriNameExtension(identity),
  ];
  const emptySubject = derOf(SEQUENCE);
  const names = { issuer: derOf(SEQUENCE, issuer.name), subject: emptySubject };
  return certificateOf({ ...names, publicKey, notBeforeMs, notAfterMs, extensions }, signer.privateKey);
}

interface Issuer {
  readonly name: Uint8Array;
  readonly keyIdentifier: Uint8Array | undefined;
}

/**
 * What a certificate says of who signed it: the signer's name and key identifier, as its own certificate has them.
 *
 * @returns `undefined` if that is not the DER that is read here.
 */
export function readIssuer(certificatePem: string): Issuer | undefined {
  const certificate = derContent(new X509Certificate(certificatePem).raw, SEQUENCE);
  const signed = certificate && derValues(certificate, 3)?.[0];
  const fields = signed && derValues(signed.content, MAX_FIELDS);
  const subject = fields?.[SUBJECT_FIELD];
  if (!fields || subject?.tag !== SEQUENCE) return undefined;
  return { name: subject.content, keyIdentifier: keyIdentifierOf(fields) };
}

/** After version, serial, algorithm, issuer and validity. */
const SUBJECT_FIELD = 5;

function keyIdentifierOf(fields: readonly DerValue[]): Uint8Array | undefined {
  const wrapper = fields.find(({ tag }) => tag === EXTENSIONS);
  const list = wrapper && derContent(wrapper.content, SEQUENCE);
  const found = (list && derValues(list, MAX_EXTENSIONS))
    ?.map(({ content }) => derValues(content, 3) ?? [])
    .find(
      ([oid]) => oid?.tag === OBJECT_IDENTIFIER && Buffer.compare(oid.content, SUBJECT_KEY_IDENTIFIER) === 0,
    );
  const value = found?.at(-1);
  return value?.tag === OCTET_STRING ? derContent(value.content, OCTET_STRING) : undefined;
}
