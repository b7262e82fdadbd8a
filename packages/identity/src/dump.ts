/** Certificates as `/config_dump` shows them, in the shape `istioctl ztunnel-config certificate` reads. Never a key. */
import { X509Certificate } from 'node:crypto';
import type { CertificateState } from './certificate-store.ts';

export interface CertificateDump {
  readonly identity: string;
  readonly state: string;
  /** Leaf first. */
  readonly certChain: readonly CertificateFacts[];
  readonly rootCerts: readonly CertificateFacts[];
}

interface CertificateFacts {
  /** Base64 of the PEM text. */
  readonly pem: string;
  /** Decimal. */
  readonly serialNumber: string;
  /** RFC 3339. */
  readonly validFrom: string;
  readonly expirationTime: string;
}

export function dumpCertificates(states: readonly CertificateState[]): readonly CertificateDump[] {
  return states.map(({ identity, state, certificate }) => ({
    identity,
    state,
    certChain: (certificate?.chainPem ?? []).map(factsOf),
    rootCerts: (certificate?.rootsPem ?? []).map(factsOf),
  }));
}

function factsOf(pem: string): CertificateFacts {
  const certificate = new X509Certificate(pem);
  return {
    pem: Buffer.from(pem).toString('base64'),
    serialNumber: BigInt(`0x${certificate.serialNumber}`).toString(),
    validFrom: rfc3339(certificate.validFromDate),
    expirationTime: rfc3339(certificate.validToDate),
  };
}

function rfc3339(date: Date): string {
  return date.toISOString().replace('.000Z', 'Z');
}
