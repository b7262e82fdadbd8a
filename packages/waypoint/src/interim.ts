/**
 * Stands in for decisions until theirs are here: nothing is let through where nobody could be asked yet.
 */
import type { Security } from './exchange/context.ts';

export const INTERIM_SECURITY: Security = {
  authenticate: () => ({ kind: 'refuse', status: 503, reason: 'no authenticator', fields: [] }),
  check: () =>
    Promise.resolve({ kind: 'deny', status: 503, fields: [], body: new Uint8Array(0), failed: true }),
};
