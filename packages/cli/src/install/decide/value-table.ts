/**
 * The values that an installation takes, as the Helm chart names them: type and default of each.
 *
 * A test holds this table against the chart: every value of the chart is here or in `CHART_ONLY`, with the same default.
 */

export type ValueType =
  | 'text'
  | 'flag'
  | 'integer'
  /** A number of pods, or a share such as `25%`. */
  | 'amount'
  /** A list of words. */
  | 'texts'
  /** A list of anything. */
  | 'list'
  /** Words by name. */
  | 'map'
  /** Whatever Kubernetes takes there. */
  | 'tree';

export interface ValueRow {
  readonly key: string;
  readonly type: ValueType;
  readonly default: unknown;
  /** The only words that are taken. */
  readonly oneOf?: readonly string[];
}

const ALL_TOLERATIONS = [
  { effect: 'NoSchedule', operator: 'Exists' },
  { key: 'CriticalAddonsOnly', operator: 'Exists' },
  { effect: 'NoExecute', operator: 'Exists' },
];

const PLATFORMS = ['', 'aks', 'eks', 'gke', 'k3d', 'k3s', 'kind', 'microk8s', 'minikube'];
const PULL_POLICIES = ['', 'Always', 'IfNotPresent', 'Never'];

function row(key: string, type: ValueType, fallback: unknown, oneOf?: readonly string[]): ValueRow {
  return { key, type, default: fallback, ...(oneOf && { oneOf }) };
}

/** What every workload takes. */
function workload(
  name: string,
  over: {
    readonly image: string;
    readonly requests: Readonly<Record<string, string>>;
    readonly priority: string;
    readonly tolerations: readonly unknown[];
  },
): readonly ValueRow[] {
  return [
    row(`${name}.image`, 'text', over.image),
    row(`${name}.resources`, 'tree', { requests: over.requests }),
    row(`${name}.logLevel`, 'text', 'info'),
    row(`${name}.env`, 'map', {}),
    row(`${name}.priorityClassName`, 'text', over.priority),
    row(`${name}.nodeSelector`, 'map', {}),
    row(`${name}.tolerations`, 'list', over.tolerations),
    row(`${name}.affinity`, 'tree', {}),
    row(`${name}.podAnnotations`, 'map', {}),
    row(`${name}.podLabels`, 'map', {}),
    row(`${name}.serviceAccountAnnotations`, 'map', {}),
  ];
}

