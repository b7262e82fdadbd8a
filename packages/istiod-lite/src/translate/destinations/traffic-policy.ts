/** A DestinationRule's traffic policy as waypoints are sent it. Pure; the specification fits its schema. */
import {
  type ConnectionPool,
  type ConsistentHash,
  HashAlgorithm,
  Http2Upgrade,
  type LoadBalancer,
  type LocalityPreference,
  type OutlierDetection,
  SimpleLoadBalancer,
  type TrafficPolicy,
  type UpstreamTls,
  type WaypointFields,
} from '@ambit/api/waypoint';
import type {
  ClientTlsSettings,
  ConnectionPoolSettings,
  LoadBalancerSettings,
  LocalityLbSetting,
  OutlierDetectionSettings,
  TrafficPolicySettings,
} from '@ambit/kube/resources/networking';
import { wireDurationMs } from '../go-duration.ts';
import { secretName } from '../../validate/secret-name.ts';
import type { RuledWorkloads } from './destination-rule.ts';

/** Of the rule's services. */
type LabelledWorkloads = Pick<RuledWorkloads, 'valuesOf'>;

type Settings = Omit<TrafficPolicySettings, 'portLevelSettings' | 'tunnel'>;

export function trafficPolicy(
  {
    loadBalancer: balancer,
    connectionPool: pool,
    outlierDetection: outliers,
    tls: given,
    proxyProtocol,
    retryBudget,
  }: Settings,
  workloads: LabelledWorkloads,
): WaypointFields<TrafficPolicy> {
  const tls = given && upstreamTls(given);
  return {
    ...(balancer && { loadBalancer: loadBalancer(balancer, workloads) }),
    ...(pool && { connectionPool: connectionPool(pool) }),
    ...(outliers && { outlierDetection: outlierDetection(outliers) }),
    ...(tls && { tls }),
    ...(retryBudget && {
      retryBudget: {
        // Less than one is not none.
        percent: Math.ceil(retryBudget.percent ?? DEFAULT_BUDGET_PERCENT),
        minRetryConcurrency: retryBudget.minRetryConcurrency ?? DEFAULT_MIN_RETRIES,
      },
    }),
    proxyProtocol: proxyProtocol ? (proxyProtocol.version === 'V2' ? 2 : 1) : 0,
  };
}

const DEFAULT_BUDGET_PERCENT = 20;
const DEFAULT_MIN_RETRIES = 3;

const SIMPLE: Readonly<Record<string, SimpleLoadBalancer>> = {
  LEAST_CONN: SimpleLoadBalancer.LEAST_REQUEST,
  LEAST_REQUEST: SimpleLoadBalancer.LEAST_REQUEST,
  ROUND_ROBIN: SimpleLoadBalancer.ROUND_ROBIN,
  RANDOM: SimpleLoadBalancer.RANDOM,
};

function loadBalancer(
  {
    simple = '',
    consistentHash: hash,
    localityLbSetting: locality,
    warmup,
    warmupDurationSecs,
  }: LoadBalancerSettings,
  workloads: LabelledWorkloads,
): WaypointFields<LoadBalancer> {
  return {
    simple: SIMPLE[simple] ?? SimpleLoadBalancer.UNSPECIFIED,
    ...(hash && { consistentHash: consistentHash(hash) }),
    ...(locality && { locality: localityPreference(locality, workloads) }),
    warmupMs: wireDurationMs(warmup?.duration ?? warmupDurationSecs),
  };
}

function consistentHash({
  httpHeaderName,
  httpCookie,
  useSourceIp,
  httpQueryParameterName,
  ringHash,
  maglev,
  minimumRingSize,
}: NonNullable<LoadBalancerSettings['consistentHash']>): WaypointFields<ConsistentHash> {
  const algorithm = maglev ? HashAlgorithm.MAGLEV : HashAlgorithm.RING_HASH;
  const tableSize = BigInt((maglev ? maglev.tableSize : (ringHash?.minimumRingSize ?? minimumRingSize)) ?? 0);
  const shared = { algorithm, tableSize };
  if (httpHeaderName !== undefined)
    return { ...shared, key: { $case: 'header', value: httpHeaderName.toLowerCase() } };
  if (httpQueryParameterName !== undefined)
    return { ...shared, key: { $case: 'queryParameter', value: httpQueryParameterName } };
  if (httpCookie) {
    const { name, path = '', ttl } = httpCookie;
    const ttlMs = ttl === undefined ? undefined : BigInt(wireDurationMs(ttl));
    return { ...shared, key: { $case: 'cookie', value: { name, path, ttlMs } } };
  }
  return { ...shared, key: { $case: 'sourceIp', value: useSourceIp ?? true } };
}

