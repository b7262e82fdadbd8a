/** A pod's network namespace: made, joined to the node's network by its CNI chain, and taken apart again. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Pod } from '@ambit/kube/resources/core';
import { createNetns, type Netns, openNetns, removeNetns } from '@ambit/linux/netns';
import type { LabNode } from '../network/nodes.ts';
import { addToNetwork, type CniAttachment, type CniNode, type CniPod, removeFromNetwork } from './cni.ts';

export interface PodNetwork {
  readonly netns: Netns;
  /** For `nsenter`. */
  readonly path: string;
  /** IPv4 first. */
  readonly ips: readonly string[];
  /** Absent for a pod on the node's own network. */
  readonly cni: { readonly pod: CniPod; readonly attachment: CniAttachment } | undefined;
}

export interface PodNode {
  readonly node: LabNode;
  readonly cniNode: CniNode;
}

/** @throws {@link CniError}, with nothing left behind. */
export async function attachPod(
  { node, cniNode }: PodNode,
  pod: Pod,
  signal: AbortSignal,
): Promise<PodNetwork> {
  if (pod.spec?.hostNetwork) {
    const { netnsPath: path } = cniNode;
    return { netns: openNetns(path), path, ips: [node.ip, node.ipv6], cni: undefined };
  }
  const pinName = `cni-${randomUUID()}`;
  const path = join(cniNode.folder.hostPath('/run/netns'), pinName);
  const netns = createNetns(path);
  const { name, namespace = 'default', uid = '' } = pod.metadata;
  const cniPod: CniPod = {
    containerId: pinName.replaceAll('-', ''),
    netnsPath: `/var/run/netns/${pinName}`,
    namespace,
    name,
    uid,
  };
  try {
    const attachment = await addToNetwork(cniNode, cniPod, signal);
    return { netns, path, ips: attachment.ips, cni: { pod: cniPod, attachment } };
  } catch (error) {
    netns.close();
    removeNetns(path);
    throw error;
  }
}

/** The namespace goes in any case. @throws {@link CniError} when a plugin did not do its part. */
export async function detachPod({ cniNode }: PodNode, { netns, path, cni }: PodNetwork): Promise<void> {
  try {
    if (cni) await removeFromNetwork(cniNode, cni.pod, cni.attachment);
  } finally {
    if (cni) removeNetns(path);
    netns.close();
  }
}
