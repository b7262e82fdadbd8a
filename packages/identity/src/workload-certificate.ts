/**
 * A workload's certificate with its key and the roots that its peers are verified by.
 *
 * The roots come with the certificate, from the same CA answer: that is how a root is rotated or a second one added.
 * It is a plain record, so that structured clone carries it to a worker; the key goes along as a `KeyObject` and is
 * never turned into text but for a TLS context.
 */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { spiffeIdentities } from './alternative-names.ts';
import { CertificateError } from './errors.ts';
import { MAX_BUNDLE_CERTIFICATES } from './limits.ts';
import { pemBlocks } from './pem.ts';

export interface WorkloadCertificate {
  /** The SPIFFE ID it was asked for. */
  readonly identity: string;
  /** Leaf first, then intermediates; never a root. */
  readonly chainPem: readonly string[];
  /** One certificate each. */
  readonly rootsPem: readonly string[];
  readonly privateKey: KeyObject;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Lower-case hexadecimal. */
  readonly serial: string;
}

/**
 * Puts a CA's answer and the key together.
 *
 * @param answer - As the CA protocol has it: leaf, intermediates, and last the roots, several in one element.
 * @throws {@link CertificateError} if a part is missing, is no certificate, or does not belong to the key.
 */
export function workloadCertificate(
  identity: string,
  privateKey: KeyObject,
  answer: readonly string[],
): WorkloadCertificate {
  if (answer.length === 0) throw new CertificateError('the CA sent no certificate');
  if (answer.length === 1) throw new CertificateError('no root certificate present in the answer of the CA');
  if (answer.length > MAX_BUNDLE_CERTIFICATES)
    throw new CertificateError(
      `the CA sent ${answer.length} certificates, more than ${MAX_BUNDLE_CERTIFICATES}`,
    );
  const chain = answer
    .slice(0, -1)
    .map((pem, i) => certificateOf(pem, i === 0 ? 'leaf' : `intermediate ${i}`));
  const roots = pemBlocks(answer.at(-1) ?? '', 'CERTIFICATE').flatMap(usableRoot);
  if (roots.length === 0) throw new CertificateError('no root certificate of the CA can be used');
  const [leaf] = chain;
  if (!leaf?.checkPrivateKey(privateKey))
    throw new CertificateError('the certificate was made for another key than the one asked with');
  return {
    identity,
    chainPem: chain.map((certificate) => certificate.toString()),
    rootsPem: roots,
    privateKey,
    notBeforeMs: leaf.validFromDate.getTime(),
    notAfterMs: leaf.validToDate.getTime(),
    serial: leaf.serialNumber.toLowerCase(),
  };
}

/** The identity that a certificate proves: its first SPIFFE name. */
export function identityOfPem(pem: string): string | undefined {
  return spiffeIdentities(certificateOf(pem, 'certificate').raw)[0];
}

function certificateOf(pem: string, what: string): X509Certificate {
  const blocks = pemBlocks(pem, 'CERTIFICATE');
  const [block] = blocks;
  if (block === undefined || blocks.length > 1)
    throw new CertificateError(`${what}: wanted one PEM certificate, got ${blocks.length}`);
  try {
    return new X509Certificate(block);
  } catch (error) {
    throw new CertificateError(`${what}: not a certificate`, { cause: error });
  }
}

/** A root that cannot be read is left out, as the others may be good. */
function usableRoot(pem: string): readonly string[] {
  try {
    return [new X509Certificate(pem).toString()];
  } catch {
    return [];
  }
}
