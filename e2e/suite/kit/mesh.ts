/** The mesh's own parts in the cluster: which pods they are, what they count and log, and being restarted. */
import type { Deployment, DaemonSet, Pod } from '@ambit/kube/resources/core';
import { configMaps, daemonSets, deployments, pods } from '@ambit/kube/resources/core';
import { type AccessLine, parseAccessLog } from './access-log.ts';
import type { Cluster } from './cluster.ts';
import { parseMetrics, type Sample } from './metrics.ts';
import { askPod, logsOf } from './pod-http.ts';
import { eventually, LED, type Patience, until } from './wait.ts';

export const SYSTEM = 'istio-system';
const ZTUNNEL_METRICS_PORT = 15_020;
const ZTUNNEL_ADMIN_PORT = 15_000;
const ROLLOUT: Patience = { timeoutMs: 180_000, everyMs: 500 };
const ROOTS = 'istio-ca-root-cert';

/** The parts, as Istio names them. */
export const PARTS = {
  istiod: { kind: 'Deployment', name: 'istiod', selector: 'app=istiod' },
  agent: { kind: 'DaemonSet', name: 'istio-cni-node', selector: 'k8s-app=istio-cni-node' },
  ztunnel: { kind: 'DaemonSet', name: 'ztunnel', selector: 'app=ztunnel' },
} as const;

export type Part = keyof typeof PARTS;

export function isReady({ metadata, status }: Pod): boolean {
  return (
    metadata.deletionTimestamp === undefined &&
    (status?.conditions ?? []).some(({ type, status: is }) => type === 'Ready' && is === 'True')
  );
}

