/**
 * One node: its machine, its root, containerd, kube-proxy and kubelet, in the order that loses no time.
 *
 * kubelet starts only when kube-proxy has made the rule of the Service `kubernetes`: a pod that dials it earlier leaves an
 * untranslated entry in connection tracking, and hangs for its whole timeout.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { mustRun, runCommand, until } from '../command.ts';
import { ProviderError } from '../errors.ts';
import { partsWithout } from './archive-parts.ts';
import type { Cgroups } from './cgroups.ts';
import { Machine } from './machine.ts';
import { BRIDGE, nodeNetwork } from './render-control-plane.ts';
import { KUBERNETES_FOLDER, kubeletArguments, nodeFiles } from './render-node.ts';
import { rootCommands } from './render-root.ts';
import { type LocalSettings, nodeName, places } from './settings.ts';

const CONTAINERD_TIMEOUT_MS = 60_000;
const RULES_TIMEOUT_MS = 90_000;
const IMPORT_TIMEOUT_MS = 300_000;
/** Where Debian and Ubuntu, and others, put the reference plugins. */
const CNI_PLUGIN_FOLDERS = ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni'];

export interface NodeContext {
  readonly settings: LocalSettings;
  readonly outer: Machine;
  readonly cgroups: Cgroups;
  readonly binaries: string;
}

export class LocalNode {
  readonly number: number;
  readonly machine: Machine;
  readonly #context: NodeContext;
  readonly #groups: readonly string[];

  private constructor(context: NodeContext, number: number, machine: Machine, groups: readonly string[]) {
    this.number = number;
    this.machine = machine;
    this.#context = context;
    this.#groups = groups;
  }

  /** Up to a containerd that answers. */
  static async start(context: NodeContext, number: number, signal: AbortSignal): Promise<LocalNode> {
    const { settings, outer, cgroups } = context;
    const name = nodeName(number);
    const { node } = places(settings);
    for (const folder of ['upper', 'work', 'root', 'containerd', 'kubelet', 'log'])
      mkdirSync(node(number, folder), { recursive: true });
    const groups = cgroups.make(name);
    const logFile = node(number, 'log', 'machine.log');
    const machine = await Machine.start({
      cluster: settings.name,
      machine: name,
      within: outer,
      groups: groups.root,
      logFile,
    });
    cgroups.finish(name);
    const started = new LocalNode(context, number, machine, groups.join);
    await started.#makeRoot();
    await started.#connect();
    await started.#startContainerd(signal);
    return started;
  }

  /** The API server is ready, and has the Node object. */
  async join(signal: AbortSignal): Promise<void> {
    const { settings, binaries } = this.#context;
    const program = (name: string) => join(binaries, name);
    const start = (role: string, command: readonly string[]) => {
      const logFile = places(settings).node(this.number, 'log', `${role}.log`);
      this.machine.start(`${role}:${nodeName(this.number)}`, command, {
        logFile,
        groups: this.#groups,
        kinds: 'all',
      });
    };
    start('kube-proxy', [program('kube-proxy'), `--config=${KUBERNETES_FOLDER}/kube-proxy.json`]);
    await this.#untilServiceRules(signal);
    const options = { settings, number: this.number };
    start('kubelet', [program('kubelet'), ...kubeletArguments(options)]);
  }

