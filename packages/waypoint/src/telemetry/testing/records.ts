/** Records, plans and settings with every part filled, for tests to change what they are about. */
import type { MeshSettings } from '../../resources/mesh-settings.ts';
import type { Telemetry } from '../../resources/telemetry.ts';
import type { OperatorContext } from '../access-log/operators.ts';
import type { Party } from '../party.ts';
import { type TelemetryPlan, telemetryPlan } from '../plan.ts';
import type { ConnectionRecord, RequestRecord } from '../record.ts';

export const CLIENT: Party = {
  workload: 'client-v1',
  workloadType: 'deployment',
  instance: 'client-v1-x',
  canonicalService: 'client',
  canonicalRevision: 'v1',
  namespace: 'shop',
  principal: 'spiffe://cluster.local/ns/shop/sa/client',
  cluster: 'Kubernetes',
};

export const SERVER: Party = {
  workload: 'server-v2',
  workloadType: 'deployment',
  instance: 'server-v2-y',
  canonicalService: 'server',
  canonicalRevision: 'v2',
  namespace: 'store',
  principal: 'spiffe://cluster.local/ns/store/sa/server',
  cluster: 'Kubernetes',
};

const SERVED = {
  // 2024-01-31T12:00:00.123Z
  startedAtMs: 1_706_702_400_123,
  durationMs: 12.4,
  source: CLIENT,
  destination: SERVER,
  service: { hostname: 'server.store.svc.cluster.local', name: 'server', namespace: 'store' },
  servicePort: 80,
  addresses: {
    upstream: '10.0.0.2:8080',
    upstreamLocal: '10.0.0.9:40000',
    downstreamLocal: '10.96.0.5:80',
    downstreamRemote: '10.0.0.1:5000',
  },
  flags: '-',
  details: 'via_upstream',
  transportFailure: '',
  routeName: 'HTTPRoute/store/split',
  serverName: '',
  connectionId: 7,
} as const;

export const CONTEXT: OperatorContext = {
  local: {
    id: 'waypoint~10.0.0.9~waypoint-z.store~store.svc.cluster.local',
    cluster: 'waypoint.store',
    namespace: 'store',
    canonicalService: 'waypoint',
    canonicalRevision: 'latest',
    meshId: 'cluster.local',
    clusterId: 'Kubernetes',
    ip: '10.0.0.9',
    metadata: { CLUSTER_ID: 'Kubernetes' },
  },
  hostname: 'waypoint-z',
  environment: { REGION: 'north' },
};

export const SETTINGS: MeshSettings = {
  trustDomain: 'cluster.local',
  trustDomainAliases: [],
  rootNamespace: 'istio-system',
  accessLogFile: '',
  accessLogEncoding: 'TEXT',
  accessLogFormat: '',
  extensionProviders: new Map(),
  defaultTracingProviders: [],
  defaultAccessLogProviders: [],
  defaultMetricsProviders: ['prometheus'],
  pathNormalization: 'BASE',
  connectTimeoutMs: 10_000,
  locality: undefined,
};

export function planOf(
  telemetry: readonly Partial<Telemetry>[] = [],
  settings: Partial<MeshSettings> = {},
): TelemetryPlan {
  const whole = telemetry.map((one, index): Telemetry => {
    const name = `t${index}`;
    const origin = { kind: 'Telemetry', namespace: 'store', name, createdMs: 0 };
    return { key: `store/${name}`, origin, targets: [], tracing: [], metrics: [], accessLogging: [], ...one };
  });
  return telemetryPlan({ settings: { ...SETTINGS, ...settings }, telemetry: whole }, CONTEXT);
}

export function requestRecord(over: Partial<RequestRecord> = {}): RequestRecord {
  const request: RequestRecord['request'] = {
    method: 'GET',
    scheme: 'http',
    authority: 'server',
    path: '/old/1?q=2',
    version: '1.1',
    fields: ['user-agent', 'curl/8', 'x-forwarded-for', '10.0.0.1'],
    upgrade: undefined,
    expectsContinue: false,
    endsHere: true,
  };
  return {
    ...SERVED,
    request,
    sent: { authority: 'server', path: '/new/1?q=2', fields: [...request.fields, 'x-request-id', 'abc'] },
    status: 200,
    responseFields: ['content-type', 'text/plain'],
    trailers: undefined,
    requestHeaderBytes: 120,
    requestBodyBytes: 0,
    responseHeaderBytes: 80,
    responseBodyBytes: 1_000,
    requestMessages: 0,
    responseMessages: 0,
    requestDurationMs: 1,
    responseStartMs: 9.6,
    upstreamMs: 8.2,
    attempts: 1,
    terminationDetails: '',
    authorizerMetadata: undefined,
    begun: { plan: planOf(), requestId: 'abc', fields: [], traceId: '', span: undefined },
    ...over,
  };
}

export function grpcRecord(over: Partial<RequestRecord> = {}): RequestRecord {
  const plain = requestRecord();
  const fields = ['content-type', 'application/grpc', 'te', 'trailers'];
  return {
    ...plain,
    request: { ...plain.request, method: 'POST', version: '2', path: '/shop.Cart/Add', fields },
    sent: { authority: 'server', path: '/shop.Cart/Add', fields },
    responseFields: ['content-type', 'application/grpc'],
    trailers: ['grpc-status', '0'],
    requestMessages: 1,
    responseMessages: 3,
    ...over,
  };
}

export function connectionRecord(over: Partial<ConnectionRecord> = {}): ConnectionRecord {
  return { ...SERVED, receivedBytes: 11, sentBytes: 22, ...over };
}