export class Mesh {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  async podsOf(part: Part): Promise<readonly Pod[]> {
    const { items } = await this.#cluster.client.list(pods, {
      namespace: SYSTEM,
      labelSelector: PARTS[part].selector,
    });
    return items;
  }

  async podOf(part: Part, node?: string): Promise<Pod> {
    const found = (await this.podsOf(part))
      .filter(isReady)
      .find(({ spec }) => !node || spec?.nodeName === node);
    if (!found) throw new Error(`no ready ${part}${node ? ` on ${node}` : ''}`);
    return found;
  }

  /** Waits until every ztunnel that is ready reaches these pods by tunnels, or none does. */
  async reachesByTunnel(wanted: boolean, namespace: string, names: readonly string[]): Promise<void> {
    await until(
      `${names.join(', ')} of ${namespace} ${wanted ? 'reached' : 'not reached'} by tunnels`,
      async () => {
        const nodes = (await this.podsOf('ztunnel')).filter(isReady).map(({ spec }) => spec?.nodeName ?? '');
        const dumps = await Promise.all(nodes.map((node) => this.configDumpOf(node)));
        return dumps.every((dump) => names.every((name) => isTunnelled(dump, namespace, name) === wanted));
      },
    );
  }

  /** The roots that a namespace is told, in PEM, as soon as it is: the replica that leads writes them. */
  async rootsOf(namespace: string): Promise<string> {
    const found = await eventually(
      `the roots in ${namespace}`,
      () => this.#cluster.client.find(configMaps, { namespace, name: ROOTS }),
      (object) => object?.data?.['root-cert.pem'] !== undefined,
      LED,
    );
    return found?.data?.['root-cert.pem'] ?? '';
  }

  async metricsOf(node: string): Promise<readonly Sample[]> {
    const { metadata } = await this.podOf('ztunnel', node);
    const at = { namespace: SYSTEM, name: metadata.name, port: ZTUNNEL_METRICS_PORT };
    const { status, body } = await askPod(this.#cluster.client, at, 'GET', '/metrics');
    if (status !== 200) throw new Error(`metrics of ${metadata.name}: ${status}`);
    return parseMetrics(body);
  }

  /** What the node's ztunnel holds. */
  async configDumpOf(node: string): Promise<Record<string, unknown>> {
    const { metadata } = await this.podOf('ztunnel', node);
    const at = { namespace: SYSTEM, name: metadata.name, port: ZTUNNEL_ADMIN_PORT };
    const { body } = await askPod(this.#cluster.client, at, 'GET', '/config_dump');
    return JSON.parse(body) as Record<string, unknown>;
  }

  async accessLogOf(node: string, sinceSeconds = 300): Promise<readonly AccessLine[]> {
    const { metadata } = await this.podOf('ztunnel', node);
    const at = { namespace: SYSTEM, name: metadata.name };
    return parseAccessLog(await logsOf(this.#cluster.client, at, { sinceSeconds }));
  }

  /** As `kubectl rollout restart` and `status`. */
  async rollOut(part: Part): Promise<void> {
    const body = {
      spec: { template: { metadata: { annotations: { 'ambit.e2e/restarted': new Date().toISOString() } } } },
    };
    await this.patch(part, body);
    await this.rolledOut(part);
  }

  async patch(part: Part, body: unknown, type: 'merge' | 'strategic' = 'strategic'): Promise<void> {
    const at = { namespace: SYSTEM, name: PARTS[part].name };
    const resource = PARTS[part].kind === 'Deployment' ? deployments : daemonSets;
    await this.#cluster.client.patch(resource, at, { type, body });
  }

  /** Sets variables of a part's only container, or takes away those that are `undefined`; waits for the rollout. */
  async setEnv(part: Part, variables: Readonly<Record<string, string | undefined>>): Promise<void> {
    const { client } = this.#cluster;
    const at = { namespace: SYSTEM, name: PARTS[part].name };
    const resource = PARTS[part].kind === 'Deployment' ? deployments : daemonSets;
    const template = (await client.get<Deployment | DaemonSet>(resource, at)).spec?.template;
    const container = template?.spec?.containers?.[0]?.name;
    const env = Object.entries(variables).map(([name, value]) =>
      value === undefined ? { name, $patch: 'delete' } : { name, value },
    );
    await this.patch(part, { spec: { template: { spec: { containers: [{ name: container, env }] } } } });
    await this.rolledOut(part);
  }

  async rolledOut(part: Part): Promise<void> {
    const { client } = this.#cluster;
    const at = { namespace: SYSTEM, name: PARTS[part].name };
    if (PARTS[part].kind === 'Deployment')
      await eventually(`${part} rolled out`, () => client.get(deployments, at), deploymentIsCurrent, ROLLOUT);
    else
      await eventually(`${part} rolled out`, () => client.get(daemonSets, at), daemonSetIsCurrent, ROLLOUT);
    await until(
      `no ${part} of before`,
      async () => (await this.podsOf(part)).every(({ metadata }) => metadata.deletionTimestamp === undefined),
      ROLLOUT,
    );
  }

  /** Deletes a pod of a part, and waits until another is ready in its place. */
  async replacePod(part: Part, node?: string, gracePeriodSeconds?: number): Promise<void> {
    const { metadata, spec } = await this.podOf(part, node);
    const at = { namespace: SYSTEM, name: metadata.name };
    await this.#cluster.client.delete(
      pods,
      at,
      gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds },
    );
    const where = PARTS[part].kind === 'DaemonSet' ? spec?.nodeName : undefined;
    await until(
      `another ${part}`,
      async () => (await this.podOf(part, where)).metadata.uid !== metadata.uid,
      ROLLOUT,
    );
    await this.rolledOut(part);
  }
}

interface Dump {
  readonly workloads?: readonly {
    readonly namespace: string;
    readonly name: string;
    readonly protocol: string;
    readonly status: string;
    /** `namespace/hostname` of each. */
    readonly services?: readonly string[];
  }[];
  readonly services?: readonly { readonly namespace: string; readonly hostname: string }[];
}

/** By its own address, and by its Services. */
function isTunnelled({ workloads = [], services = [] }: Dump, namespace: string, name: string): boolean {
  const known = new Set(services.map((one) => `${one.namespace}/${one.hostname}`));
  return workloads.some(
    (one) =>
      one.namespace === namespace &&
      one.name === name &&
      one.protocol === 'HBONE' &&
      one.status !== 'Unhealthy' &&
      (one.services ?? []).every((service) => known.has(service)),
  );
}

function deploymentIsCurrent({ metadata, spec, status }: Deployment): boolean {
  const wanted = spec?.replicas ?? 1;
  return (
    (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0) &&
    status?.updatedReplicas === wanted &&
    status.readyReplicas === wanted &&
    status.replicas === wanted
  );
}

function daemonSetIsCurrent({ metadata, status }: DaemonSet): boolean {
  const wanted = status?.desiredNumberScheduled ?? 0;
  return (
    wanted > 0 &&
    (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0) &&
    status?.updatedNumberScheduled === wanted &&
    status.numberReady === wanted
  );
}
