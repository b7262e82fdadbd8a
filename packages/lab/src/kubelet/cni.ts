/**
 * A node's CNI chain, called as a container runtime calls it (CNI specification 1.0, §3 and §4).
 *
 * Plugins run in the node's network namespace and see the node's `/run`. The first configuration list by name counts, read
 * anew for every pod, since agents chain themselves in while the node runs.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MeshError, messageOf } from '@ambit/core/errors';
import { CNI_TIMEOUT_MS, MAX_CNI_OUTPUT_BYTES } from './limits.ts';
import type { NodeFolder } from './node-folder.ts';

/** A plugin, or its configuration, does not give the pod a network. */
export class CniError extends MeshError {
  readonly code = 'CNI';
  readonly side = 'internal';
  override readonly retryable = true;
}

type Json = Readonly<Record<string, unknown>>;

interface NetworkList {
  readonly name: string;
  readonly cniVersion: string;
  readonly plugins: readonly (Json & { readonly type: string })[];
}

/** A pod's place on the network, and what to give each plugin when it is taken back. */
export interface CniAttachment {
  readonly ips: readonly string[];
  readonly list: NetworkList;
  readonly result: Json;
}

export interface CniPod {
  readonly containerId: string;
  /** As the node calls it: `/var/run/netns/…`. */
  readonly netnsPath: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

export interface CniNode {
  /** For `nsenter`: the file of the node's network namespace. */
  readonly netnsPath: string;
  readonly folder: NodeFolder;
  /** Where plugins find `ip` and friends. */
  readonly path: string;
}

/** @throws {@link CniError} with what the plugin said; the chain is undone as far as it got. */
export async function addToNetwork(node: CniNode, pod: CniPod, signal: AbortSignal): Promise<CniAttachment> {
  const list = readNetworkList(node.folder.cniConfigFolder);
  let result: Json | undefined;
  try {
    for (const plugin of list.plugins)
      result = await callPlugin(node, pod, 'ADD', list, plugin, result, signal);
    if (!result) throw new CniError(`CNI network ${list.name} has no plugins`);
    return { ips: ipsOf(result), list, result };
  } catch (error) {
    await removeFromNetwork(node, pod, { ips: [], list, result: result ?? {} }).catch(() => undefined);
    throw error;
  }
}

/** Every plugin is called, last first; what fails is thrown at the end. */
export async function removeFromNetwork(
  node: CniNode,
  pod: CniPod,
  attachment: CniAttachment,
): Promise<void> {
  const problems: string[] = [];
  for (const plugin of attachment.list.plugins.toReversed()) {
    await callPlugin(node, pod, 'DEL', attachment.list, plugin, attachment.result).catch((error: unknown) => {
      problems.push(messageOf(error));
    });
  }
  if (problems.length > 0) throw new CniError(problems.join('; '));
}

/** The first valid list, or single configuration, of a folder. */
export function readNetworkList(folder: string): NetworkList {
  const names = readdirSync(folder)
    .filter((name) => /\.(conflist|conf|json)$/.test(name))
    .sort();
  const [first] = names;
  if (first === undefined) throw new CniError(`no CNI configuration in ${folder}`);
  return parseNetworkList(first, readFileSync(join(folder, first), 'utf8'));
}

export function parseNetworkList(fileName: string, text: string): NetworkList {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new CniError(`CNI configuration ${fileName} is not JSON: ${messageOf(error)}`);
  }
  const { name, cniVersion = '0.3.1', plugins, type } = asJson(parsed);
  if (typeof name !== 'string' || typeof cniVersion !== 'string')
    throw new CniError(`CNI configuration ${fileName} has no name`);
  const list = Array.isArray(plugins) ? (plugins as unknown[]).map(asJson) : [asJson(parsed)];
  const typed = list.filter(
    (plugin): plugin is Json & { type: string } => typeof plugin['type'] === 'string',
  );
  if (typed.length !== list.length || (plugins === undefined && type === undefined))
    throw new CniError(`CNI configuration ${fileName} has a plugin without a type`);
  return { name, cniVersion, plugins: typed };
}

