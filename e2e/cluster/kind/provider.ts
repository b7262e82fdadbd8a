/**
 * The provider `kind`: a cluster whose nodes are Docker containers, by the kind command and its stock node image.
 *
 * Pods run on the workers alone, as kind keeps them from a control plane that has workers beside it. Workers are added and
 * removed here, by Docker and kubeadm, as the kind command cannot.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Taint } from '@ambit/kube/resources/core';
import { nodesOf } from '../api-nodes.ts';
import { collectObjects } from '../collect.ts';
import { mustRun, type Run, runCommand, until } from '../command.ts';
import { MachineError, ProviderError } from '../errors.ts';
import type {
  Capability,
  Cluster,
  ClusterDescription,
  ClusterNode,
  ClusterProvider,
  CommandOutput,
  ExecOptions,
  Report,
  UpOptions,
} from '../provider.ts';
import {
  addressesOf,
  firstWorker,
  type InspectedNode,
  joinConfiguration,
  KUBEADM_CONFIGURATION,
  nextWorker,
  workerCommand,
} from './worker.ts';

export interface KindProviderOptions {
  /** Gets of each cluster the kubeconfig, and a list of the archives that its nodes have. */
  readonly folder: string;
  /** Of every node; absent: the one that the kind command comes with. */
  readonly nodeImage?: string | undefined;
  readonly run?: Run;
  readonly nodesOf?: typeof nodesOf;
}

const CREATE_TIMEOUT_MS = 10 * 60_000;
const LOAD_TIMEOUT_MS = 5 * 60_000;
const API_TIMEOUT_MS = 120_000;
const NODE_TIMEOUT_MS = 180_000;
const CAPABILITIES: readonly Capability[] = [
  'node-exec',
  'load-images',
  'add-node',
  'remove-node',
  'api-server-control',
];
const MANIFEST = '/etc/kubernetes/manifests/kube-apiserver.yaml';
/** Where kubelet does not look. */
const MANIFEST_AWAY = '/etc/kubernetes/kube-apiserver.yaml';

export class KindProvider implements ClusterProvider {
  readonly ownsClusters = true;
  readonly #options: KindProviderOptions;
  readonly #run: Run;

  constructor(options: KindProviderOptions) {
    this.#options = options;
    this.#run = options.run ?? runCommand;
  }

