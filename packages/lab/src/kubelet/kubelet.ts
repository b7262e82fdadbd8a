/**
 * A node's kubelet, small: runs the pods that the API server gives to this node, and says how they are.
 *
 * What exists is decided by UID, never by name: a pod that was deleted and made again under its name is another pod, and
 * the old one is stopped before the new one starts.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { release } from 'node:os';
import type { Clock, Random } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { Collection } from '@ambit/collections/collection';
import type { KubeClient } from '@ambit/kube/client';
import { isConflict, isNotFound } from '@ambit/kube/errors';
import {
  configMaps,
  type ConfigMap,
  type Container,
  type Node,
  nodes as nodeResource,
  type Pod,
  pods,
  type Secret,
  secrets,
} from '@ambit/kube/resources/core';
import type { LabNode } from '../network/nodes.ts';
import type { Programs } from '../programs.ts';
import type { CniNode } from './cni.ts';
import { type ContainerLog, EndedLogs } from './ended-logs.ts';
import { sourcesOf } from './environment.ts';
import { MAX_PODS_PER_NODE } from './limits.ts';
import type { NodeFolder } from './node-folder.ts';
import { PodWorker } from './pod-worker.ts';
import { timestamp } from './timestamp.ts';

export interface KubeletOptions {
  readonly client: KubeClient;
  readonly pods: Collection<string, Pod>;
  readonly node: LabNode;
  readonly folder: NodeFolder;
  readonly cniNode: CniNode;
  /** Where pods reach the API server. */
  readonly api: { readonly host: string; readonly port: number };
  readonly apiCaPem: string;
  readonly resolvConf: (namespace: string) => string;
  /** For containers without a command. */
  readonly programs: Programs;
  readonly cpus: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** What a pod's worker needs of its kubelet. */
export interface KubeletContext extends Omit<KubeletOptions, 'pods'> {
  readonly pods: typeof pods;
  readonly endedLogs: EndedLogs;
  /** The ConfigMaps and Secrets that a container's variables name, as they are now. */
  readonly lookUp: (
    namespace: string,
    container: Container,
  ) => Promise<{
    configMap(name: string): ConfigMap | undefined;
    secret(name: string): Secret | undefined;
  }>;
}

export class Kubelet implements AsyncDisposable {
  readonly #options: KubeletOptions;
  readonly #context: KubeletContext;
  readonly #workers = new Map<string, PodWorker>();
  readonly #stopping = new Map<string, Promise<void>>();
  readonly #subscription: Disposable;
  #disposed = false;

