/**
 * SPIFFE identities of the form `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.
 *
 * Identities are compared as whole strings, so there must be one way only to write each: what is not exactly of this
 * form, with plain characters alone, is no identity. That also keeps separators of logs and HTTP headers out of them.
 */
import { MAX_SPIFFE_ID_LENGTH_CHARS } from './limits.ts';

export interface SpiffeId {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** The trust domain of a mesh that was told no other. */
export const DEFAULT_TRUST_DOMAIN = 'cluster.local';

const FORM = /^spiffe:\/\/([A-Za-z0-9._:@-]+)\/ns\/([A-Za-z0-9._-]+)\/sa\/([A-Za-z0-9._-]+)$/;

/** The parts of `uri`, or `undefined` if it is not a workload's identity. */
export function parseSpiffeId(uri: string): SpiffeId | undefined {
  if (uri.length > MAX_SPIFFE_ID_LENGTH_CHARS) return undefined;
  const [, trustDomain, namespace, serviceAccount] = FORM.exec(uri) ?? [];
  if (trustDomain === undefined || namespace === undefined || serviceAccount === undefined) return undefined;
  const parts = [trustDomain, namespace, serviceAccount];
  return parts.some((part) => part === '.' || part === '..')
    ? undefined
    : { trustDomain, namespace, serviceAccount };
}

/** The identity as text. Does not check the parts: use {@link parseSpiffeId} on what comes from outside. */
export function formatSpiffeId(id: SpiffeId): string {
  return `spiffe://${id.trustDomain}/ns/${id.namespace}/sa/${id.serviceAccount}`;
}