  async up(options: UpOptions, report: Report, signal: AbortSignal): Promise<Cluster> {
    const { name } = options;
    await this.#checkMachine();
    const existing = await mustRun(['kind', 'get', 'clusters', '--quiet'], {}, this.#run);
    if (existing.split('\n').includes(name))
      throw new ProviderError(
        `kind has a cluster ${name} already: kind delete cluster --name ${name}, or give another name`,
      );
    signal.throwIfAborted();
    // Of one of that name whose end was not asked here.
    rmSync(this.#archiveList(name), { force: true });
    try {
      const command = ['kind', 'create', 'cluster', '--name', name, '--config', '-', '--wait', '180s'];
      const { nodeImage } = this.#options;
      const image = nodeImage === undefined ? [] : ['--image', nodeImage];
      await mustRun(
        [...command, ...image, '--kubeconfig', this.#kubeconfig(name)],
        { stdin: JSON.stringify(kindConfig(options)), timeoutMs: CREATE_TIMEOUT_MS },
        this.#run,
      );
      signal.throwIfAborted();
      report(`kind made the cluster ${name}`);
      const cluster = await this.#cluster(name, options.images, options.ipFamily);
      await cluster.load((await options.archives) ?? []);
      return cluster;
    } catch (error) {
      await this.down(name, report).catch(() => undefined);
      throw error;
    }
  }

  async attach({ name, images }: Pick<ClusterDescription, 'name' | 'images'>): Promise<Cluster> {
    const kubeconfig = await mustRun(['kind', 'get', 'kubeconfig', '--name', name], {}, this.#run);
    writeFileSync(this.#kubeconfig(name), kubeconfig, { mode: 0o600 });
    return await this.#cluster(name, images, 'ipv4');
  }

  async down(name: string, report: Report): Promise<void> {
    const command = ['kind', 'delete', 'cluster', '--name', name, '--kubeconfig', this.#kubeconfig(name)];
    await mustRun(command, { timeoutMs: CREATE_TIMEOUT_MS }, this.#run);
    // kind only takes its own entries out of it.
    for (const file of [this.#kubeconfig(name), this.#archiveList(name)]) rmSync(file, { force: true });
    report(`cluster ${name} is gone`);
  }

  removal(name: string): string {
    return `kind delete cluster --name ${name}`;
  }

  async #cluster(
    name: string,
    images: ClusterDescription['images'],
    ipFamily: 'ipv4' | 'dual',
  ): Promise<Cluster> {
    const description: ClusterDescription = {
      provider: 'kind',
      name,
      kubeconfig: this.#kubeconfig(name),
      capabilities: CAPABILITIES,
      ipFamily,
      outsideAddress: await this.#gateway(),
      kubectl: 'kubectl',
      images,
    };
    const { nodesOf: listNodes = nodesOf } = this.#options;
    return new KindCluster(description, this.#archiveList(name), this.#run, listNodes);
  }

  /** This machine in the network of kind's nodes; empty where it has none (rootless Docker, a remote one). */
  async #gateway(): Promise<string> {
    const format = '{{range .IPAM.Config}}{{.Gateway}} {{end}}';
    const { stdout } = await this.#run(['docker', 'network', 'inspect', 'kind', '--format', format]);
    return stdout.split(/\s+/).find((address) => /^\d+(\.\d+){3}$/.test(address)) ?? '';
  }

  async #checkMachine(): Promise<void> {
    for (const [command, advice] of [
      [['docker', 'info', '--format', '{{.ServerVersion}}'], 'Docker does not answer'],
      [['kind', 'version'], 'kind is not installed (https://kind.sigs.k8s.io)'],
      [
        ['kubectl', 'version', '--client'],
        'kubectl is not installed (https://kubernetes.io/docs/tasks/tools)',
      ],
    ] as const) {
      const answer = await this.#run(command).catch(() => undefined);
      if (answer?.exitCode !== 0)
        throw new MachineError(`${advice}: ${answer?.stderr.trim() ?? 'no such program'}`);
    }
  }

  #kubeconfig(name: string): string {
    return join(this.#options.folder, `kind-${name}.conf`);
  }

  #archiveList(name: string): string {
    return join(this.#options.folder, `kind-${name}.archives`);
  }
}

/** What kind is told: one control plane, and `nodes` that take pods. JSON is YAML, too. */
export function kindConfig({ nodes, ipFamily }: Pick<UpOptions, 'nodes' | 'ipFamily'>): object {
  return {
    kind: 'Cluster',
    apiVersion: 'kind.x-k8s.io/v1alpha4',
    networking: { ipFamily },
    nodes: [{ role: 'control-plane' }, ...Array.from({ length: nodes }, () => ({ role: 'worker' }))],
  };
}

class KindCluster implements Cluster {
  readonly description: ClusterDescription;
  /** A file that names the archives that nodes have, a line each: who comes later gets them, too. */
  readonly #archiveList: string;
  readonly #run: Run;
  readonly #nodesOf: typeof nodesOf;

  constructor(description: ClusterDescription, archiveList: string, run: Run, listNodes: typeof nodesOf) {
    this.description = description;
    this.#archiveList = archiveList;
    this.#run = run;
    this.#nodesOf = listNodes;
  }

  async nodes(): Promise<readonly ClusterNode[]> {
    return await this.#nodesOf(this.description.kubeconfig);
  }

  async load(archives: readonly string[]): Promise<void> {
    await this.#load(archives);
    const known = this.#loaded();
    const all = [...known, ...archives.filter((archive) => !known.includes(archive))];
    writeFileSync(this.#archiveList, all.map((archive) => `${archive}\n`).join(''));
  }

  /** @param nodes - Default: all. */
  async #load(archives: readonly string[], nodes: readonly string[] = []): Promise<void> {
    const only = nodes.length > 0 ? ['--nodes', nodes.join(',')] : [];
    for (const archive of archives)
      await mustRun(
        ['kind', 'load', 'image-archive', archive, '--name', this.description.name, ...only],
        { timeoutMs: LOAD_TIMEOUT_MS },
        this.#run,
      );
  }

  #loaded(): readonly string[] {
    if (!existsSync(this.#archiveList)) return [];
    return readFileSync(this.#archiveList, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
  }

  async nodeExec(
    node: string,
    command: readonly string[],
    options: ExecOptions = {},
  ): Promise<CommandOutput> {
    return await this.#run(['docker', 'exec', '--interactive', node, ...command], options);
  }

  async addNode(taints: readonly Taint[] = []): Promise<string> {
    const { name: cluster } = this.description;
    const list = ['docker', 'ps', '--all', '--filter', `label=io.x-k8s.kind.cluster=${cluster}`];
    const taken = await mustRun([...list, '--format', '{{.Names}}'], {}, this.#run);
    const name = nextWorker(cluster, taken.split('\n'));
    try {
      await this.#join(name, taints);
    } catch (error) {
      await this.removeNode(name).catch(() => undefined);
      throw error;
    }
    return name;
  }

  async #join(name: string, taints: readonly Taint[]): Promise<void> {
    const like = firstWorker(this.description.name);
    const command = workerCommand(this.description.name, name, await this.#inspect(like));
    await mustRun(command, {}, this.#run);
    const isActive = ['docker', 'exec', name, 'systemctl', 'is-active', '--quiet', 'containerd'];
    const runs = async () => (await this.#run(isActive)).exitCode === 0;
    await until(runs, `containerd runs on ${name}`, { timeoutMs: NODE_TIMEOUT_MS, everyMs: 300 });
    await this.#load(this.#loaded(), [name]);

    const token = await mustRun(
      ['docker', 'exec', this.#controlPlane(), 'kubeadm', 'token', 'create'],
      {},
      this.#run,
    );
    const configuration = joinConfiguration(
      await mustRun(['docker', 'exec', like, 'cat', KUBEADM_CONFIGURATION], {}, this.#run),
      { name, addresses: addressesOf(await this.#inspect(name)), taints, token: token.trim() },
    );
    const write = ['docker', 'exec', '--interactive', name, 'cp', '/dev/stdin', KUBEADM_CONFIGURATION];
    await mustRun(write, { stdin: configuration }, this.#run);
    const kubeadm = ['kubeadm', 'join', '--config', KUBEADM_CONFIGURATION, '--skip-phases=preflight'];
    await mustRun(['docker', 'exec', name, ...kubeadm], { timeoutMs: NODE_TIMEOUT_MS }, this.#run);
    const seconds = NODE_TIMEOUT_MS / 1_000;
    await this.#kubectl(['wait', '--for=condition=Ready', `node/${name}`, `--timeout=${seconds}s`]);
  }

  async #inspect(node: string): Promise<InspectedNode> {
    const answer = await mustRun(['docker', 'inspect', '--type', 'container', node], {}, this.#run);
    const [found] = JSON.parse(answer) as readonly InspectedNode[];
    if (!found) throw new ProviderError(`Docker has no container ${node}`);
    return found;
  }

  async removeNode(name: string): Promise<void> {
    await mustRun(['docker', 'rm', '--force', '--volumes', name], {}, this.#run);
    await this.#kubectl(['delete', 'node', name, '--ignore-not-found', '--wait=false']);
    const itsPods = ['--all-namespaces', `--field-selector=spec.nodeName=${name}`];
    await this.#kubectl(['delete', 'pods', ...itsPods, '--grace-period=0', '--force', '--wait=false']);
  }

  async #kubectl(args: readonly string[]): Promise<void> {
    const { kubectl, kubeconfig } = this.description;
    const timeoutMs = NODE_TIMEOUT_MS + 10_000;
    await mustRun([kubectl, '--kubeconfig', kubeconfig, ...args], { timeoutMs }, this.#run);
  }

  async stopApiServer(): Promise<void> {
    const script = `mv ${MANIFEST} ${MANIFEST_AWAY} && pkill -KILL -x kube-apiserver`;
    await mustRun(['docker', 'exec', this.#controlPlane(), 'sh', '-c', script], {}, this.#run);
  }

  async startApiServer(): Promise<void> {
    const command = ['docker', 'exec', this.#controlPlane(), 'mv', MANIFEST_AWAY, MANIFEST];
    await mustRun(command, {}, this.#run);
    const { kubectl, kubeconfig } = this.description;
    const ask = [kubectl, '--kubeconfig', kubeconfig, '--request-timeout=2s', 'get', '--raw', '/readyz'];
    await until(async () => (await this.#run(ask)).exitCode === 0, 'the API server is ready', {
      timeoutMs: API_TIMEOUT_MS,
      everyMs: 300,
    });
  }

  async logs(folder: string): Promise<void> {
    await this.#run(['kind', 'export', 'logs', folder, '--name', this.description.name], {
      timeoutMs: LOAD_TIMEOUT_MS,
    });
    await collectObjects(this.description, folder, this.#run);
  }

  #controlPlane(): string {
    return `${this.description.name}-control-plane`;
  }
}
