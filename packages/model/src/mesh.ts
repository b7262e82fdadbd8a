/**
 * The questions that decisions ask of the mesh. `MeshStore` (store.ts) answers them; so may a test.
 *
 * A view is consistent between two synchronous calls: changes are applied as one batch, and `version` grows with each.
 */
import type { ServiceKey } from './address.ts';
import type { Policy } from './policy.ts';
import type { Service, ServiceEndpoint } from './service.ts';
import type { LocalPod, Workload } from './workload.ts';

/** The policies that bind one workload, in the order in which they are considered. */
export interface WorkloadPolicies {
  readonly policies: readonly Policy[];
  /** Keys that the workload names and the mesh does not have (yet), and of policies that bind it and cannot be read. */
  readonly missing: readonly string[];
}

export interface MeshView {
  /** Grows with every batch of changes. */
  readonly version: number;

  workloadByUid(uid: string): Workload | undefined;
  /** The workload that owns an address; pods and meshed ones win over others. Host-network pods own none. */
  workloadAt(network: string, ip: string): Workload | undefined;
  /** The workload of a pod on this node. */
  localWorkload(pod: LocalPod): Workload | undefined;

  serviceByKey(key: ServiceKey): Service | undefined;
  /** The service at a VIP, or else at a CIDR VIP, as a client of `clientNamespace` sees it. */
  serviceAt(network: string, ip: string, clientNamespace: string | undefined): Service | undefined;
  /** All services of a hostname, in any namespace, in the order of arrival. */
  servicesByHostname(hostname: string): readonly Service[];
  /** A service by `namespace/hostname`, or else a workload of that namespace with that hostname. */
  findHostname(key: ServiceKey): Service | Workload | undefined;
  /** Every accepted endpoint, also of workloads that are not known. */
  endpointsOf(key: ServiceKey): Iterable<ServiceEndpoint>;
  endpointOf(key: ServiceKey, workloadUid: string): ServiceEndpoint | undefined;

  policyByKey(key: string): Policy | undefined;
  policiesFor(workload: Workload): WorkloadPolicies;
}

/** Tells the two answers of {@link MeshView.findHostname} apart. */
export function isService(found: Service | Workload): found is Service {
  return 'vips' in found;
}
