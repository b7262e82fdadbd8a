/** What can go wrong on the way to an endpoint, with the flag that Envoy's logs have for it. */
import { MeshError, messageOf } from '@ambit/core/errors';

/**
 * Envoy's response flags, as far as a waypoint has their causes: upstream connection failure, termination, remote reset, broken protocol,
 * overflow, no healthy upstream, request timeout, retry limit, no cluster, DNS failure, no route.
 */
export type UpstreamFlag = 'UF' | 'UC' | 'UR' | 'UPE' | 'UO' | 'UH' | 'UT' | 'URX' | 'NC' | 'DF' | 'NR';

/** Stable words for logs and metrics. */
export type UpstreamReason =
  | 'connection_failure'
  | 'connection_timeout'
  | 'endpoint_gone'
  | 'tls_failure'
  | 'tls_material_unusable'
  | 'connect_refused_by_peer'
  | 'connection_termination'
  | 'remote_reset'
  | 'remote_refused_stream_reset'
  | 'protocol_error'
  | 'request_not_sendable'
  | 'upgrade_refused'
  | 'overflow'
  | 'no_healthy_upstream'
  | 'cluster_not_found'
  | 'dns_failure'
  /** A client asked for no name below the wildcard. */
  | 'route_not_found'
  | 'per_try_timeout';

/** What says nothing of the endpoint. */
export const NOT_ENDPOINTS_FAULT: ReadonlySet<UpstreamReason> = new Set([
  'overflow',
  'endpoint_gone',
  'request_not_sendable',
  'tls_material_unusable',
]);

export class UpstreamError extends MeshError {
  readonly code = 'UPSTREAM';
  readonly side = 'upstream';
  readonly flag: UpstreamFlag;
  readonly reason: UpstreamReason;
  /** No byte of the request can have been acted on. */
  override readonly retryable: boolean;

  constructor(
    flag: UpstreamFlag,
    reason: UpstreamReason,
    message: string,
    options: ErrorOptions & { readonly retryable?: boolean } = {},
  ) {
    super(message, options);
    this.flag = flag;
    this.reason = reason;
    this.retryable = options.retryable ?? false;
  }
}

/** A connection that could not be made. Nothing was sent. */
export function connectError(reason: UpstreamReason, to: string, cause: unknown): UpstreamError {
  return new UpstreamError('UF', reason, `no connection to ${to}: ${messageOf(cause)}`, {
    cause,
    retryable: true,
  });
}
