/** Answers of the waypoint that mean "no": what the client is told, and what the log is. In Envoy's words. */
import type { RequestHead } from '@ambit/http/exchange';
import type { HeaderFields } from '@ambit/http/header-fields';
import type { PathRefusalReason } from '../decide/normalize-path.ts';
import { grpcStatus } from '../grpc.ts';
import type { UpstreamError } from '../upstream/errors.ts';
import type { ResponseFlag } from './flags.ts';

export interface Refusal {
  readonly status: number;
  /** For the client. */
  readonly text: string;
  readonly flag?: ResponseFlag;
  /** Envoy's word, or a stable one of ours. */
  readonly details: string;
  readonly fields?: HeaderFields;
  /** Instead of the one that follows from the HTTP status. */
  readonly grpcStatus?: number;
}

export const OVERLOADED: Refusal = { status: 503, text: 'overloaded', flag: 'OM', details: 'overloaded' };
export const NOT_CONFIGURED: Refusal = { status: 503, text: '', flag: 'NR', details: 'not_configured_yet' };
export const INTERNAL_ERROR: Refusal = { status: 500, text: '', details: 'internal_error' };
export const TIMED_OUT: Refusal = {
  status: 504,
  text: 'upstream request timeout',
  flag: 'UT',
  details: 'response_timeout',
  grpcStatus: grpcStatus('DEADLINE_EXCEEDED'),
};
/** For a body that a service which authorizes would have to see, and may not. */
export const TOO_LARGE: Refusal = {
  status: 413,
  text: 'Payload Too Large',
  details: 'request_payload_too_large',
};
export const SLOW_REQUEST: Refusal = {
  status: 408,
  text: 'request timeout',
  flag: 'SI',
  details: 'request_body_idle_timeout',
};
export const IDLE: Refusal = {
  status: 504,
  text: 'stream timeout',
  flag: 'SI',
  details: 'stream_idle_timeout',
  grpcStatus: grpcStatus('DEADLINE_EXCEEDED'),
};

/**
 * Why nobody is asked about a request: what would reach an endpoint is not what policies and routes see of it.
 *
 * A WebSocket's handshake is a GET without a body (RFC 6455 §4.1) and goes out as one, whatever came in. CONNECT has no path
 * that a policy could look at, and its endpoint might open a connection to whatever it names. To an extended CONNECT
 * (RFC 8441) any 2xx is the switch of protocols, so one that nothing here switches to has no other answer.
 */
export function notCarriedOf({ method, version, upgrade, endsHere }: RequestHead): Refusal | undefined {
  if (method === 'CONNECT')
    return { status: 405, text: 'CONNECT is not carried', details: 'connect_not_carried' };
  if (version === '2' && upgrade !== undefined && upgrade !== 'websocket')
    return { status: 501, text: 'no such protocol', details: 'extended_connect_unknown_protocol' };
  if (upgrade === 'websocket' && (method !== 'GET' || !endsHere))
    return { status: 400, text: 'no WebSocket handshake', details: 'websocket_handshake_not_get' };
  return undefined;
}

/** For a request whose path nobody can decide upon. */
export function pathRefusal(reason: PathRefusalReason): Refusal {
  return reason === 'no-path'
    ? { status: 404, text: '', details: 'absolute_path_rejected' }
    : { status: 400, text: '', details: `path_normalization_failed{${reason}}` };
}

/** @param reason - In words, none of which is the client's. */
export function tokenDenied(reason: string): string {
  return `jwt_authn_access_denied{${reason.replaceAll(' ', '_')}}`;
}

/** For a request about which its route has a service asked that is not there. */
export function noAuthorizer(status: number): Refusal {
  return { status, text: '', flag: 'UAEX', details: 'ext_authz_invalid_backend' };
}

/** @param policy - Who said no; `none` when nobody said yes. */
export function accessDenied(policy: string): Refusal {
  const details = `rbac_access_denied_matched_policy[${policy}]`;
  return { status: 403, text: 'RBAC: access denied', details };
}

/** For a request that no endpoint could serve. */
export function refusalOf(error: UpstreamError): Refusal {
  const { flag, reason } = error;
  switch (reason) {
    case 'no_healthy_upstream':
    case 'dns_failure':
      return { status: 503, text: 'no healthy upstream', flag, details: reason };
    case 'route_not_found':
      return { status: 404, text: '', flag, details: reason };
    case 'cluster_not_found':
      return { status: 503, text: '', flag, details: reason };
    case 'request_not_sendable':
      return { ...INTERNAL_ERROR, flag, details: reason };
    case 'upgrade_refused':
      return { status: 502, text: 'the upgrade was not accepted', flag, details: reason };
    case 'per_try_timeout':
      return { ...TIMED_OUT, details: 'upstream_per_try_timeout' };
    default: {
      const words = reason.replaceAll('_', ' ');
      return {
        status: 503,
        text: `upstream connect error or disconnect/reset before headers. reset reason: ${words}`,
        flag,
        details: `upstream_reset_before_response_started{${reason}}`,
      };
    }
  }
}
