/** Why a worker ends a connection, and in which of Istio's letters metrics say so. */
import { codeOf, MeshError } from '@ambit/core/errors';
import { type Endpoint, formatHostPort } from '@ambit/core/ip';
import { H2SilentError, StreamResetError } from '@ambit/http/errors';
import type { H2Session } from '@ambit/http/h2/session';
import { CONNECT_ANSWER_TIMEOUT_MS, TUNNEL_SILENT_MS } from './limits.ts';
import type { ResponseFlag } from './traffic.ts';

/** Policy refused the connection before a byte of it was passed on. */
export class PolicyRejectionError extends MeshError {
  readonly code = 'POLICY_REJECTION';
  readonly side = 'downstream';

  /** Keys of the policies that refused: see `refusingPolicies` of the model. */
  readonly policies: readonly string[];

  constructor(refusal: string, policies: readonly string[]) {
    super(`connection closed due to policy rejection: ${refusal}`);
    this.policies = policies;
  }
}

/** The connection was open, and policy as it is now would refuse it. */
export class PolicyChangeError extends MeshError {
  readonly code = 'POLICY_CHANGE';
  readonly side = 'downstream';

  /** As those of {@link PolicyRejectionError}, by what policy says now. */
  readonly policies: readonly string[];

  constructor(policies: readonly string[]) {
    super('connection closed due to policy change');
    this.policies = policies;
  }
}

/** The pod's namespace is not to be used any more. */
export class PodStoppedError extends MeshError {
  readonly code = 'POD_STOPPED';
  readonly side = 'internal';

  constructor() {
    super('the pod has stopped');
  }
}

/** The pod or the proxy went away before the connection ended by itself. */
export class DrainError extends MeshError {
  readonly code = 'CONNECTION_DRAIN';
  readonly side = 'internal';

  constructor() {
    super('connection closed due to connection drain');
  }
}

/** No decision leads anywhere: an unknown waypoint, no healthy endpoint, an authority that is not ours. */
export class RouteRefusalError extends MeshError {
  readonly code = 'ROUTE_REFUSAL';
  readonly side = 'upstream';
}

/** The mesh does not know the pod of this connection, nor has it heard of it in time. */
export class UnknownWorkloadError extends MeshError {
  readonly code = 'UNKNOWN_WORKLOAD';
  readonly side = 'internal';

  constructor(pod: string, waitedMs: number) {
    super(`workload of pod ${pod} not known after ${waitedMs} ms`);
  }
}

/** The control plane did not say in time whether the mesh knows these addresses. */
export class NoAnswerError extends MeshError {
  readonly code = 'NO_ANSWER';
  readonly side = 'internal';

  constructor(keys: readonly string[]) {
    super(`no answer from the control plane about ${keys.slice(0, 3).join(', ') || 'what the route needs'}`);
  }
}

/** The application, or an address in clear, did not take the connection. */
export class ConnectError extends MeshError {
  readonly code = 'CONNECT';
  readonly side = 'upstream';

  constructor(to: Endpoint, why: string, options?: ErrorOptions) {
    super(`could not connect to ${formatHostPort(to.ip, to.port)}: ${why}`, options);
  }
}

/** The peer of a tunnel took the stream and did not answer the CONNECT as it must. */
export class ConnectAnswerError extends MeshError {
  readonly code = 'CONNECT_ANSWER';
  readonly side = 'upstream';

  constructor(why: 'none' | 'data') {
    super(
      why === 'none'
        ? `CONNECT not answered within ${CONNECT_ANSWER_TIMEOUT_MS} ms`
        : 'data before the answer to CONNECT',
    );
  }
}

/** A tunnel had been opened and used, and nothing comes through it any more. */
export class TunnelSilentError extends MeshError {
  readonly code = 'TUNNEL_SILENT';
  readonly side = 'upstream';

  constructor(address: string, options?: ErrorOptions) {
    super(
      `the tunnel to ${address} has gone silent, maybe a NetworkPolicy is blocking HBONE port 15008 now`,
      options,
    );
  }
}

/** Why a peer did not answer a CONNECT: it may take its time, or have become unreachable. */
export function unanswered(session: Pick<H2Session, 'silentMs'>, to: Endpoint): MeshError {
  const error = new ConnectAnswerError('none');
  if (session.silentMs < TUNNEL_SILENT_MS) return error;
  return new TunnelSilentError(formatHostPort(to.ip, to.port), { cause: error });
}

/** What a connection in a tunnel to `to` ended with, told as the end of the tunnel where it was that. */
export function endInTunnel(error: Error | undefined, to: Endpoint | undefined): Error | undefined {
  const isSilence = error instanceof StreamResetError && error.cause instanceof H2SilentError;
  return isSilence && to ? new TunnelSilentError(formatHostPort(to.ip, to.port), { cause: error }) : error;
}

/** A listener of a pod could not be opened. */
export class ListenError extends MeshError {
  readonly code = 'LISTEN';
  readonly side = 'internal';

  constructor(ip: string, port: number, why: string, options?: ErrorOptions) {
    super(`cannot listen on ${formatHostPort(ip, port)}: ${why}`, options);
  }
}

/** No certificate for one of our own workloads. */
export class CertificateUnavailableError extends MeshError {
  readonly code = 'CERTIFICATE_UNAVAILABLE';
  readonly side = 'internal';

  constructor(identity: string, why: string) {
    super(`no certificate for ${identity}: ${why}`);
  }
}

/** A revocation list names the peer's certificate. */
export class RevokedPeerError extends MeshError {
  readonly code = 'PEER_REVOKED';
  readonly side = 'downstream';
}

/** Something in this proxy is wrong, whoever is connected: the log has the stack. */
export class FaultError extends MeshError {
  readonly code = 'FAULT';
  readonly side = 'internal';

  constructor(options: ErrorOptions) {
    super('a fault of this proxy', options);
  }
}

/** Whether it is something that may happen, and no fault of ours. Node gives a code to what it is called wrongly with, too. */
export function isExpected(error: unknown): error is Error {
  if (error instanceof TypeError || error instanceof RangeError) return false;
  return error instanceof MeshError || (error instanceof Error && codeOf(error) !== undefined);
}

const FLAGS: Readonly<Record<string, ResponseFlag>> = {
  POLICY_REJECTION: 'DENY',
  POLICY_CHANGE: 'DENY',
  CONNECTION_DRAIN: '-',
  TUNNEL_CONNECT_TIMEOUT: 'NETWORK_POLICY',
  TUNNEL_SILENT: 'NETWORK_POLICY',
  TUNNEL_TLS: 'TLS_FAILURE',
  TUNNEL_CLOSED: 'H2_HANDSHAKE_FAILURE',
  H2_CLOSED: 'H2_HANDSHAKE_FAILURE',
  CERTIFICATE_UNAVAILABLE: 'IDENTITY_ERROR',
  OWN_CERTIFICATE: 'IDENTITY_ERROR',
  PEER_REVOKED: 'CERT_REVOKED',
};

/** What metrics say of a connection that ended with `error`; a cause that says more than its error wins. */
export function flagOf(error: Error | undefined): ResponseFlag {
  if (error === undefined) return '-';
  const inner = error.cause instanceof MeshError ? FLAGS[error.cause.code] : undefined;
  const own = error instanceof MeshError ? FLAGS[error.code] : undefined;
  return inner === 'CERT_REVOKED' ? inner : (own ?? 'CONNECT');
}
