/** Nodes as the API server knows them; for clusters whose nodes are somebody else's work. */
import { KubeClient } from '@ambit/kube/client';
import { type Node, nodes } from '@ambit/kube/resources/core';
import type { ClusterNode } from './provider.ts';

/** Those that take pods: a control plane of its own is none of them. */
export async function nodesOf(kubeconfig: string): Promise<readonly ClusterNode[]> {
  using client = await KubeClient.load({ kubeconfigPath: kubeconfig });
  const { items } = await client.list(nodes);
  return items.filter(takesPods).map(({ metadata, status }) => ({
    name: metadata.name,
    addresses: (status?.addresses ?? [])
      .filter(({ type }) => type === 'InternalIP')
      .map(({ address }) => address),
  }));
}

/** Whether the scheduler puts pods there that tolerate nothing. */
export function takesPods({ spec }: Pick<Node, 'spec'>): boolean {
  return spec?.unschedulable !== true && !(spec?.taints ?? []).some(keepsPodsOut);
}

const keepsPodsOut = ({ effect }: { readonly effect?: string }) =>
  effect === 'NoSchedule' || effect === 'NoExecute';
