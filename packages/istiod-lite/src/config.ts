/** Everything the control plane can be told from outside. The names are Istio's wherever Istio has one. */
import {
  durationMs,
  flag,
  type Infer,
  integer,
  loadConfig,
  oneOf,
  parsed,
  parseDurationMs,
  text,
} from '@ambit/core/config/schema';
import { type Cidr, parseCidr } from '@ambit/core/ip';
import { type LogFilter, parseLogFilter } from '@ambit/core/log';
import { parsePodSettings, type PodSettings } from './gateway/decide/pod-settings.ts';
import { MAX_SERVING_TTL_MS, MIN_SERVING_TTL_MS } from './limits.ts';

const ACCOUNT = /^[a-z0-9.-]+\/[a-z0-9.-]+$/;

/** `namespace/name` pairs, comma-separated. */
function parseAccounts(value: string): ReadonlySet<string> | undefined {
  const accounts = value
    .split(',')
    .map((account) => account.trim())
    .filter((account) => account !== '');
  return accounts.every((account) => ACCOUNT.test(account)) ? new Set(accounts) : undefined;
}

/** A block of addresses with this many bytes, of at least two. */
function blockOf(value: string, bytes: 4 | 16): Cidr | undefined {
  const cidr = value.includes('/') ? parseCidr(value) : undefined;
  return cidr?.bytes.length === bytes && cidr.length < bytes * 8 ? cidr : undefined;
}

function block(value: string): Cidr {
  const cidr = parseCidr(value);
  if (!cidr) throw new Error(`${value} is no CIDR block`);
  return cidr;
}

function servingTtlMs(value: string): number | undefined {
  const ms = parseDurationMs(value);
  return ms !== undefined && ms >= MIN_SERVING_TTL_MS && ms <= MAX_SERVING_TTL_MS ? ms : undefined;
}

const port = (env: string, fallback: number, doc: string) =>
  integer({ env, default: fallback, max: 65_535, doc });

