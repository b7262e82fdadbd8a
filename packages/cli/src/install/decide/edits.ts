/**
 * Values made true of the objects that the chart renders with its defaults, as the chart would have rendered them.
 *
 * The objects are copied first, and only this module changes the copies; a test with Helm itself holds the outcome against
 * `helm template --set` for every value of the table.
 */
import type { KubeObject } from '@ambit/kube/resource';
import { type ChosenValues, effective, isChosen, isObject } from './values.ts';

/** JSON that this module may change, as it has made it. */
interface Draft {
  [name: string]: unknown;
}

interface EnvEntry extends Draft {
  readonly name: string;
  value?: string;
}

/** @param digest - A short text that differs where its argument does. */
export function applyValues(
  objects: readonly KubeObject[],
  values: ChosenValues,
  version: string,
  digest: (text: string) => string,
): readonly KubeObject[] {
  const edited = new Edited(structuredClone(objects) as unknown as readonly Draft[], values, version);
  edited.mesh();
  edited.istiod();
  edited.cni(digest);
  edited.ztunnel();
  return edited.objects as unknown as readonly KubeObject[];
}

/**
 * Variables that a value `X.env` sets and the chart does as well: a container has each once, and the API server refuses a
 * list of them that does not.
 */
export function doubledVariables(
  objects: readonly KubeObject[],
  values: ChosenValues,
  version: string,
): readonly string[] {
  const withoutEnv = Object.fromEntries(Object.entries(values).filter(([key]) => !/^[^.]+\.env$/.test(key)));
  const edited = new Edited(structuredClone(objects) as unknown as readonly Draft[], withoutEnv, version);
  edited.istiod();
  edited.cni(() => '');
  edited.ztunnel();
  return WORKLOADS.flatMap(([name, kind, objectName, container]) => {
    const taken = edited.variables(kind, objectName, container);
    return sorted(effective(values, `${name}.env`)).flatMap(([variable]) =>
      taken.has(variable) ? [`${name}.env.${variable}`] : [],
    );
  });
}

/** Folders of the node that differ between platforms. */
const FOLDERS = { cniBinDir: '/opt/cni/bin', cniConfDir: '/etc/cni/net.d', cniNetnsDir: '/var/run/netns' };
const PLATFORM_FOLDERS: Readonly<Record<string, Partial<typeof FOLDERS>>> = {
  gke: { cniBinDir: '/home/kubernetes/bin' },
  k3d: { cniBinDir: '/bin', cniConfDir: '/var/lib/rancher/k3s/agent/etc/cni/net.d' },
  k3s: {
    cniBinDir: '/var/lib/rancher/k3s/data/cni',
    cniConfDir: '/var/lib/rancher/k3s/agent/etc/cni/net.d',
  },
  microk8s: {
    cniBinDir: '/var/snap/microk8s/current/opt/cni/bin',
    cniConfDir: '/var/snap/microk8s/current/args/cni-network',
  },
  minikube: { cniNetnsDir: '/var/run/docker/netns' },
};
const NAMESPACE = 'istio-system';

class Edited {
  objects: readonly Draft[];
  readonly #values: ChosenValues;
  readonly #version: string;

  constructor(objects: readonly Draft[], values: ChosenValues, version: string) {
    this.objects = objects;
    this.#values = values;
    this.#version = version;
  }

