/**
 * From nothing to a cluster with the mesh on it, and the file that tells the suites about it.
 *
 * Images are made while the cluster starts. Everything made here is undone by {@link ClusterUnderTest.remove}, whenever it
 * was interrupted.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '@ambit/core/errors';
import { lastLines, runCommand } from '../cluster/command.ts';
import { ProviderError } from '../cluster/errors.ts';
import { installGatewayApi } from '../cluster/gateway-api.ts';
import type { Cluster, ClusterProvider, Report } from '../cluster/provider.ts';
import type { RunOptions } from './options.ts';

/** What is put under test, and what the suites put beside it, unless the run says otherwise. */
const IMAGES = ['istiod', 'ztunnel', 'install-cni', 'waypoint', 'echo'];
const LOCAL_IMAGES = { hub: 'ambit.local', tag: 'e2e' };
const TOP = new URL('../../', import.meta.url).pathname;
const BUILD_TIMEOUT_MS = 15 * 60_000;
const INSTALL_TIMEOUT_MS = 8 * 60_000;

export interface Making {
  readonly options: RunOptions;
  readonly provider: ClusterProvider;
  /** For archives and the cluster's file. */
  readonly folder: string;
  /** Of ours, to be made; default: those of the suites. */
  readonly images?: readonly string[];
  /** Image archives of others, which every node gets as well. */
  readonly archives?: readonly string[];
  readonly report: Report;
  readonly signal: AbortSignal;
}

export class ClusterUnderTest {
  readonly name: string;
  /** What `AMBIT_E2E_CLUSTER` names. */
  readonly file: string;
  readonly #making: Making;
  #cluster: Cluster | undefined;

  constructor(making: Making) {
    this.#making = making;
    this.name = making.options.name ?? `e2e-${process.pid}`;
    this.file = join(making.folder, 'cluster.json');
  }

  async make(): Promise<void> {
    const { options, provider, report, signal } = this.#making;
    const images = options.images ?? LOCAL_IMAGES;
    const { nodes, ipFamily } = options;
    const building = options.images ? undefined : this.#buildImages();
    building?.catch(() => undefined);
    const archives = building && { archives: building };
    this.#cluster = await provider.up(
      { name: this.name, nodes, ipFamily, images, ...archives },
      report,
      signal,
    );
    signal.throwIfAborted();
    writeFileSync(this.file, `${JSON.stringify(this.#cluster.description, undefined, 1)}\n`);
    await installGatewayApi(this.#cluster.description.kubeconfig, report, signal);
    await this.#install();
    report('the mesh is Ready');
  }

  /** Whether there is one to keep, or to ask for logs: of a start that failed nothing is left. */
  get isThere(): boolean {
    return this.#cluster !== undefined;
  }

  /** Never rejects: the failure that it is about counts. */
  async collectLogs(folder: string): Promise<void> {
    const { report } = this.#making;
    mkdirSync(folder, { recursive: true });
    await this.#cluster?.logs(folder).catch((error: unknown) => report(`logs: ${messageOf(error)}`));
  }

  async remove(): Promise<void> {
    const { provider, report } = this.#making;
    if (provider.ownsClusters) await provider.down(this.name, report);
    else if (this.#cluster) await this.#ambit(['uninstall', '--yes', '--release']);
  }

  async #buildImages(): Promise<readonly string[]> {
    const { folder, report, images = IMAGES, archives = [] } = this.#making;
    const out = join(folder, 'images');
    const { hub, tag } = LOCAL_IMAGES;
    const args = ['tools/images/main.ts', '--out', out, '--hub', hub, '--tag', tag, ...images];
    await this.#must([process.execPath, ...args], BUILD_TIMEOUT_MS);
    report('images are made');
    const made = readdirSync(out)
      .filter((name) => name.endsWith('.tar'))
      .map((name) => join(out, name));
    return [...made, ...archives];
  }

  async #install(): Promise<void> {
    const { hub, tag } = this.#cluster?.description.images ?? LOCAL_IMAGES;
    await this.#ambit(['install', '--yes', '--set', `global.hub=${hub}`, '--set', `global.tag=${tag}`]);
  }

  async #ambit(args: readonly string[]): Promise<void> {
    const kubeconfig = this.#cluster?.description.kubeconfig ?? '';
    const command = [process.execPath, 'packages/cli/src/main.ts', ...args, '--kubeconfig', kubeconfig];
    await this.#must(command, INSTALL_TIMEOUT_MS);
  }

  async #must(command: readonly string[], timeoutMs: number): Promise<void> {
    const { exitCode, stdout, stderr } = await runCommand(command, { cwd: TOP, timeoutMs });
    if (exitCode !== 0)
      throw new ProviderError(
        `${command.slice(1).join(' ')} ended with ${exitCode}: ${lastLines(stdout + stderr)}`,
      );
  }
}
