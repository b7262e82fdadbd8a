/** An authority of a suite's own, and certificates of it: what applications outside the mesh would have. */
import { X509Certificate } from 'node:crypto';
import { generateKeys } from '@ambit/identity/keys';
import {
  createAuthority,
  createLeaf,
  createRevocationList,
  type SubjectNames,
  type Validity,
} from '@ambit/identity/x509';

const HOUR_MS = 3_600_000;

/** Both in PEM. */
export interface Certified {
  readonly certificate: string;
  readonly key: string;
}

export interface SuiteAuthority {
  /** In PEM. */
  readonly certificate: string;
  issue(names: SubjectNames): Promise<Certified>;
  /** A list that takes these back, in PEM. */
  revoking(...certificates: readonly string[]): Promise<string>;
}

export async function suiteAuthority(commonName: string): Promise<SuiteAuthority> {
  const keys = await generateKeys();
  const certificatePem = await createAuthority({ organization: 'suite', commonName, keys, ...validity() });
  const signer = { certificatePem, privateKey: keys.privateKey };
  return {
    certificate: certificatePem,
    issue: async (names) => {
      const { publicKey, privateKey } = await generateKeys();
      const certificate = await createLeaf({ names, publicKey, ...validity() }, signer);
      return { certificate, key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
    },
    revoking: async (...certificates) => {
      const { notBeforeMs, notAfterMs } = validity();
      const serials = certificates.map((pem) => new X509Certificate(pem).serialNumber);
      return await createRevocationList(serials, notBeforeMs, signer, notAfterMs);
    },
  };
}

/** Dated back, as clocks of nodes differ. */
function validity(): Validity {
  const nowMs = Date.now();
  return { notBeforeMs: nowMs - HOUR_MS, notAfterMs: nowMs + 24 * HOUR_MS };
}
