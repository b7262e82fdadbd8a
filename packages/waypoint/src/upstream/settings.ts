/** How connections to a destination are made and kept: what its policy says, and our defaults where it says nothing. */
import type { AppProtocol } from '@ambit/model/service';
import * as limits from '../limits.ts';
import type { Destination } from '../resources/destination-policy.ts';
import type { BreakerLimits } from './breakers.ts';
import type { HttpVersion } from './http-pool.ts';

export interface UpstreamSettings {
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** 0: no limit. */
  readonly maxRequestsPerConnection: number;
  /** 0: no limit. */
  readonly maxConnectionDurationMs: number;
  readonly maxStreams: number;
  readonly breakers: BreakerLimits;
}

/** @param meshConnectTimeoutMs - 0: the default. */
export function upstreamSettings(destination: Destination, meshConnectTimeoutMs: number): UpstreamSettings {
  const pool = destination.connectionPool;
  return {
    connectTimeoutMs: pool?.connectTimeoutMs ?? (meshConnectTimeoutMs || limits.CONNECT_TIMEOUT_MS),
    idleTimeoutMs: pool?.idleTimeoutMs ?? limits.UPSTREAM_IDLE_MS,
    maxRequestsPerConnection: pool?.maxRequestsPerConnection ?? 0,
    maxConnectionDurationMs: pool?.maxConnectionDurationMs ?? 0,
    maxStreams: pool?.maxConcurrentStreams ?? limits.STREAMS_PER_UPSTREAM_CONNECTION,
    breakers: {
      connections: pool?.maxConnections ?? limits.UPSTREAM_CONNECTIONS,
      pendingRequests: pool?.maxPendingRequests ?? limits.PENDING_REQUESTS,
      requests: pool?.maxRequests ?? limits.REQUESTS_IN_FLIGHT,
      retries: pool?.maxRetries ?? limits.CONCURRENT_RETRIES,
    },
  };
}

/**
 * The version of HTTP that an endpoint is spoken to in: what its port declares, what the policy says, else the client's.
 *
 * @param client - Of the request.
 */
export function upstreamVersion(
  declared: AppProtocol | undefined,
  destination: Destination,
  client: '1.0' | '1.1' | '2',
): HttpVersion {
  const pool = destination.connectionPool;
  const clients: HttpVersion = client === '2' ? '2' : '1.1';
  if (pool?.useClientProtocol) return clients;
  if (pool?.http2Upgrade === 'always') return '2';
  if (declared === 'HTTP2' || declared === 'GRPC') return '2';
  if (pool?.http2Upgrade === 'never') return '1.1';
  return clients;
}
