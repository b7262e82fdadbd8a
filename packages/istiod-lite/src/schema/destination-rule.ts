/** `DestinationRule` of networking.istio.io: how the endpoints of a host are used. */
import { selector } from './common.ts';
import {
  flag,
  integer,
  list,
  map,
  NO_EFFECT,
  number,
  object,
  oneOf,
  type StructuralSchema,
  text,
} from './openapi.ts';
import { portNumber } from './workload-entry.ts';

const MAX_UINT32 = 4_294_967_295;
const MAX_INT32 = 2_147_483_647;
const MAX_PORTS = 4_096;
const uint32 = (description: string) => integer(description, { minimum: 0, maximum: MAX_UINT32 });
const count = (description: string) => integer(description, { minimum: 0, maximum: MAX_INT32 });
const perCent = (description: string) => integer(description, { minimum: 0, maximum: 100 });
const duration = (description: string) => text(description, { maxLength: 64 });

const failover = list(object({ from: text(), to: text() }), 'Region that stands in for another.');

/** Of a rule, and of the mesh. */
export const localityLbSetting = object({
  distribute: list(
    object({ from: text(), to: map(uint32('Per cent.'), 'By locality, or the beginning of one with *.') }),
    'Shares by locality of the client.',
  ),
  failover,
  failoverPriority: list(text(), 'Labels; who has more of them in common with the client comes first.'),
  enabled: flag('Whether nearer endpoints come first.'),
});

const loadBalancer = object({
  simple: oneOf(
    ['UNSPECIFIED', 'LEAST_CONN', 'RANDOM', 'PASSTHROUGH', 'ROUND_ROBIN', 'LEAST_REQUEST'],
    'How an endpoint is chosen. Default LEAST_REQUEST.',
  ),
  consistentHash: object({
    httpHeaderName: text('Header that the hash is of.'),
    httpCookie: object(
      {
        name: text('Of the cookie.'),
        path: text('Of the cookie, when it is made.'),
        ttl: duration('Of the cookie, when it is made; 0s for a session. Absent: it is not made.'),
        attributes: list(object({ name: text(), value: text() }, { required: ['name'] }), NO_EFFECT),
      },
      { required: ['name'], description: 'Cookie that the hash is of.' },
    ),
    useSourceIp: flag('Whether the hash is of the client address.'),
    httpQueryParameterName: text('Parameter that the hash is of.'),
    ringHash: object({ minimumRingSize: integer(undefined, { minimum: 0 }) }),
    maglev: object({ tableSize: integer(undefined, { minimum: 0 }) }),
    minimumRingSize: integer('Older form of ringHash.', { minimum: 0 }),
  }),
  localityLbSetting,
  zoneAwareLbSetting: object(
    {
      enabled: flag(),
      failover,
      failoverPriority: list(text()),
      minClusterSize: integer(undefined, { minimum: 1 }),
    },
    { description: NO_EFFECT },
  ),
  warmupDurationSecs: duration('Older form of warmup.'),
  warmup: object(
    {
      duration: duration('Over how long a new endpoint comes to its share.'),
      minimumPercent: number(NO_EFFECT, { minimum: 0, maximum: 100 }),
      aggression: number(NO_EFFECT, { minimum: 0 }),
    },
    { required: ['duration'] },
  ),
});

const connectionPool = object({
  tcp: object({
    maxConnections: count('Connections to each endpoint.'),
    connectTimeout: duration('Default 10s.'),
    tcpKeepalive: object(
      {
        probes: uint32(NO_EFFECT),
        time: duration(NO_EFFECT),
        interval: duration(NO_EFFECT),
      },
      { description: NO_EFFECT },
    ),
    maxConnectionDuration: duration('How long a connection lives at most.'),
    idleTimeout: duration('How long a connection may be idle.'),
  }),
  http: object({
    http1MaxPendingRequests: count('Requests that wait for a connection.'),
    http2MaxRequests: count('Requests under way.'),
    maxRequestsPerConnection: count('0: any number.'),
    maxRetries: count('Retries under way.'),
    idleTimeout: duration('How long a connection without requests lives. Default 60 s.'),
    h2UpgradePolicy: oneOf(['DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE'], 'Whether HTTP/1.1 becomes HTTP/2.'),
    useClientProtocol: flag('Whether the endpoint gets the version that the client speaks.'),
    maxConcurrentStreams: count('Requests of one connection at a time.'),
    http2KeepAlive: object(
      { interval: duration(NO_EFFECT), timeout: duration(NO_EFFECT) },
      { description: NO_EFFECT },
    ),
  }),
});

