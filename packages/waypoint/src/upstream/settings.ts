/** How connections to a destination are made and kept: what its policy says, and our defaults where it says nothing. */
import type { AppProtocol } from '@ambit/model/service';
import * as limits from '../limits.ts';
import type { Destination, LocalityPreference } from '../resources/destination-policy.ts';
import type { MeshSettings } from '../resources/mesh-settings.ts';
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
  /** What the mesh says of localities. */
  readonly meshLocality: LocalityPreference | undefined;
}

export function upstreamSettings(
  destination: Destination,
  mesh: Pick<MeshSettings, 'connectTimeoutMs' | 'locality'>,
): UpstreamSettings {
  const pool = destination.connectionPool;
  return {
    connectTimeoutMs: pool?.connectTimeoutMs ?? (mesh.connectTimeoutMs || limits.CONNECT_TIMEOUT_MS),
    meshLocality: mesh.locality,
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

/** What of a request decides how it can be sent on. */
export interface ClientVersion {
  readonly version: '1.0' | '1.1' | '2';
  readonly isGrpc: boolean;
}

/**
 * The version of HTTP that an endpoint is spoken to in: what the policy says, what its port declares, else the client's.
 *
 * gRPC cannot be said in HTTP/1.1: on a port that declares plain HTTP it stays what it is.
 */
export function upstreamVersion(
  declared: AppProtocol | undefined,
  destination: Destination,
  { version, isGrpc }: ClientVersion,
): HttpVersion {
  const pool = destination.connectionPool;
  const clients: HttpVersion = version === '2' ? '2' : '1.1';
  if (pool?.useClientProtocol) return clients;
  if (pool?.http2Upgrade === 'always' || declared === 'HTTP2' || declared === 'GRPC') return '2';
  if (isGrpc) return clients;
  return pool?.http2Upgrade === 'never' || declared === 'HTTP11' ? '1.1' : clients;
}

/** Whether two parts of a policy say the same: they are plain values. */
export function samePolicy<T extends object>(a: T | undefined, b: T | undefined): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
