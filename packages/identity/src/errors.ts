/** What can go wrong with identities, each with a code that never changes its meaning. */
import { MeshError, type Side } from '@ambit/core/errors';

/** A certificate, key, request or bundle that cannot be used; the message says which and why. */
export class CertificateError extends MeshError {
  readonly code = 'CERTIFICATE';
  readonly side = 'internal';
}

/** A CA that cannot sign: its own certificate has expired, or its files do not fit together. */
export class AuthorityError extends MeshError {
  readonly code = 'AUTHORITY';
  readonly side = 'internal';
}

/** The CA did not give a certificate: unreachable, refused, or its answer cannot be used. */
export class CertificateRequestError extends MeshError {
  readonly code = 'CERTIFICATE_REQUEST';
  readonly side: Side = 'internal';
  readonly identity: string;

  constructor(identity: string, reason: string, options?: ErrorOptions) {
    super(`no certificate for ${identity}: ${reason}`, options);
    this.identity = identity;
  }
}
