/**
 * The cluster under test, as the runner left it: one JSON file, named by AMBIT_E2E_CLUSTER, says how to reach it.
 *
 * Suites know nothing of the provider but what it can do; a suite that needs more fails with the reason, so that what was
 * not tested never looks tested.
 */
import { readFileSync } from 'node:fs';
import { KubeClient } from '@ambit/kube/client';
import type { KubeObject } from '@ambit/kube/resource';
import { nodes, type Pod, pods } from '@ambit/kube/resources/core';
import { applyAll, deleteAll } from '@ambit/lab/apply';
import { takesPods } from '../../cluster/api-nodes.ts';
import type { Capability, ClusterDescription, Cluster as Machine } from '../../cluster/provider.ts';
import { clusterFromFile } from '../../cluster/providers.ts';

const VARIABLE = 'AMBIT_E2E_CLUSTER';
const WRITE_TIMEOUT_MS = 60_000;

export class Cluster implements Disposable {
  readonly file: ClusterDescription;
  readonly client: KubeClient;
  readonly #path: string;

  private constructor(path: string, file: ClusterDescription, client: KubeClient) {
    this.#path = path;
    this.file = file;
    this.client = client;
  }

  /** @throws Error if there is no cluster to test on. */
  static async open(): Promise<Cluster> {
    const path = process.env[VARIABLE];
    if (path === undefined)
      throw new Error(`${VARIABLE} names no cluster; run these suites by: npm run e2e -- --provider local`);
    const file = JSON.parse(readFileSync(path, 'utf8')) as ClusterDescription;
    return new Cluster(path, file, await KubeClient.load({ kubeconfigPath: file.kubeconfig }));
  }

  /**
   * What the provider can do besides Kubernetes' API.
   *
   * @throws Error that names what is missing: the test fails, and looks neither passed nor forgotten.
   */
  async needs(capability: Capability): Promise<Machine> {
    const { provider, capabilities } = this.file;
    if (!capabilities.includes(capability))
      throw new Error(`not tested: provider ${provider} has no "${capability}", which this test needs`);
    return await clusterFromFile(this.#path, process.env);
  }

  async apply(...objects: readonly KubeObject[]): Promise<void> {
    await applyAll(this.client, objects, AbortSignal.timeout(WRITE_TIMEOUT_MS));
  }

  async remove(...objects: readonly KubeObject[]): Promise<void> {
    await deleteAll(this.client, objects, AbortSignal.timeout(WRITE_TIMEOUT_MS));
  }

  /** Names of the nodes that take pods, in order; at least two. */
  async nodeNames(): Promise<readonly [string, string, ...string[]]> {
    const { items } = await this.client.list(nodes);
    const [first, second, ...more] = items
      .filter(takesPods)
      .map(({ metadata }) => metadata.name)
      .sort();
    if (first === undefined || second === undefined)
      throw new Error('the suites need two nodes that take pods');
    return [first, second, ...more];
  }

  /** Where other machines reach a node. */
  async nodeAddress(name: string): Promise<string> {
    const { status } = await this.client.get(nodes, { name });
    const found = status?.addresses?.find(({ type }) => type === 'InternalIP');
    if (!found) throw new Error(`node ${name} has no InternalIP`);
    return found.address;
  }

  async pod(namespace: string, name: string): Promise<Pod> {
    return await this.client.get(pods, { namespace, name });
  }

  /** Sets labels of a pod; `null` takes one away. */
  async labelPod(
    { namespace, name }: { readonly namespace: string; readonly name: string },
    labels: Readonly<Record<string, string | null>>,
  ): Promise<void> {
    await this.client.patch(pods, { namespace, name }, { type: 'merge', body: { metadata: { labels } } });
  }

  /** The first pod with these labels, that is not ending. */
  async podWith(namespace: string, labelSelector: string, node?: string) {
    const { items } = await this.client.list(pods, { namespace, labelSelector });
    const found = items.find(
      ({ metadata, spec }) =>
        metadata.deletionTimestamp === undefined && (node === undefined || spec?.nodeName === node),
    );
    if (!found) throw new Error(`no pod ${labelSelector} in ${namespace}${node ? ` on ${node}` : ''}`);
    return found;
  }

  [Symbol.dispose](): void {
    this.client[Symbol.dispose]();
  }
}