  mesh(): void {
    if (!this.#flag('base.enableCRDTemplates'))
      this.objects = this.objects.filter(({ kind }) => kind !== 'CustomResourceDefinition');
    if (this.#flag('global.resourceQuotas.enabled') || this.#text('global.platform') === 'gke')
      this.objects = [...this.objects, this.#quota()];
    for (const [name, kind, object, container] of WORKLOADS) this.#workload(name, kind, object, container);
  }

  istiod(): void {
    const deployment = this.#object('Deployment', 'istiod');
    const env = envOf(podSpecOf(deployment), 'discovery');
    const domain = this.#text('meshConfig.rootNamespace');
    setEnv(env, 'CLUSTER_ID', this.#text('global.multiCluster.clusterName'));
    setEnv(env, 'CLUSTER_DOMAIN', this.#text('global.proxy.clusterDomain'));
    setEnv(env, 'TRUST_DOMAIN', this.#text('meshConfig.trustDomain'));
    setEnv(env, 'ROOT_NAMESPACE', domain === '' ? NAMESPACE : domain);
    const accounts = this.#texts('istiod.trustedNodeAccounts');
    setEnv(
      env,
      'CA_TRUSTED_NODE_ACCOUNTS',
      (accounts.length > 0 ? accounts : [`${NAMESPACE}/ztunnel`]).join(','),
    );
    setEnv(env, 'AMBIT_WAYPOINT_IMAGE', this.#image(this.#text('global.waypoint.image')));
    setEnv(env, 'AMBIT_WAYPOINT_POD', sortedJson(this.#waypointPod()));
    setEnv(env, 'AMBIT_LOG', this.#text('istiod.logLevel'));
    setEnv(env, 'LOG_FORMAT', this.#flag('global.logAsJson') ? 'json' : 'plain');
    const spec = draftIn(deployment, 'spec');
    draftIn(spec, 'strategy')['rollingUpdate'] = {
      maxSurge: this.#of('istiod.rollingMaxSurge'),
      maxUnavailable: this.#of('istiod.rollingMaxUnavailable'),
    };
    if (this.#flag('istiod.autoscaleEnabled')) {
      delete spec['replicas'];
      this.objects = [...this.objects, this.#autoscaler(deployment)];
    } else spec['replicas'] = this.#of('istiod.replicaCount');
    if (this.#flag('istiod.taint.enabled')) this.#taint(env);
    this.#admission(env);
    const podSpec = podSpecOf(deployment);
    podSpec['tolerations'] = [...draftsIn(podSpec, 'tolerations'), ...this.#list('istiod.tolerations')];
    if (isChosen(this.#values, 'istiod.affinity')) delete podSpec['topologySpreadConstraints'];
    this.#annotate(this.#object('Service', 'istiod'), 'istiod.serviceAnnotations');
  }

  cni(digest: (text: string) => string): void {
    const daemonSet = this.#object('DaemonSet', 'istio-cni-node');
    const podSpec = podSpecOf(daemonSet);
    this.#replaceTolerations('cni', podSpec);
    setRollingUpdate(daemonSet, { maxUnavailable: this.#of('cni.rollingMaxUnavailable') });
    const container = containerOf(podSpec, 'install-cni');
    setEnv(envOf(podSpec, 'install-cni'), 'AMBIT_LOG', this.#text('cni.logLevel'));
    if (this.#flag('global.logAsJson')) container['args'] = ['--log_as_json'];
    if (this.#flag('cni.ambient.shareHostNetworkNamespace')) {
      podSpec['hostNetwork'] = true;
      podSpec['dnsPolicy'] = 'ClusterFirstWithHostNet';
      const env = envOf(podSpec, 'install-cni');
      env.splice(0, env.length, ...env.filter(({ name }) => name !== 'ALLOW_SWITCH_TO_HOST_NS'));
    }
    this.#folders(podSpec);
    this.#agentSettings(daemonSet, digest);
  }

  ztunnel(): void {
    const daemonSet = this.#object('DaemonSet', 'ztunnel');
    const podSpec = podSpecOf(daemonSet);
    const env = envOf(podSpec, 'istio-proxy');
    this.#replaceTolerations('ztunnel', podSpec);
    setRollingUpdate(daemonSet, {
      maxSurge: this.#of('ztunnel.rollingMaxSurge'),
      maxUnavailable: this.#of('ztunnel.rollingMaxUnavailable'),
    });
    const istiod = `istiod.${NAMESPACE}.svc:15012`;
    const graceSeconds = this.#of('ztunnel.terminationGracePeriodSeconds');
    podSpec['terminationGracePeriodSeconds'] = graceSeconds;
    setEnv(env, 'CA_ADDRESS', this.#text('ztunnel.caAddress') || istiod);
    setEnv(env, 'XDS_ADDRESS', this.#text('ztunnel.xdsAddress') || istiod);
    setEnv(env, 'CLUSTER_DOMAIN', this.#text('global.proxy.clusterDomain'));
    setEnv(env, 'TRUST_DOMAIN', this.#text('meshConfig.trustDomain'));
    setEnv(env, 'ISTIO_META_CLUSTER_ID', this.#text('global.multiCluster.clusterName'));
    const network = this.#text('global.network');
    if (network !== '') setEnv(env, 'NETWORK', network, 'ISTIO_META_CLUSTER_ID');
    setEnv(env, 'RUST_LOG', this.#text('ztunnel.logLevel'));
    setEnv(env, 'LOG_FORMAT', this.#flag('global.logAsJson') ? 'json' : 'plain');
    setEnv(env, 'TERMINATION_GRACE_PERIOD_SECONDS', String(graceSeconds));
    this.#processors(env);
    const dnsPolicy = this.#text('ztunnel.dnsPolicy');
    if (dnsPolicy !== '') podSpec['dnsPolicy'] = dnsPolicy;
  }

  /** Names of all that a container is told, also by a ConfigMap. */
  variables(kind: string, objectName: string, container: string): ReadonlySet<string> {
    const podSpec = podSpecOf(this.#object(kind, objectName));
    const maps = draftsIn(containerOf(podSpec, container), 'envFrom').map(({ configMapRef }) =>
      isObject(configMapRef) ? this.#object('ConfigMap', String(configMapRef['name'])) : {},
    );
    return new Set([
      ...envOf(podSpec, container).map(({ name }) => name),
      ...maps.flatMap((map) => Object.keys(draftIn(map, 'data'))),
    ]);
  }

  /** What the three workloads have in common. */
  #workload(name: string, kind: string, objectName: string, containerName: string): void {
    const object = this.#object(kind, objectName);
    const podSpec = podSpecOf(object);
    const container = containerOf(podSpec, containerName);
    container['image'] = this.#image(this.#text(`${name}.image`));
    const pullPolicy = this.#text('global.imagePullPolicy');
    if (pullPolicy !== '') container['imagePullPolicy'] = pullPolicy;
    const pullSecrets = this.#texts('global.imagePullSecrets');
    if (pullSecrets.length > 0) podSpec['imagePullSecrets'] = pullSecrets.map((secret) => ({ name: secret }));
    container['resources'] = this.#of(`${name}.resources`);
    const priority = this.#text(`${name}.priorityClassName`);
    if (priority === '') delete podSpec['priorityClassName'];
    else podSpec['priorityClassName'] = priority;
    Object.assign(draftIn(podSpec, 'nodeSelector'), this.#of(`${name}.nodeSelector`));
    if (isChosen(this.#values, `${name}.affinity`)) podSpec['affinity'] = this.#of(`${name}.affinity`);
    const template = draftIn(draftIn(object, 'spec'), 'template');
    this.#annotate(template, `${name}.podAnnotations`);
    Object.assign(draftIn(draftIn(template, 'metadata'), 'labels'), this.#of(`${name}.podLabels`));
    this.#annotate(
      this.#object('ServiceAccount', ACCOUNTS[name] ?? name),
      `${name}.serviceAccountAnnotations`,
    );
    if (name !== 'istiod' && isChosen(this.#values, `${name}.seLinuxOptions`))
      draftIn(container, 'securityContext')['seLinuxOptions'] = this.#of(`${name}.seLinuxOptions`);
    // The agent's variables are in its ConfigMap.
    if (name !== 'cni') envOf(podSpec, containerName).push(...this.#env(name));
  }

  #waypointPod(): Draft {
    const pod: Draft = {};
    for (const name of WAYPOINT_VALUES) pod[name] = this.#of(`global.waypoint.${name}`);
    for (const name of ['imagePullPolicy', 'imagePullSecrets', 'logAsJson'])
      pod[name] = this.#of(`global.${name}`);
    return pod;
  }

  #env(name: string): readonly EnvEntry[] {
    return sorted(this.#of(`${name}.env`)).map(([variable, value]) => ({
      name: variable,
      value: String(value),
    }));
  }

  #image(name: string): string {
    if (name.includes('/')) return name;
    return `${this.#text('global.hub')}/${name}:${this.#text('global.tag') || this.#version}`;
  }

  #replaceTolerations(name: string, podSpec: Draft): void {
    const tolerations = this.#list(`${name}.tolerations`);
    if (tolerations.length === 0) delete podSpec['tolerations'];
    else podSpec['tolerations'] = tolerations;
  }

  #folders(podSpec: Draft): void {
    const own = { ...FOLDERS, ...PLATFORM_FOLDERS[this.#text('global.platform')] };
    const paths: Readonly<Record<string, string>> = {
      'cni-bin-dir': this.#text('cni.cniBinDir') || own.cniBinDir,
      'cni-net-dir': this.#text('cni.cniConfDir') || own.cniConfDir,
      'cni-netns-dir': this.#text('cni.cniNetnsDir') || own.cniNetnsDir,
    };
    for (const volume of draftsIn(podSpec, 'volumes')) {
      const path = paths[String(volume['name'])];
      if (path !== undefined) draftIn(volume, 'hostPath')['path'] = path;
    }
    setEnv(envOf(podSpec, 'install-cni'), 'AMBIT_CNI_BIN_HOST_DIR', paths['cni-bin-dir'] ?? '');
  }

  /** Variables are read at start alone, so other settings are other pods: the checksum says that they are. */
  #agentSettings(daemonSet: Draft, digest: (text: string) => string): void {
    const data = draftIn(this.#object('ConfigMap', 'istio-cni-config'), 'data');
    const before = JSON.stringify(data);
    Object.assign(data, {
      AMBIENT_ENABLED: String(this.#flag('cni.ambient.enabled')),
      AMBIENT_DNS_CAPTURE: String(this.#flag('cni.ambient.dnsCapture')),
      AMBIENT_IPV6: String(this.#flag('cni.ambient.ipv6')),
      AMBIENT_RECONCILE_POD_RULES_ON_STARTUP: String(this.#flag('cni.ambient.reconcileIptablesOnStartup')),
      CHAINED_CNI_PLUGIN: String(this.#flag('cni.chained')),
      CNI_CONF_NAME: this.#text('cni.cniConfFileName'),
      EXCLUDE_NAMESPACES: this.#texts('cni.excludeNamespaces').join(','),
      ISTIO_OWNED_CNI_CONFIG: String(this.#flag('cni.istioOwnedCNIConfig')),
      ISTIO_OWNED_CNI_CONFIG_FILENAME: this.#text('cni.istioOwnedCNIConfigFileName'),
      NATIVE_NFTABLES: String(this.#flag('global.nativeNftables')),
      ...Object.fromEntries(this.#env('cni').map(({ name, value }) => [name, value])),
    });
    const after = JSON.stringify(data);
    if (after === before) return;
    const template = draftIn(draftIn(daemonSet, 'spec'), 'template');
    draftIn(draftIn(template, 'metadata'), 'annotations')['checksum/config'] = digest(after);
  }

  /** ztunnel takes the number of its data workers from these. */
  #processors(env: EnvEntry[]): void {
    const resources = this.#of('ztunnel.resources');
    const cpu = (of: string) => {
      const bound = isObject(resources) ? resources[of] : undefined;
      return isObject(bound) ? bound['cpu'] : undefined;
    };
    const rest = env.filter(({ name }) => !name.startsWith('ZTUNNEL_RESOURCE_CPU_'));
    env.splice(0, env.length, ...rest);
    const request = cpu('requests');
    const limit = cpu('limits');
    if (isGiven(request)) setEnv(env, 'ZTUNNEL_RESOURCE_CPU_REQUEST', String(request), 'ZTUNNEL_CPU_LIMIT');
    if (isGiven(limit)) setEnv(env, 'ZTUNNEL_RESOURCE_CPU_LIMIT', String(limit), 'ZTUNNEL_CPU_LIMIT');
  }

  #taint(env: EnvEntry[]): void {
    setEnv(env, 'PILOT_ENABLE_NODE_UNTAINT_CONTROLLERS', 'true', 'LOG_FORMAT');
    const role = this.#object('ClusterRole', `istiod-clusterrole-${NAMESPACE}`);
    role['rules'] = [...draftsIn(role, 'rules'), { apiGroups: [''], resources: ['nodes'], verbs: ['patch'] }];
  }

  /** What the API server holds istiod to. */
  #admission(env: readonly EnvEntry[]): void {
    const policy = this.#object('ValidatingAdmissionPolicy', `istiod-waypoints-${NAMESPACE}`);
    const audiences = env.find(({ name }) => name === 'TOKEN_AUDIENCES')?.value ?? '';
    const constants: Readonly<Record<string, string>> = {
      level: this.#text('global.waypoint.podSecurity'),
      audience: (audiences || 'istio-ca').split(',')[0]?.trim() ?? '',
    };
    for (const variable of draftsIn(draftIn(policy, 'spec'), 'variables')) {
      const constant = constants[String(variable['name'])];
      if (constant !== undefined) variable['expression'] = `'${constant}'`;
    }
  }

  #autoscaler(deployment: Draft): Draft {
    const { name, namespace, labels } = draftIn(deployment, 'metadata');
    const { istio: _, ...own } = labels as Draft;
    return {
      apiVersion: 'autoscaling/v2',
      kind: 'HorizontalPodAutoscaler',
      metadata: { name, namespace, labels: own },
      spec: {
        minReplicas: this.#of('istiod.autoscaleMin'),
        maxReplicas: this.#of('istiod.autoscaleMax'),
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'istiod' },
        metrics: [
          {
            type: 'Resource',
            resource: {
              name: 'cpu',
              target: {
                type: 'Utilization',
                averageUtilization: this.#of('istiod.cpu.targetAverageUtilization'),
              },
            },
          },
        ],
      },
    };
  }

  #quota(): Draft {
    const { labels } = draftIn(this.#object('Deployment', 'istiod'), 'metadata');
    const { istio: _, app: __, ...own } = labels as Draft;
    const classes = ['istiod', 'cni', 'ztunnel'].map((name) => this.#text(`${name}.priorityClassName`));
    const values = [...new Set(classes.filter((name) => name !== ''))];
    return {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'ambit-critical-pods', namespace: NAMESPACE, labels: own },
      spec: {
        hard: { pods: String(this.#of('global.resourceQuotas.pods')) },
        scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In', values }] },
      },
    };
  }

  #annotate(object: Draft, key: string): void {
    const annotations = this.#of(key);
    if (!isObject(annotations) || Object.keys(annotations).length === 0) return;
    const metadata = draftIn(object, 'metadata');
    metadata['annotations'] = {
      ...(isObject(metadata['annotations']) ? metadata['annotations'] : {}),
      ...annotations,
    };
  }

  #object(kind: string, name: string): Draft {
    const found = this.objects.find(
      (one) => one['kind'] === kind && isObject(one['metadata']) && one['metadata']['name'] === name,
    );
    // The manifests are ours: a test applies every value to them.
    return found ?? { metadata: {} };
  }

  #of(key: string): unknown {
    return effective(this.#values, key);
  }

  #text(key: string): string {
    return String(this.#of(key));
  }

  #flag(key: string): boolean {
    return this.#of(key) === true;
  }

  #texts(key: string): readonly string[] {
    return this.#list(key).map(String);
  }

  #list(key: string): readonly unknown[] {
    const value = this.#of(key);
    return Array.isArray(value) ? (value as readonly unknown[]) : [];
  }
}

const WORKLOADS = [
  ['istiod', 'Deployment', 'istiod', 'discovery'],
  ['cni', 'DaemonSet', 'istio-cni-node', 'install-cni'],
  ['ztunnel', 'DaemonSet', 'ztunnel', 'istio-proxy'],
] as const;
/** What istiod is told of pods of waypoints. */
const WAYPOINT_VALUES = [
  'affinity',
  'autoscaleCpu',
  'autoscaleMax',
  'autoscaleMin',
  'env',
  'logLevel',
  'nodeSelector',
  'resources',
  'terminationGracePeriodSeconds',
  'tolerations',
  'topologySpreadConstraints',
] as const;
const ACCOUNTS: Readonly<Record<string, string>> = { cni: 'istio-cni' };

function podSpecOf(object: Draft): Draft {
  return draftIn(draftIn(draftIn(object, 'spec'), 'template'), 'spec');
}

function containerOf(podSpec: Draft, name: string): Draft {
  return draftsIn(podSpec, 'containers').find((one) => one['name'] === name) ?? {};
}

function envOf(podSpec: Draft, container: string): EnvEntry[] {
  return draftsIn(containerOf(podSpec, container), 'env') as EnvEntry[];
}

/** The object below a name, made if it is not there. */
function draftIn(parent: Draft, name: string): Draft {
  if (!isObject(parent[name])) parent[name] = {};
  return parent[name] as Draft;
}

/** The list below a name, made if it is not there. */
function draftsIn(parent: Draft, name: string): Draft[] {
  if (!Array.isArray(parent[name])) parent[name] = [];
  return parent[name] as Draft[];
}

function setRollingUpdate(object: Draft, over: Draft): void {
  Object.assign(draftIn(draftIn(draftIn(object, 'spec'), 'updateStrategy'), 'rollingUpdate'), over);
}

/** Sets a variable where it stands; a new one comes after `after`, else last. */
function setEnv(env: EnvEntry[], name: string, value: string, after?: string): void {
  const known = env.find((entry) => entry.name === name);
  if (known) known.value = value;
  else {
    const at = env.findIndex((entry) => entry.name === after);
    env.splice(at < 0 ? env.length : at + 1, 0, { name, value });
  }
}

/** As templates write JSON: names in their order, and no character that HTML knows. */
function sortedJson(value: unknown): string {
  const inOrder = (_: string, inner: unknown): unknown =>
    isObject(inner) ? Object.fromEntries(sorted(inner)) : inner;
  return JSON.stringify(value, inOrder).replace(
    /[<>&]/g,
    (character) => `\\u00${character.charCodeAt(0).toString(16)}`,
  );
}

/** As a template's `with` sees it. */
function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '' && value !== 0;
}

/** Templates go through maps in the order of their keys. */
function sorted(value: unknown): readonly (readonly [string, unknown])[] {
  return isObject(value) ? Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)) : [];
}
