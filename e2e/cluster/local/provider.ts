/**
 * The provider `local`: real Kubernetes on this machine alone, as root, with no Docker, registry or systemd.
 *
 * What is made: one outer machine with the control plane, one machine a node inside it (machine.ts), one link, cgroups,
 * and a folder. Ending the outer machine's first process ends everything but the cgroups and the folder.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { mustRun, runCommand } from '../command.ts';
import { MachineError, ProviderError } from '../errors.ts';
import type { Cluster, ClusterDescription, ClusterProvider, Report, UpOptions } from '../provider.ts';
import { clusterBinaries } from './binaries.ts';
import { Cgroups } from './cgroups.ts';
import { LocalCluster } from './cluster.ts';
import { labImages } from './lab-images.ts';
import { Machine, OUTER } from './machine.ts';
import { MachineSettings } from './machine-settings.ts';
import { endProcesses } from './processes.ts';
import { type ClusterRecord, Records } from './record.ts';
import { localSettings, MAX_NODES, NAME_PATTERN, places } from './settings.ts';

export interface LocalProviderOptions {
  /** Programs that are built once. */
  readonly cacheFolder: string;
  /** Folders of running clusters; on a real file system, as overlays are made in it. */
  readonly stateFolder: string;
}

export class LocalProvider implements ClusterProvider {
  readonly ownsClusters = true;
  readonly #options: LocalProviderOptions;
  readonly #records: Records;
  readonly #settings: MachineSettings;

  constructor(options: LocalProviderOptions) {
    this.#options = options;
    this.#records = new Records(options.stateFolder);
    this.#settings = new MachineSettings(options.stateFolder);
  }