const outlierDetection = object({
  splitExternalLocalOriginErrors: flag('Whether failures to connect are counted apart.'),
  consecutiveLocalOriginFailures: uint32('Failures to connect in a row. Default 5.'),
  consecutiveGatewayErrors: uint32('Statuses 502, 503 and 504 in a row. Default: off.'),
  consecutive5xxErrors: uint32('Statuses 5xx in a row. Default 5; 0: off.'),
  consecutiveErrors: count('Older form of consecutiveGatewayErrors.'),
  interval: duration('Between two looks. Default 10s.'),
  baseEjectionTime: duration('How long an endpoint is left out the first time. Default 30s.'),
  maxEjectionPercent: perCent('Endpoints that may be left out. Default 10.'),
  minHealthPercent: perCent('Below this share of healthy endpoints nobody is left out. Default 0.'),
  outlierDetectionHttpErrorCodes: list(integer(undefined, { minimum: 100, maximum: 599 }), NO_EFFECT),
});

const tls = object({
  mode: oneOf(
    ['DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL'],
    'DISABLE and ISTIO_MUTUAL mean what the mesh does anyway.',
  ),
  clientCertificate: text('A file in the waypoint’s container.'),
  privateKey: text('A file in the waypoint’s container.'),
  caCertificates: text('A file in the waypoint’s container. Empty: the system’s roots.'),
  credentialName: text(
    'A Secret of the waypoint’s namespace that its Gateway names in annotation ambit.mesh/credentials.',
  ),
  subjectAltNames: list(text(), 'Names that the endpoint may prove. Default: sni.'),
  sni: text('Name to ask for.'),
  insecureSkipVerify: flag('Whether anybody may answer.'),
  caCrl: text('A file in the waypoint’s container.'),
});

const settings = { loadBalancer, connectionPool, outlierDetection, tls };

const trafficPolicy: StructuralSchema = object({
  ...settings,
  portLevelSettings: {
    ...list(
      object({ port: object({ number: portNumber('Port of the service.') }), ...settings }),
      'Instead of the settings above, for one port.',
    ),
    maxItems: MAX_PORTS,
  },
  tunnel: object(
    { protocol: text(), targetHost: text(), targetPort: uint32('Port.') },
    { description: 'Is not supported.', required: ['targetHost', 'targetPort'] },
  ),
  proxyProtocol: object({ version: oneOf(['V1', 'V2'], 'Version of PROXY. Default V1.') }),
  retryBudget: object({
    percent: number('Retries under way, per cent of requests.', { minimum: 0, maximum: 100 }),
    minRetryConcurrency: uint32('Retries that are always allowed.'),
    budgetInterval: duration(NO_EFFECT),
  }),
});

export const destinationRuleSpec = object(
  {
    host: text('Service: its name in this namespace, its full name, or a name that begins with *.', {
      minLength: 1,
      maxLength: 255,
    }),
    trafficPolicy,
    subsets: list(
      object(
        { name: text('For VirtualServices.'), labels: map(text(), 'Of the pods.'), trafficPolicy },
        { required: ['name'] },
      ),
      'Parts of the endpoints.',
    ),
    exportTo: list(text(), 'Namespaces whose waypoints heed it: * for all, . for this one. Default *.'),
    workloadSelector: { ...selector, description: 'Clients that heed it, which are never waypoints.' },
  },
  { required: ['host'] },
);
