/** Nodes as the API server knows them; for clusters that somebody else made. */
import { KubeClient } from '@ambit/kube/client';
import { nodes } from '@ambit/kube/resources/core';
import type { ClusterNode } from './provider.ts';

export async function nodesOf(kubeconfig: string): Promise<readonly ClusterNode[]> {
  using client = await KubeClient.load({ kubeconfigPath: kubeconfig });
  const { items } = await client.list(nodes);
  return items.map(({ metadata, status }) => ({
    name: metadata.name,
    addresses: (status?.addresses ?? [])
      .filter(({ type }) => type === 'InternalIP')
      .map(({ address }) => address),
  }));
}
