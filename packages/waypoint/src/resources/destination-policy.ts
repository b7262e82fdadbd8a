/** DestinationRule and BackendTLSPolicy: how the endpoints of a service are used. */
import type { ServiceKey } from '@ambit/model/address';
import type { Origin } from './origin.ts';

export interface DestinationPolicy {
  /** Of the xDS resource: `KIND/namespace/name`. */
  readonly name: string;
  readonly origin: Origin;
  /** In lower case; may begin with `*`. */
  readonly hostname: string;
  /** `undefined`: of any namespace. */
  readonly serviceNamespace: string | undefined;
  readonly policy: TrafficPolicy;
  /** By service port: instead of {@link policy}, nothing of which it inherits. */
  readonly ports: ReadonlyMap<number, TrafficPolicy>;
  readonly subsets: ReadonlyMap<string, Subset>;
  /** Why it could not be read: nothing is sent where it would have applied. */
  readonly unreadable: string | undefined;
}

export interface Subset {
  /** Its parts win over those of the destination's policy. */
  readonly policy: TrafficPolicy;
  /** By service port: instead of {@link policy}, nothing of which it inherits. */
  readonly ports: ReadonlyMap<number, TrafficPolicy>;
  readonly labels: ReadonlyMap<string, string>;
  /** uids of the workloads that have the labels. */
  readonly workloads: ReadonlySet<string>;
}

/** Each part `undefined` where the user said nothing. */
export interface TrafficPolicy {
  readonly loadBalancer: LoadBalancer | undefined;
  readonly connectionPool: ConnectionPool | undefined;
  readonly outlierDetection: OutlierDetection | undefined;
  readonly tls: UpstreamTls | undefined;
  readonly healthCheck: HealthCheck | undefined;
  readonly retryBudget: RetryBudget | undefined;
  readonly proxyProtocol: 1 | 2 | undefined;
}

export const NO_TRAFFIC_POLICY: TrafficPolicy = {
  loadBalancer: undefined,
  connectionPool: undefined,
  outlierDetection: undefined,
  tls: undefined,
  healthCheck: undefined,
  retryBudget: undefined,
  proxyProtocol: undefined,
};

/** What applies to one port of a service, or to a subset of its endpoints. */
export interface Destination extends TrafficPolicy {
  readonly service: ServiceKey;
  readonly port: number;
  /** The only endpoints that may be used; `undefined`: all of them. */
  readonly workloads: ReadonlySet<string> | undefined;
  /** Why nothing may be sent: a subset that nobody defines, or a policy that cannot be read. */
  readonly unusable: string | undefined;
  /** Names of the resources it was made from, for explanations. */
  readonly from: readonly string[];
}

export interface LoadBalancer {
  /** `undefined`: least-request. */
  readonly simple: 'least-request' | 'round-robin' | 'random' | undefined;
  readonly consistentHash: ConsistentHash | undefined;
  readonly locality: LocalityPreference | undefined;
  /** A new endpoint's share grows over this time. 0: at once. */
  readonly warmupMs: number;
}

export interface ConsistentHash {
  readonly key: HashKey;
  readonly algorithm: 'ring-hash' | 'maglev';
  /** Least entries of a ring, exact ones of a Maglev table. */
  readonly tableSize: number;
}

export type HashKey =
  | { readonly kind: 'header' | 'query-parameter'; readonly name: string }
  | {
      readonly kind: 'cookie';
      readonly name: string;
      readonly path: string;
      /** 0: a session cookie. `undefined`: never set by us. */
      readonly ttlMs: number | undefined;
    }
  | { readonly kind: 'source-ip' };

/** The localityLbSetting of a DestinationRule, or of the mesh. */
export interface LocalityPreference {
  readonly enabled: boolean;
  readonly distribute: readonly LocalityShare[];
  readonly failover: readonly { readonly from: string; readonly to: string }[];
  /** In turn: who has more of them in common comes first. */
  readonly failoverPriority: readonly FailoverLabel[];
}

export interface FailoverLabel {
  readonly label: string;
  /** What an endpoint must have there; `undefined`: what the waypoint has. */
  readonly value: string | undefined;
  /** By uid of the workload; `undefined`: a label that mesh state tells. */
  readonly values: ReadonlyMap<string, string> | undefined;
}

export interface LocalityShare {
  /** `region/zone/subzone`, each part may be `*`. */
  readonly from: string;
  readonly to: readonly { readonly locality: string; readonly weight: number }[];
}

/** Every part `undefined` where the default applies. */
export interface ConnectionPool {
  readonly maxConnections: number | undefined;
  readonly connectTimeoutMs: number | undefined;
  readonly maxPendingRequests: number | undefined;
  readonly maxRequests: number | undefined;
  readonly maxRequestsPerConnection: number | undefined;
  readonly maxRetries: number | undefined;
  readonly idleTimeoutMs: number | undefined;
  readonly maxConnectionDurationMs: number | undefined;
  readonly maxConcurrentStreams: number | undefined;
  readonly http2Upgrade: 'default' | 'never' | 'always';
  readonly useClientProtocol: boolean;
}

export interface OutlierDetection {
  /** 0: off. */
  readonly consecutive5xx: number;
  readonly consecutiveGatewayErrors: number;
  readonly consecutiveLocalOriginFailures: number;
  readonly splitLocalOriginErrors: boolean;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionPercent: number;
  /** Below this share of healthy endpoints nothing is ejected. */
  readonly minHealthPercent: number;
}

/** TLS that the waypoint itself originates. */
export interface UpstreamTls {
  readonly sni: string;
  readonly subjectAltNames: readonly string[];
  /** PEM. Empty: the system's roots. */
  readonly caCertificates: string;
  readonly insecureSkipVerify: boolean;
  /** What is read here, in the place of `caCertificates`. */
  readonly source: TlsSource | undefined;
  /** Why no connection can be made. */
  readonly unreadable: string | undefined;
}

/** Where certificates and keys come from that the control plane has not, and need not have. */
export type TlsSource =
  /** Absolute paths; `undefined`: none, and for authorities the system's. */
  | {
      readonly kind: 'files';
      readonly clientCertificate: string | undefined;
      readonly privateKey: string | undefined;
      readonly caCertificates: string | undefined;
      readonly caCrl: string | undefined;
    }
  /** A Secret that was mounted. */
  | { readonly kind: 'credential'; readonly name: string; readonly isMutual: boolean };

export interface HealthCheck {
  readonly kind: 'http' | 'grpc' | 'tcp';
  readonly path: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
}

export interface RetryBudget {
  readonly percent: number;
  readonly minRetryConcurrency: number;
}
