/** A DestinationPolicy from its message. */
import type {
  ConnectionPool as ConnectionPoolMessage,
  ConsistentHash as ConsistentHashMessage,
  DestinationPolicy as DestinationPolicyMessage,
  HealthCheck as HealthCheckMessage,
  LoadBalancer as LoadBalancerMessage,
  LocalityPreference as LocalityPreferenceMessage,
  OutlierDetection as OutlierDetectionMessage,
  RetryBudget as RetryBudgetMessage,
  Subset as SubsetMessage,
  TrafficPolicy as TrafficPolicyMessage,
  UpstreamTls as UpstreamTlsMessage,
} from '@ambit/api/waypoint';
import { HashAlgorithm, Http2Upgrade, SimpleLoadBalancer } from '@ambit/api/waypoint';
import { isDnsSubdomain } from '@ambit/core/dns-subdomain';
import { isCookiePath, isToken } from '@ambit/core/http-text';
import { atMost, nameOf, pick, portOf, Problem } from '@ambit/model/decode/problem';
import {
  type ConnectionPool,
  type ConsistentHash,
  type DestinationPolicy,
  type FailoverLabel,
  type HashKey,
  type HealthCheck,
  type LoadBalancer,
  type LocalityPreference,
  NO_TRAFFIC_POLICY,
  type OutlierDetection,
  type RetryBudget,
  type Subset,
  type TlsSource,
  type TrafficPolicy,
  type UpstreamTls,
} from '../destination-policy.ts';
import { MAX_HASH_TABLE_SIZE, MAX_PARTS, MAX_SUBSET_WORKLOADS } from '../limits.ts';
import { durationOf, headerNameOf, originOf, said, textOf } from './read.ts';

/** @throws {@link Problem} */
export function destinationPolicyOf(name: string, message: DestinationPolicyMessage): DestinationPolicy {
  const hostname = nameOf(message.hostname, 'hostname').toLowerCase();
  if (hostname === '') throw new Problem('hostname: missing');
  const subsets = atMost(message.subsets, MAX_PARTS, 'subsets').map(
    (subset) => [nameOf(subset.name, 'subsets'), subsetOf(subset)] as const,
  );
  return {
    name,
    origin: originOf(message.origin),
    hostname,
    serviceNamespace: said(nameOf(message.serviceNamespace, 'serviceNamespace')),
    policy: trafficPolicyOf(message.policy),
    ports: portPoliciesOf(message.ports),
    subsets: new Map(subsets),
    unreadable: said(message.unreadable),
  };
}

function portPoliciesOf(messages: DestinationPolicyMessage['ports']): ReadonlyMap<number, TrafficPolicy> {
  return new Map(
    atMost(messages, MAX_PARTS, 'ports').map(({ port, policy }) => [
      portOf(port, 'ports'),
      trafficPolicyOf(policy),
    ]),
  );
}

function subsetOf({ policy, ports, labels, workloads }: SubsetMessage): Subset {
  return {
    policy: trafficPolicyOf(policy),
    ports: portPoliciesOf(ports),
    labels: new Map(labels),
    workloads: new Set(atMost(workloads, MAX_SUBSET_WORKLOADS, 'workloads')),
  };
}

function trafficPolicyOf(message: TrafficPolicyMessage | undefined): TrafficPolicy {
  if (message === undefined) return NO_TRAFFIC_POLICY;
  return {
    loadBalancer: message.loadBalancer && loadBalancerOf(message.loadBalancer),
    connectionPool: message.connectionPool && connectionPoolOf(message.connectionPool),
    outlierDetection: message.outlierDetection && outlierDetectionOf(message.outlierDetection),
    tls: message.tls && tlsOf(message.tls),
    healthCheck: message.healthCheck && healthCheckOf(message.healthCheck),
    retryBudget: message.retryBudget && retryBudgetOf(message.retryBudget),
    proxyProtocol: pick({ 0: undefined, 1: 1, 2: 2 } as const, message.proxyProtocol, 'proxyProtocol'),
  };
}

const SIMPLE = {
  [SimpleLoadBalancer.UNSPECIFIED]: undefined,
  [SimpleLoadBalancer.LEAST_REQUEST]: 'least-request',
  [SimpleLoadBalancer.ROUND_ROBIN]: 'round-robin',
  [SimpleLoadBalancer.RANDOM]: 'random',
} as const;

