/** What kind of cluster a node belongs to, by what its kubelet and its provider say; only where a setting depends on it. */
import type { Node } from '@ambit/kube/resources/core';
import { objectOf, textOf } from '../../json-value.ts';

export function platformOf(node: Node): string {
  const { metadata, spec, status } = node;
  const labels = metadata.labels ?? {};
  const kubelet = textOf(objectOf(objectOf(status)['nodeInfo'])['kubeletVersion']);
  const provider = textOf(objectOf(spec)['providerID']);
  if (kubelet.includes('+k3s'))
    return provider.startsWith('k3d') || /^k3d-/.test(metadata.name) ? 'k3d' : 'k3s';
  if (labels['microk8s.io/cluster'] === 'true') return 'microk8s';
  if (labels['minikube.k8s.io/name'] !== undefined) return 'minikube';
  if (labels['cloud.google.com/gke-nodepool'] !== undefined || kubelet.includes('-gke.')) return 'gke';
  return '';
}

/** Where CNI configurations are there. */
export function cniFolderOf(platform: string): string {
  if (platform === 'k3s' || platform === 'k3d') return '/var/lib/rancher/k3s/agent/etc/cni/net.d';
  return platform === 'microk8s' ? '/var/snap/microk8s/current/args/cni-network' : '/etc/cni/net.d';
}
