/**
 * A local cluster that is up: etcd, API server, controllers and scheduler in the outer machine, nodes inside it.
 *
 * Nothing of it is held in memory alone: whoever attaches later finds its processes by their mark and the rest in its
 * folder.
 */
import {
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { KubeClient } from '@ambit/kube/client';
import { isNotFound } from '@ambit/kube/errors';
import { deployments, nodes as nodeResource, pods, type Taint } from '@ambit/kube/resources/core';
import { applyAll } from '@ambit/lab/apply';
import { collectObjects } from '../collect.ts';
import { mustRun, until } from '../command.ts';
import { ProviderError } from '../errors.ts';
import type {
  Capability,
  Cluster,
  ClusterDescription,
  ClusterNode,
  CommandOutput,
  ExecOptions,
} from '../provider.ts';
import type { Cgroups } from './cgroups.ts';
import { Machine } from './machine.ts';
import { baseObjects, DNS_NAME, DNS_NAMESPACE, nodeObject, nodeStatus } from './manifests.ts';
import { enableForwarding, loadImages, LocalNode, type NodeContext } from './node.ts';
import { type ClusterCa, readClusterCa, writeClusterPki, writeNodePki } from './pki.ts';
import { endProcesses } from './processes.ts';
import type { ClusterRecord, Records } from './record.ts';
import { API_SERVER, controlPlaneCommands, outerNetwork, outsideNetwork } from './render-control-plane.ts';
import { type LocalSettings, MAX_NODES, nodeName, nodeNumber, places } from './settings.ts';

const API_TIMEOUT_MS = 90_000;
const READY_TIMEOUT_MS = 180_000;
const POLL_MS = 150;
const CONTROL_PLANE = 'control-plane';

const CAPABILITIES: readonly Capability[] = [
  'node-exec',
  'load-images',
  'add-node',
  'remove-node',
  'api-server-control',
  'pod-addresses-from-outside',
];

export interface LocalClusterOptions {
  readonly settings: LocalSettings;
  readonly records: Records;
  readonly cgroups: Cgroups;
  readonly outer: Machine;
  readonly images: ClusterDescription['images'];
}

export interface BootstrapOptions {
  readonly archives: Promise<readonly string[]> | undefined;
  readonly report: (line: string) => void;
  readonly signal: AbortSignal;
}

export class LocalCluster implements Cluster {
  readonly description: ClusterDescription;
  readonly #settings: LocalSettings;
  readonly #records: Records;
  readonly #cgroups: Cgroups;
  readonly #outer: Machine;

  constructor(options: LocalClusterOptions) {
    const { settings, records, cgroups, outer, images } = options;
    this.#settings = settings;
    this.#records = records;
    this.#cgroups = cgroups;
    this.#outer = outer;
    this.description = {
      provider: 'local',
      name: settings.name,
      kubeconfig: settings.kubeconfig,
      capabilities: CAPABILITIES,
      ipFamily: settings.families.length > 1 ? 'dual' : 'ipv4',
      outsideAddress: settings.families[0].outside,
      kubectl: join(this.#record().binaries, 'kubectl'),
      images,
    };
  }

  /** From an outer machine that has nothing yet, to nodes and DNS that are Ready. */
  async bootstrap(
    labImages: readonly string[],
    numbers: readonly number[],
    { archives, report, signal }: BootstrapOptions,
  ): Promise<void> {
    const settings = this.#settings;
    const ca = await writeClusterPki(settings, Date.now());
    await this.#connectOuter();
    this.#startControl('etcd');
    await this.startApiServer(signal, false);
    const machines = Promise.all(numbers.map((number) => this.#startNode(ca, number, labImages, signal)));
    // Whoever fails first says why; the other is not left unheard.
    machines.catch(() => undefined);
    await this.#untilApiServer(signal);
    report('the API server is ready');
    this.#startControl('kube-controller-manager');
    this.#startControl('kube-scheduler');
    await this.#withClient(async (client) => {
      for (const number of numbers) await this.#createNodeObject(client, number, [], signal);
      await applyAll(client, baseObjects(settings), signal);
    });
    const nodes = await machines;
    report('the machines of the nodes are up');
    const loaded = archives?.then((made) => this.load(made));
    loaded?.catch(() => undefined);
    await Promise.all(nodes.map((node) => node.join(signal)));
    await this.#untilReady(numbers, signal);
    report('all nodes are Ready');
    await this.#untilDns(signal);
    report('DNS is Ready');
    if (!loaded) return;
    await loaded;
    report('images are on every node');
  }

  nodes(): Promise<readonly ClusterNode[]> {
    return Promise.resolve(this.#record().nodes.map((number) => this.#describeNode(number)));
  }

  async load(archives: readonly string[]): Promise<void> {
    const kept = archives.map((archive) => this.#keep(archive));
    await Promise.all(
      this.#record().nodes.map((number) => loadImages(this.#machine(nodeName(number)), kept)),
    );
  }

  async nodeExec(
    node: string,
    command: readonly string[],
    options: ExecOptions = {},
  ): Promise<CommandOutput> {
    return await this.#machine(node).exec(command, options);
  }

  async addNode(taints: readonly Taint[] = []): Promise<string> {
    const record = this.#record();
    const number = Array.from({ length: MAX_NODES }, (_, index) => index + 1).find(
      (one) => !record.nodes.includes(one) && !existsSync(places(this.#settings).node(one)),
    );
    if (number === undefined) throw new ProviderError(`a local cluster has at most ${MAX_NODES} nodes`);
    this.#records.write({ ...record, nodes: [...record.nodes, number] });
    try {
      await this.#bringUp(number, taints);
    } catch (error) {
      await this.removeNode(nodeName(number)).catch(() => undefined);
      throw error;
    }
    return nodeName(number);
  }

  async #bringUp(number: number, taints: readonly Taint[]): Promise<void> {
    const signal = AbortSignal.timeout(READY_TIMEOUT_MS);
    const node = await this.#startNode(readClusterCa(this.#settings), number, this.#keptArchives(), signal);
    await this.#withClient((client) => this.#createNodeObject(client, number, taints, signal));
    await node.join(signal);
    await this.#untilReady([number], signal);
  }

  async removeNode(name: string): Promise<void> {
    const number = this.#numberOf(name);
    await endProcesses(this.#settings.name, ({ role }) => role.endsWith(`:${name}`));
    await this.#cgroups.removeGroup(name);
    await this.#withClient(async (client) => {
      const selection = { fieldSelector: `spec.nodeName=${name}` };
      const { items } = await client.list(pods, selection);
      await client.delete(nodeResource, { name }).catch(ignoreNotFound);
      for (const { metadata } of items)
        await client.delete(pods, metadata, { gracePeriodSeconds: 0 }).catch(ignoreNotFound);
    });
    rmSync(places(this.#settings).node(number), { recursive: true, force: true });
    const record = this.#record();
    this.#records.write({ ...record, nodes: record.nodes.filter((one) => one !== number) });
  }

  async stopApiServer(): Promise<void> {
    await endProcesses(this.#settings.name, ({ role }) => role === API_SERVER);
  }

  async startApiServer(signal = AbortSignal.timeout(API_TIMEOUT_MS), waits = true): Promise<void> {
    this.#startControl(API_SERVER);
    if (waits) await this.#untilApiServer(signal);
  }

  async logs(folder: string): Promise<void> {
    mkdirSync(folder, { recursive: true });
    cpSync(places(this.#settings).logs, join(folder, CONTROL_PLANE), { recursive: true });
    for (const number of this.#record().nodes) {
      const log = places(this.#settings).node(number, 'log');
      if (existsSync(log)) cpSync(log, join(folder, nodeName(number)), { recursive: true });
    }
    await collectObjects(this.description, folder);
  }

  async #connectOuter(): Promise<void> {
    const { link } = this.#settings;
    await mustRun([
      'ip',
      'link',
      'add',
      link,
      'type',
      'veth',
      'peer',
      'name',
      'outside',
      'netns',
      String(this.#outer.pid),
    ]);
    await this.#outer.ip(outerNetwork(this.#settings));
    await enableForwarding(this.#outer);
    await mustRun(['ip', '-batch', '-'], { stdin: `${outsideNetwork(this.#settings).join('\n')}\n` });
  }

  #startControl(program: string): void {
    const args = controlPlaneCommands(this.#settings)[program] ?? [];
    const { logs } = places(this.#settings);
    mkdirSync(logs, { recursive: true });
    this.#outer.start(program, [join(this.#record().binaries, program), ...args], {
      logFile: join(logs, `${program}.log`),
      groups: this.#cgroups.make(CONTROL_PLANE).root,
    });
  }

  async #untilApiServer(signal: AbortSignal): Promise<void> {
    const logFile = join(places(this.#settings).logs, `${API_SERVER}.log`);
    await this.#withClient(async (client) => {
      await until(
        async () => {
          const answer = await client.transport
            .send({ method: 'GET', path: '/readyz', signal: AbortSignal.timeout(2_000) })
            .catch(() => undefined);
          answer?.resume();
          return answer?.statusCode === 200;
        },
        `the API server is ready (see ${logFile})`,
        { timeoutMs: API_TIMEOUT_MS, everyMs: POLL_MS, signal },
      );
    });
  }

  async #startNode(
    ca: ClusterCa,
    number: number,
    archives: readonly string[],
    signal: AbortSignal,
  ): Promise<LocalNode> {
    await writeNodePki(ca, number, Date.now());
    const node = await LocalNode.start(this.#context(), number, signal);
    await loadImages(node.machine, archives);
    return node;
  }

  async #createNodeObject(
    client: KubeClient,
    number: number,
    taints: readonly Taint[],
    signal: AbortSignal,
  ): Promise<void> {
    await client.create(nodeResource, nodeObject(this.#settings, number, taints), {}, signal);
    const status = { type: 'merge', body: nodeStatus(this.#settings, number) } as const;
    await client.patch(nodeResource, { name: nodeName(number) }, status, { subresource: 'status' }, signal);
  }

  async #untilReady(numbers: readonly number[], signal: AbortSignal): Promise<void> {
    await this.#withClient(async (client) => {
      const isReady = async (number: number) => {
        const node = (await client.get(nodeResource, { name: nodeName(number) }, signal)) as WithConditions;
        return (
          node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
        );
      };
      await until(
        async () => (await Promise.all(numbers.map(isReady))).every((ready) => ready),
        `nodes ${numbers.map(nodeName).join(', ')} are Ready (see ${places(this.#settings).node(numbers[0] ?? 1, 'log')})`,
        { timeoutMs: READY_TIMEOUT_MS, everyMs: POLL_MS, signal },
      );
    });
  }

  async #untilDns(signal: AbortSignal): Promise<void> {
    const at = { name: DNS_NAME, namespace: DNS_NAMESPACE };
    await this.#withClient(async (client) => {
      await until(
        async () => {
          const deployment = (await client.get(deployments, at, signal)) as WithConditions;
          return (
            deployment.status?.conditions?.some(
              ({ type, status }) => type === 'Available' && status === 'True',
            ) ?? false
          );
        },
        'DNS is Ready (kubectl -n kube-system describe pods says why not)',
        { timeoutMs: READY_TIMEOUT_MS, everyMs: POLL_MS, signal },
      );
    });
  }

  async #withClient<T>(use: (client: KubeClient) => Promise<T>): Promise<T> {
    using client = await KubeClient.load({ kubeconfigPath: this.#settings.kubeconfig });
    return await use(client);
  }

  #context(): NodeContext {
    const { binaries } = this.#record();
    return { settings: this.#settings, outer: this.#outer, cgroups: this.#cgroups, binaries };
  }

  #record(): ClusterRecord {
    const record = this.#records.read(this.#settings.name);
    if (!record) throw new ProviderError(`cluster ${this.#settings.name} is gone`);
    return record;
  }

  #describeNode(number: number): ClusterNode {
    return { name: nodeName(number), addresses: this.#settings.families.map(({ node }) => node(number)) };
  }

  #numberOf(name: string): number {
    const number = nodeNumber(name);
    if (number === undefined || !this.#record().nodes.includes(number))
      throw new ProviderError(`cluster ${this.#settings.name} has no node ${name}`);
    return number;
  }

  #machine(name: string): Machine {
    this.#numberOf(name);
    const machine = Machine.find(this.#settings.name, name);
    if (!machine) throw new ProviderError(`${name} of cluster ${this.#settings.name} is not running`);
    return machine;
  }

  /**
   * For nodes that are added later. A link, as archives are large; a copy where that cannot be. Named by the file it is, too:
   * archives of one image in two versions have the same name, and nodes get both.
   */
  #keep(archive: string): string {
    const { archives } = places(this.#settings);
    mkdirSync(archives, { recursive: true });
    const kept = join(archives, `${statSync(archive).ino}-${basename(archive)}`);
    rmSync(kept, { force: true });
    try {
      linkSync(archive, kept);
    } catch {
      copyFileSync(archive, kept);
    }
    return kept;
  }

  #keptArchives(): readonly string[] {
    const { archives } = places(this.#settings);
    const kept = existsSync(archives) ? readdirSync(archives).map((name) => join(archives, name)) : [];
    const { binaries } = this.#record();
    return [...['pause', 'coredns'].map((name) => join(binaries, `${name}.tar`)), ...kept];
  }
}

interface WithConditions {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

function ignoreNotFound(error: unknown): void {
  if (!isNotFound(error)) throw error;
}
