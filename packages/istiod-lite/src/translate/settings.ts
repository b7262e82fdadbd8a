/** What the translation of every kind depends on besides the object itself; fixed while the process lives. */
import type { PolicySettings } from './authorization-policy.ts';

export interface MeshSettings extends PolicySettings {
  readonly clusterId: string;
  readonly trustDomain: string;
  /** `cluster.local`: what service names end with. */
  readonly domain: string;
  /** Where the control plane lives; its namespace's label names the network. */
  readonly systemNamespace: string;
  /** Whether workloads let their waypoints through, whatever else they allow. Default: they do not. */
  readonly autoAllowWaypoints?: boolean;
  /** Whether ServiceEntries that name no address get one. */
  readonly ipAutoallocate: boolean;
  /** Whether the selector of a ServiceEntry selects pods, not only WorkloadEntries. */
  readonly serviceEntriesSelectPods: boolean;
  /** Whether the selector of a Service selects WorkloadEntries, not only pods. */
  readonly servicesSelectWorkloadEntries: boolean;
}

/** Elided on the wire. */
const DEFAULT_TRUST_DOMAIN = 'cluster.local';

export function wireTrustDomain({ trustDomain }: MeshSettings): string {
  return trustDomain === DEFAULT_TRUST_DOMAIN ? '' : trustDomain;
}

export const NETWORK_LABEL = 'topology.istio.io/network';
