/**
 * The provider `existing`: whatever cluster KUBECONFIG points at. It is not made, not changed and not removed; images come
 * from a registry, or by a command that whoever runs the suites knows.
 */
import { collectObjects } from '../collect.ts';
import { mustRun, type Run, runCommand } from '../command.ts';
import { lacking, MachineError, ProviderError } from '../errors.ts';
import { nodesOf } from '../api-nodes.ts';
import type {
  Cluster,
  ClusterDescription,
  ClusterNode,
  ClusterProvider,
  CommandOutput,
  Report,
  UpOptions,
} from '../provider.ts';

export interface ExistingProviderOptions {
  readonly kubeconfig: string | undefined;
  /** A shell's; `$1` is the archive. */
  readonly loadCommand: string | undefined;
  readonly run?: Run;
  readonly nodesOf?: typeof nodesOf;
}

const LOAD_TIMEOUT_MS = 10 * 60_000;

export class ExistingProvider implements ClusterProvider {
  readonly ownsClusters = false;
  readonly #options: ExistingProviderOptions;

  constructor(options: ExistingProviderOptions) {
    this.#options = options;
  }

  async up(options: UpOptions, report: Report): Promise<Cluster> {
    const cluster = await this.attach(options);
    const nodes = await cluster.nodes();
    if (nodes.length < options.nodes)
      throw new ProviderError(
        `the cluster has ${nodes.length} nodes that take pods; the suites were told of ${options.nodes}`,
      );
    report(`a cluster with the nodes ${nodes.map(({ name }) => name).join(', ')}`);
    if (options.archives) await cluster.load(await options.archives);
    return cluster;
  }

  attach({
    name,
    images,
  }: Pick<UpOptions, 'name' | 'images'> & { readonly ipFamily?: 'ipv4' | 'dual' }): Promise<Cluster> {
    const { kubeconfig } = this.#options;
    if (kubeconfig === undefined || kubeconfig === '')
      return Promise.reject(new MachineError('KUBECONFIG names no cluster'));
    const description = { provider: 'existing', name, kubeconfig, images } as const;
    return Promise.resolve(new ExistingCluster(description, this.#options));
  }

  async down(): Promise<void> {
    // It is not this suite's to remove.
  }

  removal(): string {
    return 'ambit uninstall --release';
  }
}

class ExistingCluster implements Cluster {
  readonly description: ClusterDescription;
  readonly #options: ExistingProviderOptions;
  readonly #run: Run;

  constructor(
    description: Pick<ClusterDescription, 'provider' | 'name' | 'kubeconfig' | 'images'>,
    options: ExistingProviderOptions,
  ) {
    this.#options = options;
    this.#run = options.run ?? runCommand;
    this.description = {
      ...description,
      capabilities: options.loadCommand === undefined ? [] : ['load-images'],
      ipFamily: 'ipv4',
      outsideAddress: '',
      kubectl: 'kubectl',
    };
  }

  nodes(): Promise<readonly ClusterNode[]> {
    return (this.#options.nodesOf ?? nodesOf)(this.description.kubeconfig);
  }

  async load(archives: readonly string[]): Promise<void> {
    const { loadCommand } = this.#options;
    if (loadCommand === undefined) return await lacking('existing', 'load images without --load-command');
    for (const archive of archives)
      await mustRun(['sh', '-c', loadCommand, 'load', archive], { timeoutMs: LOAD_TIMEOUT_MS }, this.#run);
  }

  nodeExec(): Promise<CommandOutput> {
    return lacking('existing', 'run commands on its nodes');
  }

  addNode(): Promise<string> {
    return lacking('existing', 'add nodes');
  }

  removeNode(): Promise<void> {
    return lacking('existing', 'remove nodes');
  }

  stopApiServer(): Promise<void> {
    return lacking('existing', 'stop its API server');
  }

  startApiServer(): Promise<void> {
    return lacking('existing', 'start its API server');
  }

  async logs(folder: string): Promise<void> {
    await collectObjects(this.description, folder, this.#run);
  }
}
