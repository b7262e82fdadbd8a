/** The mesh's own parts in the cluster: which pods they are, what they count and log, and being restarted. */
import type { Deployment, DaemonSet, Pod } from '@ambit/kube/resources/core';
import { daemonSets, deployments, pods } from '@ambit/kube/resources/core';
import { type AccessLine, parseAccessLog } from './access-log.ts';
import type { Cluster } from './cluster.ts';
import { parseMetrics, type Sample } from './metrics.ts';
import { askPod, logsOf } from './pod-http.ts';
import { eventually, type Patience, until } from './wait.ts';

export const SYSTEM = 'istio-system';
const ZTUNNEL_METRICS_PORT = 15_020;
const ZTUNNEL_ADMIN_PORT = 15_000;
const ROLLOUT: Patience = { timeoutMs: 180_000, everyMs: 500 };

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

  async accessLogOf(node: string, sinceSeconds = 120): Promise<readonly AccessLine[]> {
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
