/** Certificates of authorities that users keep in ConfigMaps. */
import { X509Certificate } from 'node:crypto';
import type { ConfigMap } from '@ambit/kube/resources/core';

export const CERTIFICATES_KEY = 'ca.crt';

/** What a ConfigMap has of them. */
export type Authorities = { readonly pem: string } | { readonly problem: string };

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** @param map - `undefined`: there is none of that name. */
export function authoritiesIn(map: ConfigMap | undefined): Authorities {
  if (!map) return { problem: 'was not found' };
  const pem: unknown = map.data?.[CERTIFICATES_KEY];
  const blocks = typeof pem === 'string' ? (pem.match(CERTIFICATE) ?? []) : [];
  if (blocks.length === 0) return { problem: `has no certificate in "${CERTIFICATES_KEY}"` };
  if (!blocks.every(isCertificate)) return { problem: `has what is no certificate in "${CERTIFICATES_KEY}"` };
  return { pem: `${blocks.join('\n')}\n` };
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}
