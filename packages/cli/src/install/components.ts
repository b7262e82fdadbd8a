/** The components of an installation: which object belongs to which, and the workload that makes it ready. */
import type { KubeObject } from '@ambit/kube/resource';

/** In the order in which they are upgraded: the control plane, then the node agent, then the node proxy. */
export const COMPONENTS = ['base', 'istiod', 'cni', 'ztunnel'] as const;
export type ComponentName = (typeof COMPONENTS)[number];

export interface Workload {
  readonly component: ComponentName;
  readonly kind: 'Deployment' | 'DaemonSet';
  readonly name: string;
}

/** What has to be ready before a mesh is. */
export const WORKLOADS: readonly Workload[] = [
  { component: 'istiod', kind: 'Deployment', name: 'istiod' },
  { component: 'cni', kind: 'DaemonSet', name: 'istio-cni-node' },
  { component: 'ztunnel', kind: 'DaemonSet', name: 'ztunnel' },
];

/** By name, as Istio's objects are named; what all of them need is the base. */
export function componentOf({ kind, metadata: { name } }: KubeObject): ComponentName {
  if (kind === 'Namespace' || kind === 'CustomResourceDefinition') return 'base';
  if (name.startsWith('istiod') || name.startsWith('istio-valid') || name === 'istio') return 'istiod';
  if (name.startsWith('istio-cni')) return 'cni';
  if (name.startsWith('ztunnel') || name.startsWith('istio-ztunnel')) return 'ztunnel';
  return 'base';
}