async function callPlugin(
  node: CniNode,
  pod: CniPod,
  command: 'ADD' | 'DEL',
  list: NetworkList,
  plugin: Json & { readonly type: string },
  prevResult: Json | undefined,
  signal?: AbortSignal,
): Promise<Json> {
  const file = join(node.folder.cniBinFolder, plugin.type);
  if (plugin.type.includes('/') || !existsSync(file))
    throw new CniError(`CNI plugin ${plugin.type} is not in ${node.folder.cniBinFolder}`);
  const config = {
    ...plugin,
    name: list.name,
    cniVersion: list.cniVersion,
    ...(prevResult && Object.keys(prevResult).length > 0 && { prevResult }),
  };
  const env = {
    PATH: node.path,
    CNI_COMMAND: command,
    CNI_CONTAINERID: pod.containerId,
    CNI_NETNS: pod.netnsPath,
    CNI_IFNAME: 'eth0',
    CNI_PATH: node.folder.cniBinFolder,
    CNI_ARGS: [
      'IgnoreUnknown=1',
      `K8S_POD_NAMESPACE=${pod.namespace}`,
      `K8S_POD_NAME=${pod.name}`,
      `K8S_POD_INFRA_CONTAINER_ID=${pod.containerId}`,
      `K8S_POD_UID=${pod.uid}`,
    ].join(';'),
  };
  const { status, stdout, stderr } = await runOnNode(node, file, env, JSON.stringify(config), signal);
  if (status !== 0) throw new CniError(`CNI plugin ${plugin.type} ${command}: ${problemOf(stdout, stderr)}`);
  return stdout.trim() === '' ? (prevResult ?? {}) : asJson(JSON.parse(stdout));
}

/** Shows the node's `/run`, with the lab's own folder still in its place should it lie there. */
const ON_NODE = `
set -e
case "$2" in /run/*) mkdir -p "$1\${2#/run}"; mount --rbind "$2" "$1\${2#/run}";; esac
mount --rbind "$1" /run
shift 2
exec "$@"`;

function runOnNode(
  node: CniNode,
  file: string,
  env: Readonly<Record<string, string>>,
  stdin: string,
  signal: AbortSignal | undefined,
): Promise<{ readonly status: number | null; readonly stdout: string; readonly stderr: string }> {
  const runFolder = node.folder.hostPath('/run');
  const args = [`--net=${node.netnsPath}`, 'unshare', '--mount', '--propagation', 'slave'];
  return new Promise((resolve, reject) => {
    const child = spawn(
      'nsenter',
      [...args, 'sh', '-c', ON_NODE, 'cni', runFolder, node.folder.labFolder, file],
      {
        env,
        timeout: CNI_TIMEOUT_MS,
        ...(signal && { signal }),
        killSignal: 'SIGKILL',
      },
    );
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        if (output[name].length < MAX_CNI_OUTPUT_BYTES) output[name] += text;
      });
    }
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, ...output }));
    child.stdin.on('error', () => undefined);
    child.stdin.end(stdin);
  });
}

/** The message of a CNI error object, or the last that the plugin printed. */
function problemOf(stdout: string, stderr: string): string {
  try {
    const { msg, details } = asJson(JSON.parse(stdout));
    if (typeof msg === 'string')
      return typeof details === 'string' && details !== '' ? `${msg}: ${details}` : msg;
  } catch {
    // Not an error object; what it printed is all there is.
  }
  return (stderr.trim() || stdout.trim()).split('\n').at(-1) || 'failed without a word';
}

function ipsOf(result: Json): readonly string[] {
  const { ips } = result;
  if (!Array.isArray(ips)) return [];
  return (ips as unknown[]).flatMap((entry) => {
    const { address } = asJson(entry);
    return typeof address === 'string' ? [address.replace(/\/.*$/, '')] : [];
  });
}

function asJson(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {};
}