export const schema = {
  namespace: text({ env: 'POD_NAMESPACE', default: 'istio-system', doc: 'Where the control plane runs.' }),
  podName: text({
    env: 'POD_NAME',
    default: undefined,
    doc: 'Tells this replica from others where one of them leads. Default: made up.',
  }),
  rootNamespace: text({
    env: 'ROOT_NAMESPACE',
    default: undefined,
    doc: 'Policies here count for the whole mesh. Default: the namespace of the control plane.',
  }),
  revision: text({ env: 'REVISION', default: '', doc: 'Name of this control plane among several.' }),
  clusterId: text({
    env: 'CLUSTER_ID',
    default: 'Kubernetes',
    doc: 'Name of this cluster in workload UIDs.',
  }),
  trustDomain: text({
    env: 'TRUST_DOMAIN',
    default: 'cluster.local',
    doc: 'The first part of every identity.',
  }),
  domain: text({ env: 'CLUSTER_DOMAIN', default: 'cluster.local', doc: 'What service names end with.' }),
  bindAddress: text({
    env: 'AMBIT_BIND_ADDRESS',
    default: '::',
    doc: 'Where all ports but 15010 and /debug listen.',
  }),
  securePort: port('AMBIT_SECURE_GRPC_PORT', 15_012, 'xDS and CA over TLS.'),
  plaintextPort: port('AMBIT_GRPC_PORT', 15_010, 'xDS without TLS, on loopback.'),
  webhookPort: port('AMBIT_WEBHOOK_PORT', 15_017, 'Validation of policies, for the API server.'),
  httpPort: port('AMBIT_HTTP_PORT', 8_080, '/ready for anybody; /debug for loopback.'),
  monitoringPort: port('AMBIT_MONITORING_PORT', 15_014, '/metrics and /version.'),
  plaintext: flag({ env: 'AMBIT_PLAINTEXT_XDS', default: true, doc: 'Whether 15010 is opened at all.' }),
  xdsAuth: flag({ env: 'XDS_AUTH', default: true, doc: 'Whether xDS clients must prove who they are.' }),
  xdsIdentityCheck: flag({
    env: 'PILOT_ENABLE_XDS_IDENTITY_CHECK',
    default: true,
    doc: 'Whether an xDS client must be of the namespace that its node says.',
  }),
  audience: text({
    env: 'TOKEN_AUDIENCES',
    default: 'istio-ca',
    doc: 'Whom tokens must be for; comma-separated.',
  }),
  trustedNodeAccounts: parsed<ReadonlySet<string>>({
    env: 'CA_TRUSTED_NODE_ACCOUNTS',
    default: new Set(['istio-system/ztunnel']),
    doc: 'Service accounts whose pods may ask for certificates of pods on their node; comma-separated.',
    want: 'namespace/name, comma-separated',
    parse: parseAccounts,
  }),
  caDirectory: text({
    env: 'ROOT_CA_DIR',
    default: './etc/cacerts',
    doc: "The operator's CA, if there is one.",
  }),
  caSecret: text({
    env: 'AMBIT_CA_SECRET',
    default: 'istio-ca-secret',
    doc: 'Where a self-signed CA is kept.',
  }),
  caTtlMs: durationMs({
    env: 'CITADEL_SELF_SIGNED_CA_CERT_TTL',
    default: 87_600 * 3_600_000,
    doc: 'Lifetime of a self-signed root.',
  }),
  rootOverlapMs: durationMs({
    env: 'AMBIT_ROOT_OVERLAP',
    default: 24 * 3_600_000,
    doc: "How long each step of a root rotation lasts; not shorter than the longest life of workloads' certificates.",
  }),
  defaultTtlMs: durationMs({
    env: 'DEFAULT_WORKLOAD_CERT_TTL',
    default: 24 * 3_600_000,
    doc: 'Lifetime of a certificate whose request names none.',
  }),
  maxTtlMs: durationMs({
    env: 'MAX_WORKLOAD_CERT_TTL',
    default: 2_160 * 3_600_000,
    doc: 'A request for more is refused.',
  }),
  servingTtlMs: parsed<number>({
    env: 'AMBIT_SERVING_CERT_TTL',
    default: 24 * 3_600_000,
    doc: 'Lifetime of the certificate of istiod’s own ports, admission among them, renewed at half of it. Default: 24h.',
    want: 'a duration of 10s to 720h',
    parse: servingTtlMs,
  }),
  rootConfigMap: text({
    env: 'PILOT_CA_CERT_CONFIGMAP',
    default: 'istio-ca-root-cert',
    doc: 'Where every namespace finds the roots.',
  }),
  webhookConfiguration: text({
    env: 'VALIDATION_WEBHOOK_CONFIG_NAME',
    default: 'istio-validator-istio-system',
    doc: 'The ValidatingWebhookConfiguration to keep right; empty: none.',
  }),
  status: flag({
    env: 'AMBIENT_ENABLE_STATUS',
    default: true,
    doc: 'Whether statuses of policies and services are written.',
  }),
  untaint: flag({
    env: 'PILOT_ENABLE_NODE_UNTAINT_CONTROLLERS',
    default: false,
    doc: 'Whether the taint is taken off nodes whose node agent is ready.',
  }),
  untaintKey: text({
    env: 'PILOT_NODE_UNTAINT_CONTROLLERS_TAINT_NAME',
    default: 'cni.istio.io/not-ready',
    doc: 'Key of that taint.',
  }),
  agentNamespace: text({
    env: 'AMBIT_CNI_NAMESPACE',
    default: undefined,
    doc: 'Where the node agents run. Default: the namespace of the control plane.',
  }),
  dryRun: flag({
    env: 'AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY',
    default: false,
    doc: 'Whether policies annotated istio.io/dry-run are sent, to be logged only.',
  }),
  l7WithoutWaypoint: oneOf({
    env: 'AMBIT_L7_POLICY_WITHOUT_WAYPOINT',
    of: ['deny', 'istio', 'refuse'],
    default: 'deny',
    doc: 'What a DENY rule that needs a waypoint does without one: deny more, what Istio does, or not be admitted.',
  }),
  ipAutoallocate: flag({
    env: 'PILOT_ENABLE_IP_AUTOALLOCATE',
    default: true,
    doc: 'Whether hosts of ServiceEntries that name no address get one.',
  }),
  ipv4Block: parsed<Cidr>({
    env: 'PILOT_IP_AUTOALLOCATE_IPV4_PREFIX',
    default: block('240.240.0.0/16'),
    doc: 'Where those addresses are from. Default: 240.240.0.0/16.',
    want: 'a CIDR block of IPv4',
    parse: (value) => blockOf(value, 4),
  }),
  ipv6Block: parsed<Cidr>({
    env: 'PILOT_IP_AUTOALLOCATE_IPV6_PREFIX',
    default: block('2001:2::/48'),
    doc: 'The same for IPv6. Default: 2001:2::/48.',
    want: 'a CIDR block of IPv6',
    parse: (value) => blockOf(value, 16),
  }),
  serviceEntriesSelectPods: flag({
    env: 'PILOT_ENABLE_SERVICEENTRY_SELECT_PODS',
    default: true,
    doc: 'Whether ServiceEntries with a workloadSelector select pods.',
  }),
  servicesSelectWorkloadEntries: flag({
    env: 'PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES',
    default: true,
    doc: 'Whether Kubernetes Services select WorkloadEntries.',
  }),
  gatewayDeployments: flag({
    env: 'PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER',
    default: true,
    doc: 'Whether waypoints are run for Gateways of their class.',
  }),
  gatewayClasses: flag({
    env: 'PILOT_ENABLE_GATEWAY_API_GATEWAYCLASS_CONTROLLER',
    default: true,
    doc: 'Whether the GatewayClass istio-waypoint is made where it is not there.',
  }),
  gatewayStatus: flag({
    env: 'PILOT_ENABLE_GATEWAY_API_STATUS',
    default: true,
    doc: 'Whether statuses of those Gateways, and of their classes, are written.',
  }),
  waypointImage: text({
    env: 'AMBIT_WAYPOINT_IMAGE',
    default: undefined,
    doc: "Image of waypoints, as a whole reference. Default: ambit/waypoint of the control plane's version.",
  }),
  waypointPod: parsed<PodSettings>({
    env: 'AMBIT_WAYPOINT_POD',
    default: {},
    doc: "What pods of waypoints get: the chart's values global.waypoint as JSON, and of global imagePullPolicy, imagePullSecrets and logAsJson.",
    want: 'JSON of those values',
    parse: parsePodSettings,
  }),
  drainNoticeMs: durationMs({
    env: 'AMBIT_DRAIN_NOTICE',
    default: 1_000,
    doc: 'How long a stopping control plane goes on serving, until its Service sends nobody here any more.',
  }),
  drainSpreadMs: durationMs({
    env: 'AMBIT_DRAIN_SPREAD',
    default: 1_000,
    doc: 'Over how long its clients are then sent elsewhere, so that they do not all connect there at once.',
  }),
  autoAllowWaypoints: flag({
    env: 'PILOT_AUTO_ALLOW_WAYPOINT_POLICY',
    default: false,
    doc: 'Whether workloads let their waypoints through, whatever else they allow.',
  }),
  drainDeadlineMs: durationMs({
    env: 'AMBIT_DRAIN_DEADLINE',
    default: 10_000,
    doc: 'How long a stop may take.',
  }),
  logFilter: parsed<LogFilter>({
    env: 'AMBIT_LOG',
    default: { base: 'info', scopes: new Map() },
    doc: 'Levels, as info,istiod::xds=debug. Default: info.',
    want: 'a level, or scope=level, comma-separated',
    parse: parseLogFilter,
  }),
  logFormat: oneOf({ env: 'LOG_FORMAT', of: ['plain', 'json'], default: 'plain', doc: 'Form of log lines.' }),
};

export type Config = Infer<typeof schema>;

/** @throws ConfigError naming everything that is wrong. */
export function configFrom(env: Readonly<Record<string, string | undefined>>): Config {
  return loadConfig(schema, env);
}
