/**
 * A worker that joins a cluster of kind's after that was made, which the kind command cannot do: a container like those
 * that it made, and kubeadm's join by another worker's configuration. Pure; the labels let kind load images and delete it.
 */
import { parseAllDocuments } from 'yaml';
import type { Taint } from '@ambit/kube/resources/core';
import { ProviderError } from '../errors.ts';

/** Where each node has the configuration that kubeadm was given. */
export const KUBEADM_CONFIGURATION = '/kind/kubeadm.conf';

/** As `docker inspect` tells of a container, as far as it is asked. */
export interface InspectedNode {
  readonly Config: { readonly Image: string };
  readonly HostConfig: { readonly NetworkMode: string; readonly Sysctls?: Readonly<Record<string, string>> };
  readonly NetworkSettings: {
    readonly Networks: Readonly<
      Record<string, { readonly IPAddress: string; readonly GlobalIPv6Address?: string }>
    >;
  };
}

/** The first worker's name, with which kind begins; it is never removed by its cluster's suites. */
export const firstWorker = (cluster: string) => `${cluster}-worker`;

/** As kind numbers them: `worker`, `worker2`, `worker3`. */
export function nextWorker(cluster: string, taken: readonly string[]): string {
  for (let number = 2; ; number++) {
    const name = `${firstWorker(cluster)}${number}`;
    if (!taken.includes(name)) return name;
  }
}

/** @param like - A worker that kind made. */
export function workerCommand(cluster: string, name: string, like: InspectedNode): readonly string[] {
  const { NetworkMode: network, Sysctls: sysctls } = like.HostConfig;
  return [
    ...['docker', 'run', '--detach', '--tty', '--name', name, '--hostname', name],
    ...['--label', `io.x-k8s.kind.cluster=${cluster}`, '--label', 'io.x-k8s.kind.role=worker'],
    ...['--privileged', '--security-opt', 'seccomp=unconfined', '--security-opt', 'apparmor=unconfined'],
    ...['--tmpfs', '/tmp', '--tmpfs', '/run', '--volume', '/var', '--volume', '/lib/modules:/lib/modules:ro'],
    ...['--net', network, '--init=false', '--cgroupns=private'],
    ...Object.entries(sysctls ?? {}).map(([key, value]) => `--sysctl=${key}=${value}`),
    like.Config.Image,
  ];
}

/** A node's addresses in kind's network: one, or one of each family. */
export function addressesOf({ HostConfig, NetworkSettings }: InspectedNode): readonly string[] {
  const { IPAddress: v4 = '', GlobalIPv6Address: v6 = '' } =
    NetworkSettings.Networks[HostConfig.NetworkMode] ?? {};
  return [v4, v6].filter((address) => address !== '');
}

export interface Joining {
  readonly name: string;
  /** In the order of {@link addressesOf}. */
  readonly addresses: readonly string[];
  readonly taints: readonly Taint[];
  /** With which it is let in; the one in a configuration of kind's is good for a day. */
  readonly token: string;
}

type ArgumentList = readonly { readonly name: string; readonly value: string }[];
/** A list since kubeadm's v1beta4, and an object before. */
type KubeletArguments = ArgumentList | Readonly<Record<string, string>>;

interface JoinConfiguration {
  readonly kind?: string;
  readonly discovery?: { readonly bootstrapToken?: object };
  readonly nodeRegistration?: { readonly kubeletExtraArgs?: KubeletArguments };
}

/**
 * kubeadm's configuration of another worker, made that of one that joins. JSON, which is YAML, too.
 *
 * @throws ProviderError if it is none that a worker can join by.
 */
export function joinConfiguration(text: string, joining: Joining): string {
  const documents = parseAllDocuments(text).map((one) => one.toJS() as JoinConfiguration | null);
  const found = documents.find((one) => one?.kind === 'JoinConfiguration');
  if (!found?.discovery || !found.nodeRegistration)
    throw new ProviderError(`${KUBEADM_CONFIGURATION} of a worker has no JoinConfiguration with a discovery`);
  const { discovery, nodeRegistration } = found;
  return JSON.stringify({
    ...found,
    discovery: {
      ...discovery,
      bootstrapToken: { ...discovery.bootstrapToken, token: joining.token },
    },
    nodeRegistration: {
      ...nodeRegistration,
      kubeletExtraArgs: kubeletArguments(nodeRegistration.kubeletExtraArgs ?? [], joining),
      taints: joining.taints,
    },
  });
}

function kubeletArguments(before: KubeletArguments, { name, addresses }: Joining): KubeletArguments {
  const own = (key: string, value: string) => {
    if (key === 'node-ip') return addresses.join(',');
    return key === 'provider-id' ? value.replace(/[^/]*$/, name) : value;
  };
  return isList(before)
    ? before.map((one) => ({ name: one.name, value: own(one.name, one.value) }))
    : Object.fromEntries(Object.entries(before).map(([key, value]) => [key, own(key, value)]));
}

const isList = (args: KubeletArguments): args is ArgumentList => Array.isArray(args);
