/**
 * The CA as a gRPC service (`istio.v1.auth.IstioCertificateService`), for any gRPC server to carry.
 *
 * Who calls and whether they may act for somebody else is asked of two functions. A refusal says no more than that it
 * is one, since the caller is not trusted; the reason goes to the log.
 */
import {
  CREATE_CERTIFICATE_PATH,
  decodeCertificateRequest,
  decodeCertificateResponse,
  encodeCertificateRequest,
  encodeCertificateResponse,
  IMPERSONATED_IDENTITY,
  type IstioCertificateRequest,
  type IstioCertificateResponse,
} from '@ambit/api/ca';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { type handleUnaryCall, type Metadata, type MethodDefinition, status } from '@grpc/grpc-js';
import type { CertificateAuthority } from './certificate-authority.ts';
import { AuthorityError, CertificateError } from './errors.ts';
import { parseSpiffeId } from './spiffe-id.ts';

/** Somebody who proved who they are. */
export interface CaCaller {
  /** SPIFFE IDs. */
  readonly identities: readonly string[];
}

/** What became of a request. */
export type CaOutcome = 'issued' | 'not authenticated' | 'not signed';

export interface CaServiceOptions<Caller extends CaCaller> {
  readonly authority: Pick<CertificateAuthority, 'issue'>;
  /** Who calls, from the request's headers. Rejects if that cannot be told. */
  readonly authenticate: (headers: Metadata, peer: string) => Promise<Caller>;
  /** Resolves if `caller` may have a certificate of `identity`; rejects with the reason if not. */
  readonly authorize: (caller: Caller, identity: string, headers: Metadata) => Promise<void>;
  /** Called when a request comes in; what it returns, when it is answered. */
  readonly observe?: () => (outcome: CaOutcome) => void;
  readonly log: Logger;
}

export const CA_SERVICE = {
  createCertificate: {
    path: CREATE_CERTIFICATE_PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: (request) => Buffer.from(encodeCertificateRequest(request)),
    requestDeserialize: (bytes) => decodeCertificateRequest(bytes),
    responseSerialize: (response) => Buffer.from(encodeCertificateResponse(response)),
    responseDeserialize: (bytes) => decodeCertificateResponse(bytes),
  } satisfies MethodDefinition<IstioCertificateRequest, IstioCertificateResponse>,
};

/** A refusal as gRPC tells it. */
class Refusal extends Error {
  readonly code: status;
  readonly details: string;

  constructor(code: status, details: string, options?: ErrorOptions) {
    super(details, options);
    this.code = code;
    this.details = details;
  }
}

/** The implementation of {@link CA_SERVICE}: `server.addService(CA_SERVICE, createCaService(…))`. */
export function createCaService<Caller extends CaCaller>(
  options: CaServiceOptions<Caller>,
): { readonly createCertificate: handleUnaryCall<IstioCertificateRequest, IstioCertificateResponse> } {
  return {
    createCertificate: (call, respond) => {
      const answered = options.observe?.();
      answer(options, call.request, call.metadata, call.getPeer()).then(
        (response) => {
          answered?.('issued');
          respond(null, response);
        },
        (error: unknown) => {
          const refusal =
            error instanceof Refusal
              ? error
              : new Refusal(status.INTERNAL, 'internal error', { cause: error });
          options.log.warn('certificate request refused', {
            peer: call.getPeer(),
            error: messageOf(refusal),
          });
          answered?.(refusal.code === status.UNAUTHENTICATED ? 'not authenticated' : 'not signed');
          respond({ code: refusal.code, details: refusal.details });
        },
      );
    },
  };
}

async function answer<Caller extends CaCaller>(
  options: CaServiceOptions<Caller>,
  request: IstioCertificateRequest,
  headers: Metadata,
  peer: string,
): Promise<IstioCertificateResponse> {
  const caller = await options.authenticate(headers, peer).catch((error: unknown) => {
    throw new Refusal(status.UNAUTHENTICATED, 'request authenticate failure', { cause: error });
  });
  const identities = await identitiesFor(options, caller, request, headers);
  try {
    const ttlMs = Number(request.validityDuration) * 1_000;
    const certChain = await options.authority.issue({ csrPem: request.csr, identities, ttlMs });
    options.log.info('certificate issued', { identity: identities.join(','), peer });
    return { certChain };
  } catch (error) {
    if (error instanceof AuthorityError)
      throw new Refusal(status.UNAVAILABLE, 'the CA cannot sign now', { cause: error });
    if (!(error instanceof CertificateError)) throw error;
    throw new Refusal(status.INVALID_ARGUMENT, `certificate signing error: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** The caller's own identities; or the one they act for, if they may. */
async function identitiesFor<Caller extends CaCaller>(
  options: CaServiceOptions<Caller>,
  caller: Caller,
  { metadata }: IstioCertificateRequest,
  headers: Metadata,
): Promise<readonly string[]> {
  const wanted: unknown =
    metadata && Object.hasOwn(metadata, IMPERSONATED_IDENTITY) ? metadata[IMPERSONATED_IDENTITY] : undefined;
  if (wanted === undefined || wanted === '') return caller.identities;
  try {
    if (typeof wanted !== 'string' || !parseSpiffeId(wanted))
      throw new CertificateError(`not a SPIFFE identity: ${JSON.stringify(wanted)?.slice(0, 200)}`);
    await options.authorize(caller, wanted, headers);
    return [wanted];
  } catch (error) {
    const whom = caller.identities.join(',');
    throw new Refusal(status.UNAUTHENTICATED, 'request impersonation authentication failure', {
      cause: new CertificateError(`${whom} may not act for another`, { cause: error }),
    });
  }
}
