/**
 * Takes the taint `cni.istio.io/not-ready` off nodes whose node agent is ready. One replica is enough.
 *
 * Whoever makes nodes sets the taint (a node group's configuration, `kubelet --register-with-taints`), so that no pod starts
 * before the agent can enrol it. Taking it off is all that happens here: an agent that fails later keeps the node, since the
 * CNI plugin then holds back the pods of the mesh, and those alone.
 */
import type { Collection } from '@ambit/collections/collection';
import { IndexCollection } from '@ambit/collections/index-by';
import type { Scheduler } from '@ambit/collections/scheduler';
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import { isConflict, isNotFound } from '@ambit/kube/errors';
import { type Node, nodes as nodeResource, type Pod, type Taint } from '@ambit/kube/resources/core';
import { KeyedWorker } from '../keyed-worker.ts';
import { nodeServedBy, taintsWithout } from './decide.ts';

export interface NodeUntaintOptions {
  readonly client: KubeClient;
  readonly nodes: Collection<string, Node>;
  readonly pods: Collection<string, Pod>;
  readonly agentNamespace: string;
  /** `cni.istio.io/not-ready` */
  readonly taintKey: string;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class NodeUntaint implements AsyncDisposable {
  readonly #options: NodeUntaintOptions;
  readonly #agents: IndexCollection<string, Pod>;
  readonly #worker: KeyedWorker;
  readonly #scope = new AsyncDisposableStack();

  constructor(options: NodeUntaintOptions) {
    const { nodes, pods, agentNamespace, scheduler, clock, random } = options;
    const log = options.log.scope('untaint');
    this.#options = { ...options, log };
    this.#agents = this.#scope.use(
      new IndexCollection({
        name: 'node agents that are ready',
        scheduler,
        from: pods,
        keysOf: (pod) => {
          const node = nodeServedBy(pod, agentNamespace);
          return node === undefined ? [] : [node];
        },
      }),
    );
    this.#worker = this.#scope.use(
      new KeyedWorker({
        name: 'node untainting',
        work: (node, signal) => this.#untaint(node, signal),
        clock,
        random,
        log,
      }),
    );
    this.#scope.use(nodes.subscribe((events) => this.#look(events.map(({ key }) => key))));
    this.#scope.use(this.#agents.subscribe((events) => this.#look(events.map(({ key }) => key))));
    this.#look(nodes.keys());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.disposeAsync();
  }

  #look(nodes: Iterable<string>): void {
    for (const node of nodes) if (this.#taintsToKeep(node)) this.#worker.add(node);
  }

  #taintsToKeep(node: string): readonly Taint[] | undefined {
    const found = this.#options.nodes.get(node);
    return found && this.#agents.has(node) ? taintsWithout(found, this.#options.taintKey) : undefined;
  }

  async #untaint(name: string, signal: AbortSignal): Promise<void> {
    const { client, nodes, taintKey, log } = this.#options;
    const taints = this.#taintsToKeep(name);
    const resourceVersion = nodes.get(name)?.metadata.resourceVersion;
    if (!taints || resourceVersion === undefined) return;
    // The list is replaced as a whole: only the one that we have seen, or another's new taint would be lost.
    const body = { metadata: { resourceVersion }, spec: { taints } };
    try {
      await client.patch(nodeResource, { name }, { type: 'merge', body }, {}, signal);
      log.info('a node takes pods, its node agent is ready', { node: name, taint: taintKey });
    } catch (error) {
      // Changed or gone meanwhile: the watch tells, and we look again.
      if (!isConflict(error) && !isNotFound(error)) throw error;
    }
  }
}