function loadBalancerOf(message: LoadBalancerMessage): LoadBalancer {
  return {
    simple: pick(SIMPLE, message.simple, 'loadBalancer'),
    consistentHash: message.consistentHash && consistentHashOf(message.consistentHash),
    locality: message.locality && localityOf(message.locality),
    warmupMs: durationOf(message.warmupMs, 'warmup') ?? 0,
  };
}

const ALGORITHMS = { [HashAlgorithm.RING_HASH]: 'ring-hash', [HashAlgorithm.MAGLEV]: 'maglev' } as const;
/** Envoy's sizes. */
const DEFAULT_TABLE_SIZE = { 'ring-hash': 1_024, maglev: 65_537 } as const;

function consistentHashOf(message: ConsistentHashMessage): ConsistentHash {
  const algorithm = pick(ALGORITHMS, message.algorithm, 'consistentHash');
  const wanted = Number(message.tableSize) || DEFAULT_TABLE_SIZE[algorithm];
  // Of a ring the size is a minimum, which more would make finer and no different.
  const tableSize = algorithm === 'ring-hash' ? Math.min(wanted, MAX_HASH_TABLE_SIZE) : wanted;
  if (tableSize > MAX_HASH_TABLE_SIZE) {
    throw new Problem(`consistentHash: a table of more than ${MAX_HASH_TABLE_SIZE} entries`);
  }
  if (algorithm === 'maglev' && !isPrime(tableSize)) {
    throw new Problem(`consistentHash: ${tableSize} is not prime, as the size of a Maglev table must be`);
  }
  return { key: hashKeyOf(message), algorithm, tableSize };
}

function hashKeyOf({ key }: ConsistentHashMessage): HashKey {
  switch (key?.$case) {
    case 'header':
      return { kind: 'header', name: headerNameOf(key.value, 'consistentHash') };
    case 'queryParameter':
      return { kind: 'query-parameter', name: nameOf(key.value, 'consistentHash') };
    case 'sourceIp':
      return { kind: 'source-ip' };
    case 'cookie': {
      const { name, path, ttlMs } = key.value;
      if (!isToken(nameOf(name, 'consistentHash'))) {
        throw new Problem(`consistentHash: ${name} is no name of a cookie`);
      }
      if (!isCookiePath(nameOf(path, 'consistentHash'))) {
        throw new Problem(`consistentHash: ${path} is no path of a cookie`);
      }
      const ttl = ttlMs === undefined ? undefined : (durationOf(ttlMs, 'consistentHash') ?? 0);
      return { kind: 'cookie', name, path, ttlMs: ttl };
    }
    case undefined:
      throw new Problem('consistentHash: a key of a kind that is not known');
    default:
      return key satisfies never;
  }
}

function isPrime(number: number): boolean {
  if (number < 2) return false;
  for (let i = 2; i * i <= number; i++) if (number % i === 0) return false;
  return true;
}

export function localityOf(message: LocalityPreferenceMessage): LocalityPreference {
  return {
    enabled: message.enabled ?? true,
    distribute: atMost(message.distribute, MAX_PARTS, 'distribute').map(({ from, to }) => ({
      from: nameOf(from, 'distribute'),
      to: [...to].map(([locality, weight]) => ({ locality: nameOf(locality, 'distribute'), weight })),
    })),
    failover: atMost(message.failover, MAX_PARTS, 'failover').map(({ from, to }) => ({
      from: nameOf(from, 'failover'),
      to: nameOf(to, 'failover'),
    })),
    failoverPriority: atMost(message.failoverPriority, MAX_PARTS, 'failoverPriority').map((text) =>
      failoverLabelOf(nameOf(text, 'failoverPriority'), message.labelValues),
    ),
  };
}

/** `label`, or `label=value`. */
function failoverLabelOf(text: string, known: LocalityPreferenceMessage['labelValues']): FailoverLabel {
  const equals = text.indexOf('=');
  const label = equals < 0 ? text : text.slice(0, equals);
  const values = known.find((one) => one.label === label)?.byWorkload;
  if (values && values.size > MAX_SUBSET_WORKLOADS)
    throw new Problem(`failoverPriority: more than ${MAX_SUBSET_WORKLOADS} workloads have ${label}`);
  return { label, value: equals < 0 ? undefined : text.slice(equals + 1), values };
}