  async #makeRoot(): Promise<void> {
    const { settings, cgroups, binaries } = this.#context;
    const { node, pki, kubeconfig } = places(settings);
    const commands = rootCommands({
      hostName: nodeName(this.number),
      root: node(this.number, 'root'),
      upper: node(this.number, 'upper'),
      work: node(this.number, 'work'),
      binds: {
        '/var/lib/containerd': node(this.number, 'containerd'),
        '/var/lib/kubelet': node(this.number, 'kubelet'),
        // It may lie on a file system of its own, which the overlay does not show.
        [binaries]: binaries,
      },
      hierarchies: cgroups.hierarchies,
    });
    const script = `set -e\n${commands.join('\n')}\n`;
    await mustRun(this.machine.entering('all', ['sh']), { stdin: script });
    for (const [path, text] of nodeFiles({ settings, number: this.number })) this.#write(path, text);
    const name = nodeName(this.number);
    const copies = {
      'ca.crt': pki('ca.crt'),
      'kubelet.crt': pki(`${name}.crt`),
      'kubelet.key': pki(`${name}.key`),
      'kubelet.conf': kubeconfig(name),
      'kube-proxy.conf': kubeconfig('proxy'),
    };
    for (const [file, source] of Object.entries(copies))
      copyFileSync(source, this.machine.path(`${KUBERNETES_FOLDER}/${file}`));
    const plugins = CNI_PLUGIN_FOLDERS.find((folder) => existsSync(join(folder, 'ptp')));
    if (plugins === undefined)
      throw new ProviderError(
        'the CNI plugins are missing (Debian and Ubuntu: package containernetworking-plugins)',
      );
    // Real files could not be told from what a DaemonSet of this cluster puts there.
    if (plugins !== '/opt/cni/bin')
      for (const plugin of readdirSync(plugins))
        symlinkSync(join(plugins, plugin), this.machine.path(`/opt/cni/bin/${plugin}`));
  }

  #write(path: string, text: string): void {
    mkdirSync(dirname(this.machine.path(path)), { recursive: true });
    writeFileSync(this.machine.path(path), text);
  }

  async #connect(): Promise<void> {
    const { settings, outer } = this.#context;
    const link = nodeName(this.number);
    await outer.ip([
      `link add ${link} type veth peer name eth0 netns ${this.machine.pid}`,
      `link set ${link} master ${BRIDGE} up`,
    ]);
    await this.machine.ip(nodeNetwork(settings, this.number));
    await enableForwarding(this.machine);
  }

  async #startContainerd(signal: AbortSignal): Promise<void> {
    const logFile = places(this.#context.settings).node(this.number, 'log', 'containerd.log');
    this.machine.start(`containerd:${nodeName(this.number)}`, ['containerd'], {
      logFile,
      groups: this.#groups,
      kinds: 'all',
    });
    await until(
      async () =>
        existsSync(this.machine.path('/run/containerd/containerd.sock')) &&
        (await this.machine.exec(['ctr', 'version'])).exitCode === 0,
      `containerd answers (see ${logFile})`,
      { timeoutMs: CONTAINERD_TIMEOUT_MS, signal },
    );
  }

  async #untilServiceRules(signal: AbortSignal): Promise<void> {
    const { families } = this.#context.settings;
    const logFile = places(this.#context.settings).node(this.number, 'log', 'kube-proxy.log');
    const [{ apiService }] = families;
    const list = this.machine.entering(['net'], ['iptables', '-w', '-t', 'nat', '-S', 'KUBE-SERVICES']);
    await until(
      async () => (await runCommand(list)).stdout.includes(`${apiService}/32`),
      `kube-proxy makes the rules of Services (see ${logFile})`,
      { timeoutMs: RULES_TIMEOUT_MS, signal },
    );
  }
}

/** In a machine's own network namespace; nobody else's is touched. */
export async function enableForwarding(machine: Machine): Promise<void> {
  const settings = [
    'net.ipv4.ip_forward=1',
    'net.ipv6.conf.all.forwarding=1',
    'net.ipv6.conf.default.forwarding=1',
  ];
  await mustRun(machine.entering(['net'], ['sysctl', '--quiet', '--write', ...settings]));
}

/** One after the other: the disk is the limit. */
export async function loadImages(machine: Machine, archives: readonly string[]): Promise<void> {
  const brought = new Set<string>();
  for (const path of archives) {
    const command = ['ctr', '--namespace', 'k8s.io', 'images', 'import', '-'];
    const isFirst = brought.size === 0;
    const parts = partsWithout(path, brought);
    const stdinFile = isFirst ? { path } : { path, parts };
    await machine.mustExec(command, { stdinFile, timeoutMs: IMPORT_TIMEOUT_MS });
  }
}