  constructor(options: KubeletOptions) {
    this.#options = options;
    const { client } = options;
    this.#context = {
      ...options,
      pods,
      endedLogs: new EndedLogs(options.folder.endedLogsFolder),
      lookUp: async (namespace, container) => {
        const named = sourcesOf(container);
        const found = async <T>(names: readonly string[], get: (name: string) => Promise<T>) =>
          new Map(await Promise.all(names.map(async (name) => [name, await get(name)] as const)));
        const [maps, secretsFound] = await Promise.all([
          found(named.configMaps, (name) => client.find(configMaps, { name, namespace })),
          found(named.secrets, (name) => client.find(secrets, { name, namespace })),
        ]);
        return { configMap: (name) => maps.get(name), secret: (name) => secretsFound.get(name) };
      },
    };
    this.#subscription = options.pods.subscribe(() => this.#follow());
    this.#follow();
  }

  /** The worker of a pod of this node. */
  worker(at: { readonly namespace: string; readonly name: string }): PodWorker | undefined {
    return [...this.#workers.values()].find(
      ({ pod: { metadata } }) => metadata.namespace === at.namespace && metadata.name === at.name,
    );
  }

  /** What the containers of this node have printed, those that are gone first. */
  logs(): readonly ContainerLog[] {
    return [...this.#context.endedLogs.all(), ...[...this.#workers.values()].flatMap((one) => one.logs())];
  }

  /** Stops every pod without grace. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    this.#subscription[Symbol.dispose]();
    await Promise.all([...this.#workers.values()].map((worker) => worker.stop(0)));
    await Promise.all(this.#stopping.values());
  }

  #follow(): void {
    if (this.#disposed) return;
    const { node, log } = this.#options;
    const mine = new Map<string, Pod>();
    for (const pod of this.#options.pods.values())
      if (pod.spec?.nodeName === node.name) mine.set(pod.metadata.uid ?? '', pod);
    for (const [uid, worker] of this.#workers) {
      const pod = mine.get(uid);
      if (!pod) this.#stop(uid, worker, 0);
      else {
        worker.update(pod);
        if (pod.metadata.deletionTimestamp !== undefined) this.#stop(uid, worker, graceOf(pod));
      }
    }
    for (const [uid, pod] of mine) {
      if (this.#workers.has(uid)) continue;
      if (pod.metadata.deletionTimestamp !== undefined) void this.#confirmGone(pod);
      else if (hasEnded(pod)) continue;
      else if (this.#workers.size >= MAX_PODS_PER_NODE)
        log.warn('too many pods', { node: node.name, limit: MAX_PODS_PER_NODE });
      else this.#workers.set(uid, new PodWorker(pod, this.#context));
    }
  }

  #stop(uid: string, worker: PodWorker, graceSeconds: number | undefined): void {
    const stopped = worker.stop(graceSeconds);
    if (this.#stopping.has(uid)) return;
    const whole = stopped.then(async () => {
      this.#workers.delete(uid);
      await this.#confirmGone(worker.pod);
      this.#stopping.delete(uid);
    });
    this.#stopping.set(uid, whole);
  }

  /** Tells the API server that nothing of the pod is left, so that the object may go. */
  async #confirmGone(pod: Pod): Promise<void> {
    const { client, log } = this.#options;
    const { name, namespace, uid = '' } = pod.metadata;
    await client.delete(pods, { name, namespace }, { uid, gracePeriodSeconds: 0 }).catch((error: unknown) => {
      if (isNotFound(error) || isConflict(error)) return;
      log.warn('a stopped pod cannot be deleted', { namespace, pod: name, error: messageOf(error) });
    });
  }
}

function graceOf(pod: Pod): number | undefined {
  const { deletionGracePeriodSeconds: seconds } = pod.metadata as {
    readonly deletionGracePeriodSeconds?: number;
  };
  return seconds;
}

function hasEnded({ status }: Pod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
}

/** Tells the API server that there is this node, and that it is well. */
export async function registerNode(
  client: KubeClient,
  node: LabNode,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const labels = {
    'kubernetes.io/hostname': node.name,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': process.arch === 'x64' ? 'amd64' : process.arch,
  };
  const object: Node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: node.name, labels },
    spec: { podCIDR: node.podCidr },
  };
  await client.create(nodeResource, object, {}, signal).catch((error: unknown) => {
    if (!isConflict(error)) throw error;
  });
  const now = timestamp(clock.now());
  const status = {
    addresses: [
      { type: 'InternalIP', address: node.ip },
      { type: 'Hostname', address: node.name },
    ],
    conditions: [
      {
        type: 'Ready',
        status: 'True',
        reason: 'KubeletReady',
        message: 'the lab runs this node',
        lastHeartbeatTime: now,
        lastTransitionTime: now,
      },
    ],
    nodeInfo: {
      machineID: '',
      systemUUID: '',
      bootID: '',
      kernelVersion: release(),
      osImage: 'a network namespace',
      containerRuntimeVersion: 'lab://1',
      kubeletVersion: 'v1.0.0-lab',
      kubeProxyVersion: '',
      operatingSystem: 'linux',
      architecture: labels['kubernetes.io/arch'],
    },
  };
  const patch = { type: 'merge', body: { status } } as const;
  await client.patch(nodeResource, { name: node.name }, patch, { subresource: 'status' }, signal);
}

/** What a lab folder must have before a kubelet uses it. */
export function makeLabFolder(path: string): void {
  if (!existsSync(path)) mkdirSync(path, { recursive: true, mode: 0o755 });
}