const UPGRADES = {
  [Http2Upgrade.DEFAULT]: 'default',
  [Http2Upgrade.DO_NOT_UPGRADE]: 'never',
  [Http2Upgrade.UPGRADE]: 'always',
} as const;

function connectionPoolOf(message: ConnectionPoolMessage): ConnectionPool {
  const limit = (number: number) => (number === 0 ? undefined : number);
  return {
    maxConnections: limit(message.maxConnections),
    connectTimeoutMs: durationOf(message.connectTimeoutMs, 'connectTimeout'),
    maxPendingRequests: limit(message.maxPendingRequests),
    maxRequests: limit(message.maxRequests),
    maxRequestsPerConnection: limit(message.maxRequestsPerConnection),
    maxRetries: limit(message.maxRetries),
    idleTimeoutMs: durationOf(message.idleTimeoutMs, 'idleTimeout'),
    maxConnectionDurationMs: durationOf(message.maxConnectionDurationMs, 'maxConnectionDuration'),
    maxConcurrentStreams: limit(message.maxConcurrentStreams),
    http2Upgrade: pick(UPGRADES, message.http2Upgrade, 'http2Upgrade'),
    useClientProtocol: message.useClientProtocol,
  };
}

/** Istio's defaults where the user said nothing; gateway and local-origin errors count only when asked for. */
function outlierDetectionOf(message: OutlierDetectionMessage): OutlierDetection {
  const split = message.splitExternalLocalOriginErrors;
  return {
    consecutive5xx: message.consecutive5xx ?? 5,
    consecutiveGatewayErrors: message.consecutiveGatewayErrors ?? 0,
    consecutiveLocalOriginFailures: message.consecutiveLocalOriginFailures ?? (split ? 5 : 0),
    splitLocalOriginErrors: split,
    intervalMs: durationOf(message.intervalMs, 'interval') ?? 10_000,
    baseEjectionMs: durationOf(message.baseEjectionMs, 'baseEjectionTime') ?? 30_000,
    maxEjectionPercent: Math.min(message.maxEjectionPercent ?? 10, 100),
    minHealthPercent: Math.min(message.minHealthPercent, 100),
  };
}

function tlsOf(message: UpstreamTlsMessage): UpstreamTls {
  return {
    sni: nameOf(message.sni, 'tls'),
    subjectAltNames: atMost(message.subjectAltNames, MAX_PARTS, 'tls').map((name) => nameOf(name, 'tls')),
    caCertificates: textOf(message.caCertificates, 'tls'),
    insecureSkipVerify: message.insecureSkipVerify,
    source: tlsSourceOf(message),
    unreadable: said(message.unreadable),
  };
}

function tlsSourceOf({ files, credential }: UpstreamTlsMessage): TlsSource | undefined {
  if (files && credential) throw new Problem('tls: both files and a credential');
  if (credential) {
    const { name, mutual } = credential;
    // It becomes a part of a path.
    if (!isDnsSubdomain(name)) throw new Problem(`tls: ${JSON.stringify(name)} is no name of a Secret`);
    return { kind: 'credential', name, isMutual: mutual };
  }
  if (!files) return undefined;
  const path = (given: string) => {
    if (given !== '' && !(given.startsWith('/') && !given.includes('\0')))
      throw new Problem(`tls: ${JSON.stringify(given)} is no absolute path`);
    return said(nameOf(given, 'tls'));
  };
  return {
    kind: 'files',
    clientCertificate: path(files.clientCertificate),
    privateKey: path(files.privateKey),
    caCertificates: path(files.caCertificates),
    caCrl: path(files.caCrl),
  };
}

function healthCheckOf(message: HealthCheckMessage): HealthCheck {
  const kind = message.grpc ? 'grpc' : message.tcp ? 'tcp' : 'http';
  return {
    kind,
    path: textOf(message.path, 'healthCheck') || '/',
    intervalMs: durationOf(message.intervalMs, 'healthCheck') ?? 10_000,
    timeoutMs: durationOf(message.timeoutMs, 'healthCheck') ?? 1_000,
    healthyThreshold: message.healthyThreshold || 1,
    unhealthyThreshold: message.unhealthyThreshold || 3,
  };
}

function retryBudgetOf({ percent, minRetryConcurrency }: RetryBudgetMessage): RetryBudget {
  return { percent: Math.min(percent || 20, 100), minRetryConcurrency: minRetryConcurrency || 3 };
}