  async up(options: UpOptions, report: Report, signal: AbortSignal): Promise<Cluster> {
    const { name } = options;
    checkOptions(options);
    await this.#checkMachine();
    if (this.#records.read(name)?.ready && Machine.find(name, OUTER))
      throw new ProviderError(`cluster ${name} is up already: down it first, or give another name`);
    await this.down(name, report);
    const binaries = await clusterBinaries(this.#options.cacheFolder, report, signal);
    const images = await labImages(binaries);
    try {
      const cluster = await this.#make(options, binaries, images, report, signal);
      report(`export KUBECONFIG=${cluster.description.kubeconfig}`);
      return cluster;
    } catch (error) {
      await this.down(name, report).catch(() => undefined);
      throw error;
    }
  }

  async #make(
    options: UpOptions,
    binaries: string,
    images: readonly string[],
    report: Report,
    signal: AbortSignal,
  ): Promise<Cluster> {
    const { name, ipFamily } = options;
    const slot = this.#records.takeSlot(name);
    const settings = localSettings(name, slot, ipFamily, this.#options.stateFolder);
    const numbers = Array.from({ length: options.nodes }, (_, index) => index + 1);
    const record: ClusterRecord = {
      name,
      slot,
      ipFamily,
      ready: false,
      nodes: numbers,
      binaries,
    };
    this.#records.write(record);
    const cgroups = new Cgroups(name);
    this.#settings.change(cgroups);
    mkdirSync(places(settings).logs, { recursive: true });
    const outer = await Machine.start({
      cluster: name,
      machine: OUTER,
      groups: cgroups.make('control-plane').root,
      logFile: `${places(settings).logs}/machine.log`,
    });
    cgroups.finish('control-plane');
    const cluster = new LocalCluster({
      settings,
      records: this.#records,
      cgroups,
      outer,
      images: options.images,
    });
    await cluster.bootstrap(images, numbers, { archives: options.archives, report, signal });
    this.#records.write({ ...record, ready: true });
    return cluster;
  }

  attach({ name, images }: Pick<ClusterDescription, 'name' | 'images'>): Promise<Cluster> {
    const record = this.#records.read(name);
    const outer = Machine.find(name, OUTER);
    if (!record?.ready || !outer)
      throw new ProviderError(`no local cluster ${name} is up; list shows those that are, --name picks one`);
    const settings = localSettings(name, record.slot, record.ipFamily, this.#options.stateFolder);
    const cgroups = new Cgroups(name);
    return Promise.resolve(new LocalCluster({ settings, records: this.#records, cgroups, outer, images }));
  }

  async down(name: string, report: Report): Promise<void> {
    checkName(name);
    const record = this.#records.read(name);
    const { folder, link } = localSettings(name, record?.slot ?? 0, 'ipv4', this.#options.stateFolder);
    const wasThere = existsSync(folder);
    await endProcesses(name, () => true);
    const cgroups = new Cgroups(name);
    await cgroups.remove();
    if (record) await removeLink(link);
    await removeMounts(folder);
    await mustRun(['rm', '-rf', '--one-file-system', folder]);
    this.#records.releaseSlots(name);
    if (this.#records.names().length === 0) await this.#settings.restore(cgroups);
    if (wasThere) report(`cluster ${name} is gone`);
  }

  removal(name: string): string {
    return `node e2e/cluster/main.ts down --name ${name}`;
  }

  /** All that is up or was left behind, with whether it is up. */
  list(): readonly { readonly name: string; readonly up: boolean }[] {
    return this.#records.names().map((name) => ({
      name,
      up: this.#records.read(name)?.ready === true && Machine.find(name, OUTER) !== undefined,
    }));
  }

  async #checkMachine(): Promise<void> {
    if (process.getuid?.() !== 0) throw new MachineError('the provider local needs root');
    const programs = [
      'containerd',
      'ctr',
      'runc',
      'iptables',
      'ipset',
      'conntrack',
      'unshare',
      'nsenter',
      'ip',
      'sysctl',
    ];
    const lookUp = `for name in ${programs.join(' ')}; do command -v "$name" >/dev/null || echo "$name"; done`;
    const missing = (await runCommand(['sh', '-c', lookUp])).stdout.trim().split('\n').join(', ');
    if (missing !== '')
      throw new MachineError(`missing: ${missing} (node tools/setup.cjs e2e installs them)`);
    const { stateFolder } = this.#options;
    mkdirSync(stateFolder, { recursive: true });
    const type = (await mustRun(['stat', '--file-system', '--format=%T', stateFolder])).trim();
    if (type === 'overlayfs')
      throw new MachineError(
        `${stateFolder} is on an overlay, which nodes cannot use: set AMBIT_E2E_STATE to a folder on a disk`,
      );
    // Where it is built in, or there is no modprobe, this says nothing.
    await runCommand(['modprobe', 'overlay']).catch(() => undefined);
  }
}

/** A name is a folder that is removed as root: an empty one, or `..`, would be somebody else's. */
function checkName(name: string): void {
  if (!NAME_PATTERN.test(name))
    throw new ProviderError(`not a name for a cluster: ${JSON.stringify(name)} (a-z, 0-9 and -, at most 31)`);
}

function checkOptions({ name, nodes }: UpOptions): void {
  checkName(name);
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > MAX_NODES)
    throw new ProviderError(`a local cluster has 1 to ${MAX_NODES} nodes`);
}

/**
 * The kernel removes it with the namespace at its other end, which connections that were cut may hold for seconds more:
 * what they hold has no link to anything then.
 */
async function removeLink(link: string): Promise<void> {
  if (!existsSync(`/sys/class/net/${link}`)) return;
  const { exitCode, stderr } = await runCommand(['ip', 'link', 'delete', link]);
  if (exitCode !== 0 && existsSync(`/sys/class/net/${link}`))
    throw new ProviderError(`the link ${link} does not go away: ${stderr.trim()}`);
}

/** There are none unless something of this machine shared what a node mounted. */
async function removeMounts(folder: string): Promise<void> {
  const mounted = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${folder}/`));
  for (const point of mounted.toReversed()) await mustRun(['umount', '--lazy', point]);
}