/**
 * What the mesh says where nobody says more. Of failoverPriority only what stands before the first label that mesh state
 * does not tell: every waypoint would have to be told of every workload.
 */
export function meshLocality(given: LocalityLbSetting): WaypointFields<LocalityPreference> {
  const { failoverPriority = [] } = given;
  const untold = failoverPriority.findIndex((text) => !TOLD_LABELS.has(labelOf(text)));
  const told = untold < 0 ? failoverPriority : failoverPriority.slice(0, untold);
  return localityPreference({ ...given, failoverPriority: told }, { valuesOf: () => [] });
}

/** `label`, or `label=value`. */
function labelOf(text: string): string {
  return text.split('=')[0] ?? '';
}

function localityPreference(
  { enabled, distribute = [], failover = [], failoverPriority = [] }: LocalityLbSetting,
  { valuesOf }: LabelledWorkloads,
): WaypointFields<LocalityPreference> {
  const labels = new Set(failoverPriority.map(labelOf));
  return {
    enabled,
    distribute: distribute.map(({ from = '', to = {} }) => ({ from, to: new Map(Object.entries(to)) })),
    failover: failover.map(({ from = '', to = '' }) => ({ from, to })),
    failoverPriority: [...failoverPriority],
    labelValues: [...labels]
      .filter((label) => !TOLD_LABELS.has(label))
      .map((label) => ({ label, byWorkload: new Map(valuesOf(label)) })),
  };
}

/** What mesh state tells of every workload. */
const TOLD_LABELS: ReadonlySet<string> = new Set([
  'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone',
  'topology.istio.io/subzone',
  'topology.istio.io/network',
  'topology.istio.io/cluster',
  'kubernetes.io/hostname',
]);

function connectionPool({ tcp = {}, http = {} }: ConnectionPoolSettings): WaypointFields<ConnectionPool> {
  const policy = http.h2UpgradePolicy;
  return {
    maxConnections: tcp.maxConnections ?? 0,
    connectTimeoutMs: wireDurationMs(tcp.connectTimeout),
    maxConnectionDurationMs: BigInt(wireDurationMs(tcp.maxConnectionDuration)),
    idleTimeoutMs: BigInt(wireDurationMs(http.idleTimeout ?? tcp.idleTimeout)),
    maxPendingRequests: http.http1MaxPendingRequests ?? 0,
    maxRequests: http.http2MaxRequests ?? 0,
    maxRequestsPerConnection: http.maxRequestsPerConnection ?? 0,
    maxRetries: http.maxRetries ?? 0,
    maxConcurrentStreams: http.maxConcurrentStreams ?? 0,
    http2Upgrade: Http2Upgrade[policy === 'UPGRADE' || policy === 'DO_NOT_UPGRADE' ? policy : 'DEFAULT'],
    useClientProtocol: http.useClientProtocol ?? false,
  };
}

function outlierDetection(given: OutlierDetectionSettings): WaypointFields<OutlierDetection> {
  return {
    consecutive5xx: given.consecutive5xxErrors,
    consecutiveGatewayErrors: given.consecutiveGatewayErrors ?? given.consecutiveErrors,
    consecutiveLocalOriginFailures: given.consecutiveLocalOriginFailures,
    splitExternalLocalOriginErrors: given.splitExternalLocalOriginErrors ?? false,
    intervalMs: wireDurationMs(given.interval),
    baseEjectionMs: wireDurationMs(given.baseEjectionTime),
    maxEjectionPercent: given.maxEjectionPercent,
    minHealthPercent: given.minHealthPercent ?? 0,
  };
}

/**
 * `undefined`: what the mesh does anyway. Files and Secrets are names only: the waypoint has what they name. What cannot be
 * had as the user wants it is not had at all.
 */
function upstreamTls(given: ClientTlsSettings): WaypointFields<UpstreamTls> | undefined {
  const { mode = 'DISABLE', sni = '', subjectAltNames = [], insecureSkipVerify = false } = given;
  if (mode === 'DISABLE' || mode === 'ISTIO_MUTUAL') return undefined;
  const shared = { sni, subjectAltNames: [...subjectAltNames], insecureSkipVerify };
  const mutual = mode === 'MUTUAL';
  const { credentialName = '' } = given;
  if (credentialName !== '') {
    const name = secretName(credentialName);
    return name === undefined
      ? { ...shared, unreadable: `credentialName "${credentialName}" is no name of a Secret` }
      : { ...shared, credential: { name, mutual } };
  }
  const { clientCertificate = '', privateKey = '', caCertificates = '', caCrl = '' } = given;
  const own = mutual ? { clientCertificate, privateKey } : {};
  const isPlain = !mutual && caCertificates === '' && caCrl === '';
  return isPlain ? shared : { ...shared, files: { ...own, caCertificates, caCrl } };
}
