/**
 * The provider `kind`: a cluster whose nodes are Docker containers, by the kind command and its stock node image.
 *
 * Pods run on the workers alone, as kind keeps them from a control plane that has workers beside it.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodesOf } from '../api-nodes.ts';
import { collectObjects } from '../collect.ts';
import { mustRun, type Run, runCommand, until } from '../command.ts';
import { lacking, MachineError, ProviderError } from '../errors.ts';
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

export interface KindProviderOptions {
  /** Gets the kubeconfig of each cluster. */
  readonly folder: string;
  /** Of every node; absent: the one that the kind command comes with. */
  readonly nodeImage?: string | undefined;
  readonly run?: Run;
  readonly nodesOf?: typeof nodesOf;
}

const CREATE_TIMEOUT_MS = 10 * 60_000;
const LOAD_TIMEOUT_MS = 5 * 60_000;
const API_TIMEOUT_MS = 120_000;
const CAPABILITIES: readonly Capability[] = ['node-exec', 'load-images', 'api-server-control'];
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
    rmSync(this.#kubeconfig(name), { force: true });
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
    return new KindCluster(description, this.#run, this.#options.nodesOf ?? nodesOf);
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
  readonly #run: Run;
  readonly #nodesOf: typeof nodesOf;

  constructor(description: ClusterDescription, run: Run, listNodes: typeof nodesOf) {
    this.description = description;
    this.#run = run;
    this.#nodesOf = listNodes;
  }

  async nodes(): Promise<readonly ClusterNode[]> {
    return await this.#nodesOf(this.description.kubeconfig);
  }

  async load(archives: readonly string[]): Promise<void> {
    for (const archive of archives)
      await mustRun(
        ['kind', 'load', 'image-archive', archive, '--name', this.description.name],
        { timeoutMs: LOAD_TIMEOUT_MS },
        this.#run,
      );
  }

  async nodeExec(
    node: string,
    command: readonly string[],
    options: ExecOptions = {},
  ): Promise<CommandOutput> {
    return await this.#run(['docker', 'exec', '--interactive', node, ...command], options);
  }

  addNode(): Promise<string> {
    return lacking('kind', 'add nodes');
  }

  removeNode(): Promise<void> {
    return lacking('kind', 'remove nodes');
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