export const VALUES: readonly ValueRow[] = [
  row('global.hub', 'text', 'ambit'),
  row('global.tag', 'text', ''),
  row('global.imagePullPolicy', 'text', '', PULL_POLICIES),
  row('global.imagePullSecrets', 'texts', []),
  row('global.platform', 'text', '', PLATFORMS),
  row('global.logAsJson', 'flag', false),
  row('global.nativeNftables', 'flag', false),
  row('global.network', 'text', ''),
  row('global.multiCluster.clusterName', 'text', 'Kubernetes'),
  row('global.proxy.clusterDomain', 'text', 'cluster.local'),
  row('global.resourceQuotas.enabled', 'flag', false),
  row('global.resourceQuotas.pods', 'integer', 5_000),
  row('global.waypoint.image', 'text', 'waypoint'),
  row('global.waypoint.resources', 'tree', {
    requests: { cpu: '200m', memory: '192Mi' },
    limits: { memory: '1Gi' },
  }),
  row('global.waypoint.autoscaleMin', 'integer', 2),
  row('global.waypoint.autoscaleMax', 'integer', 5),
  row('global.waypoint.autoscaleCpu', 'text', '700m'),
  row('global.waypoint.terminationGracePeriodSeconds', 'integer', 30),
  row('global.waypoint.logLevel', 'text', 'info'),
  row('global.waypoint.env', 'map', {}),
  row('global.waypoint.nodeSelector', 'map', {}),
  row('global.waypoint.tolerations', 'list', []),
  row('global.waypoint.affinity', 'tree', {}),
  row('global.waypoint.topologySpreadConstraints', 'list', []),
  row('global.waypoint.podSecurity', 'text', 'baseline', ['baseline', 'privileged']),
  row('meshConfig.trustDomain', 'text', 'cluster.local'),
  row('meshConfig.rootNamespace', 'text', ''),
  row('base.enableCRDTemplates', 'flag', true),
  ...workload('istiod', {
    image: 'istiod',
    requests: { cpu: '200m', memory: '384Mi' },
    priority: 'system-cluster-critical',
    tolerations: [],
  }),
  row('istiod.replicaCount', 'integer', 1),
  row('istiod.autoscaleEnabled', 'flag', false),
  row('istiod.autoscaleMin', 'integer', 2),
  row('istiod.autoscaleMax', 'integer', 5),
  row('istiod.cpu.targetAverageUtilization', 'integer', 80),
  row('istiod.rollingMaxSurge', 'amount', '100%'),
  row('istiod.rollingMaxUnavailable', 'amount', 0),
  row('istiod.trustedNodeAccounts', 'texts', []),
  row('istiod.taint.enabled', 'flag', false),
  row('istiod.serviceAnnotations', 'map', {}),
  ...workload('cni', {
    image: 'install-cni',
    requests: { cpu: '50m', memory: '128Mi' },
    priority: 'system-node-critical',
    tolerations: ALL_TOLERATIONS,
  }),
  row('cni.cniBinDir', 'text', ''),
  row('cni.cniConfDir', 'text', ''),
  row('cni.cniConfFileName', 'text', ''),
  row('cni.cniNetnsDir', 'text', ''),
  row('cni.chained', 'flag', true),
  row('cni.istioOwnedCNIConfig', 'flag', false),
  row('cni.istioOwnedCNIConfigFileName', 'text', ''),
  row('cni.excludeNamespaces', 'texts', ['kube-system']),
  row('cni.ambient.enabled', 'flag', true),
  row('cni.ambient.dnsCapture', 'flag', true),
  row('cni.ambient.ipv6', 'flag', true),
  row('cni.ambient.reconcileIptablesOnStartup', 'flag', true),
  row('cni.ambient.shareHostNetworkNamespace', 'flag', false),
  row('cni.rollingMaxUnavailable', 'amount', 1),
  row('cni.seLinuxOptions', 'tree', {}),
  ...workload('ztunnel', {
    image: 'ztunnel',
    requests: { cpu: '200m', memory: '192Mi' },
    priority: 'system-node-critical',
    tolerations: ALL_TOLERATIONS,
  }),
  row('ztunnel.caAddress', 'text', ''),
  row('ztunnel.xdsAddress', 'text', ''),
  row('ztunnel.terminationGracePeriodSeconds', 'integer', 30),
  row('ztunnel.rollingMaxSurge', 'amount', 1),
  row('ztunnel.rollingMaxUnavailable', 'amount', 0),
  row('ztunnel.dnsPolicy', 'text', ''),
  row('ztunnel.seLinuxOptions', 'tree', {}),
];

/** Values that add objects of their own, which Helm alone makes. */
export const CHART_ONLY: readonly string[] = [
  'global.networkPolicy.enabled',
  'meshConfig.discoverySelectors',
  'meshConfig.serviceEntryVisibility',
  'meshConfig.trustDomainAliases',
  'meshConfig.accessLogFile',
  'meshConfig.accessLogEncoding',
  'meshConfig.accessLogFormat',
  'meshConfig.extensionProviders',
  'meshConfig.defaultProviders',
  'meshConfig.pathNormalization',
  'meshConfig.connectTimeout',
  'meshConfig.localityLbSetting',
  'monitoring.enabled',
  'monitoring.labels',
  'monitoring.interval',
  'cni.ambient.enablementSelectors',
  'ztunnel.peerCaCrl.enabled',
];
