/**
 * What a suite needs of a cluster, whoever made it: the contract between providers, the runner and the suites.
 *
 * A suite never asks which provider it has. It asks for a capability, and where that is missing it fails or leaves the
 * test out by its own, visible rule.
 *
 * A NetworkPolicy that blocks a port: `local` enforces none, and `kind` only where its kindnet can (since v0.24, on
 * kernels with CONFIG_NFT_QUEUE), so a suite that needs the effect of one makes it with {@link Cluster.nodeExec}. On the
 * pod's node, the pod's own network namespace is found by its address and given a rule, which is what an enforcing CNI
 * does:
 *
 *     for f in /run/netns/cni-*; do
 *       nsenter --net=$f ip -o addr | grep -q "inet POD_IP/" && nsenter --net=$f nft -f - <<RULE
 *         table inet block { chain input { type filter hook input priority -300; tcp dport 15008 drop; }; }
 *     RULE
 *     done
 *
 * and it ends with `nft delete table inet block` there, or with the pod. {@link blockPortCommand} is that command.
 */

import type { Taint } from '@ambit/kube/resources/core';

/** What not every cluster can do. */
export type Capability =
  /** Run a command on a node, as root, in the node's own namespaces. */
  | 'node-exec'
  /** Bring images that no registry has. */
  | 'load-images'
  | 'add-node'
  | 'remove-node'
  /** Stop the API server and start it again, its state kept. */
  | 'api-server-control'
  /** Processes of this machine reach pods by their addresses, and pods reach {@link ClusterDescription.outsideAddress}. */
  | 'pod-addresses-from-outside'
  /** NetworkPolicies take effect. */
  | 'network-policy';

/** What the runner writes to the file that `AMBIT_E2E_CLUSTER` names, and all that a suite is told. */
export interface ClusterDescription {
  readonly provider: 'local' | 'kind' | 'existing';
  readonly name: string;
  /** An administrator's. */
  readonly kubeconfig: string;
  readonly capabilities: readonly Capability[];
  readonly ipFamily: 'ipv4' | 'dual';
  /** An address of this machine that pods reach; empty if there is none. */
  readonly outsideAddress: string;
  /** A kubectl of the cluster's version where the provider has one; else whatever is in PATH. */
  readonly kubectl: string;
  /** Where the images under test are: `HUB/istiod:TAG`. */
  readonly images: { readonly hub: string; readonly tag: string };
}

export interface ClusterNode {
  readonly name: string;
  /** As other nodes and, with a local provider, this machine reach it. */
  readonly addresses: readonly string[];
}

export interface CommandOutput {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecOptions {
  readonly stdin?: string;
  /** Default 60 s; the command is killed then, and the call rejects. */
  readonly timeoutMs?: number;
}

/** A cluster that is up. Calls that need a capability reject with a {@link ProviderError} where it is missing. */
export interface Cluster {
  readonly description: ClusterDescription;
  /** Those that take pods. */
  nodes(): Promise<readonly ClusterNode[]>;
  /** Brings image archives (OCI, one image each) to every node. Nodes added later get them, too. */
  load(archives: readonly string[]): Promise<void>;
  /** A command that ends with another status than 0 is no error: the caller reads `exitCode`. */
  nodeExec(node: string, command: readonly string[], options?: ExecOptions): Promise<CommandOutput>;
  /**
   * @param taints - What it has from its first moment on, as a node group's configuration would give it.
   * @returns the name of the new node, which is Ready.
   */
  addNode(taints?: readonly Taint[]): Promise<string>;
  /** The machine goes away at once, as when its power fails; then its Node object and the pods on it are deleted. */
  removeNode(node: string): Promise<void>;
  /** Ends it without grace. */
  stopApiServer(): Promise<void>;
  /** Resolves when it is ready. */
  startApiServer(): Promise<void>;
  /** Writes what nodes and control plane logged, and what objects there are, into a folder. */
  logs(folder: string): Promise<void>;
}

export interface UpOptions {
  /** Letters, digits and dashes. */
  readonly name: string;
  readonly nodes: number;
  readonly ipFamily: 'ipv4' | 'dual';
  readonly images: { readonly hub: string; readonly tag: string };
  /** Image archives that are on every node when it is up; they may still be made while it starts. */
  readonly archives?: Promise<readonly string[]>;
}

/** Told what happens, a line each. */
export type Report = (line: string) => void;

export interface ClusterProvider {
  /** Whether it makes and removes clusters; otherwise what is installed is all that is removed. */
  readonly ownsClusters: boolean;
  /**
   * Makes a cluster; all nodes and DNS are Ready when it resolves. What an aborted or failed start made is gone.
   *
   * @throws MachineError if it cannot be made here at all, and ProviderError for everything else.
   */
  up(options: UpOptions, report: Report, signal: AbortSignal): Promise<Cluster>;
  /** @throws ProviderError if there is none of that name, or it is not up. */
  attach(description: Pick<ClusterDescription, 'name' | 'images'>): Promise<Cluster>;
  /** Leaves nothing behind; fine if there is nothing. */
  down(name: string, report: Report): Promise<void>;
  /** The command by which whoever kept a cluster ends what was made there. */
  removal(name: string): string;
}

/** Runs a shell command in the network namespace of the pod that has this address, on its node. For `nodeExec`. */
export function podNetworkCommand(podIp: string, command: string): readonly string[] {
  const script = [
    'for file in /run/netns/cni-*; do',
    `nsenter --net="$file" ip -o addr | grep -qF " ${podIp}/" || continue;`,
    `nsenter --net="$file" sh -c ${quoted(command)}; exit $?;`,
    'done;',
    `echo "no pod here has ${podIp}" >&2; exit 1`,
  ].join(' ');
  return ['sh', '-c', script];
}

const quoted = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** In a pod's network namespace on its node: drops what comes to `port`, or lets it pass again. For `nodeExec`. */
export function blockPortCommand(
  podIp: string,
  port: number,
  action: 'block' | 'unblock',
): readonly string[] {
  const table = `block_${port}`;
  const rules =
    action === 'block'
      ? `table inet ${table} { chain input { type filter hook input priority -300; tcp dport ${port} drop; }; }`
      : `delete table inet ${table}`;
  return podNetworkCommand(podIp, `printf '%s\\n' ${quoted(rules)} | nft -f -`);
}
