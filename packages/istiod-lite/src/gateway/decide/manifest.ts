/** The objects that a waypoint consists of, as they are applied. */
import type { KubeObject, ObjectMeta, Resource } from '@ambit/kube/resource';
import { deployments, serviceAccounts, services } from '@ambit/kube/resources/core';
import { horizontalPodAutoscalers, podDisruptionBudgets } from '@ambit/kube/resources/scaling';

/** A whole object. Below metadata it is what Kubernetes says it is; nobody here reads it. */
export interface Manifest extends KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** Names of the parts, as overlays spell them, in the order in which they are applied. */
export const PARTS = [
  'serviceAccount',
  'service',
  'deployment',
  'horizontalPodAutoscaler',
  'podDisruptionBudget',
] as const;
export type Part = (typeof PARTS)[number];

/** The last two are there unless somebody does not want them. */
export type WaypointObjects = Readonly<Record<'serviceAccount' | 'service' | 'deployment', Manifest>> &
  Readonly<Record<'horizontalPodAutoscaler' | 'podDisruptionBudget', Manifest | undefined>>;

export const RESOURCE_OF: Readonly<Record<Part, Resource>> = {
  serviceAccount: serviceAccounts,
  service: services,
  deployment: deployments,
  horizontalPodAutoscaler: horizontalPodAutoscalers,
  podDisruptionBudget: podDisruptionBudgets,
};

export const GATEWAY_NAME_LABEL = 'gateway.networking.k8s.io/gateway-name';
export const MANAGED_LABEL = 'gateway.istio.io/managed';
/** Controller `istio.io/mesh-controller`, as a label's value. */
export const MANAGED_BY_US = 'istio.io-mesh-controller';

const GATEWAY_GROUP = 'gateway.networking.k8s.io/';

/**
 * Whether an object is of the Gateway called `gateway` and was made by a controller of waypoints, ours or Istio's. The API
 * server holds us to the same: deploy/charts/ambit/templates/istiod/admission-policy.yaml.
 */
export function isManagedFor({ labels, ownerReferences = [] }: ObjectMeta, gateway: string): boolean {
  return (
    labels?.[MANAGED_LABEL] === MANAGED_BY_US &&
    labels[GATEWAY_NAME_LABEL] === gateway &&
    ownerReferences.some(
      ({ apiVersion, kind, name }) =>
        kind === 'Gateway' && name === gateway && apiVersion.startsWith(GATEWAY_GROUP),
    )
  );
}

/** `Deployment shop/waypoint`, for people. */
export function titleOf({ kind, metadata }: Manifest): string {
  return `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
}
