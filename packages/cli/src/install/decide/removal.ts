/**
 * What goes and what stays when a mesh is uninstalled, and in which order.
 *
 * Kinds and the authority's key stay unless they are named: with a kind go all policies of it, and with the key every
 * identity, so that neither is taken by the way.
 */
import type { KubeObject, Resource } from '@ambit/kube/resource';
import { orderOf } from '../kinds.ts';
import type { ComponentName } from '../components.ts';

export interface Removal {
  readonly resource: Resource;
  readonly component: ComponentName;
  readonly object: KubeObject;
  readonly title: string;
}

export interface RemovalOptions {
  /** Remove the resource kinds. */
  readonly crds: boolean;
  /** Remove the authority's key and the namespace. */
  readonly purge: boolean;
}

export interface Removals {
  readonly removed: readonly Removal[];
  readonly kept: readonly { readonly title: string; readonly reason: string }[];
}

export function removalOrder(all: readonly Removal[], options: RemovalOptions): Removals {
  const reasons = all.map((one) => ({ one, reason: reasonToKeep(one, options) }));
  return {
    removed: reasons
      .filter(({ reason }) => reason === undefined)
      .map(({ one }) => one)
      .toSorted((a, b) => rankOf(a) - rankOf(b)),
    kept: reasons.flatMap(({ one, reason }) => (reason === undefined ? [] : [{ title: one.title, reason }])),
  };
}

function reasonToKeep({ resource, object }: Removal, { crds, purge }: RemovalOptions): string | undefined {
  const { kind } = resource;
  if (kind === 'CustomResourceDefinition' && !crds)
    return 'with it would go every object of its kind; --crds removes it';
  if (kind === 'Namespace' && !purge) return '--purge removes it';
  if (kind === 'Secret' && object.metadata.name === 'istio-ca-secret' && !purge)
    return "the certificate authority's key, thus every identity; --purge removes it";
  return undefined;
}

/** Admission first, since nobody will answer it; then agent, proxy, control plane; then the rest, backwards. */
function rankOf({ resource, component }: Removal): number {
  if (resource.group === 'admissionregistration.k8s.io') return 0;
  if (resource.group === 'apps') return { cni: 1, ztunnel: 2, istiod: 3, base: 4 }[component];
  return LAST - orderOf(resource);
}

const LAST = 1_000;
