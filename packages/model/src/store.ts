/**
 * All workloads, services and policies that this process knows, indexed for the questions of {@link MeshView}.
 *
 * Changes come in batches; readers see a batch whole, because applying one is synchronous. Order does not matter: a
 * workload's endpoints are kept whether or not its service has arrived, and appear with it.
 */
import { type Watch, Watched } from '@ambit/core/watch';
import { type ServiceKey, splitServiceKey } from './address.ts';
import { expectedWorkload } from './decide/expected-workload.ts';
import type { MeshView, WorkloadPolicies } from './mesh.ts';
import { EndpointIndex } from './index/endpoints.ts';
import { PolicyIndex } from './index/policies.ts';
import { ServiceIndex } from './index/services.ts';
import { WorkloadIndex } from './index/workloads.ts';
import type { Policy, UnreadablePolicy } from './policy.ts';
import type { Service, ServiceEndpoint } from './service.ts';
import type { LocalPod, Workload } from './workload.ts';

/** One batch. Removals are applied before upserts. */
export interface MeshDelta {
  readonly workloads?: readonly Workload[];
  readonly services?: readonly Service[];
  readonly policies?: readonly Policy[];
  /** Sent, and not to be read. One whose last readable version is held is kept as it was. */
  readonly unreadablePolicies?: readonly UnreadablePolicy[];
  /** Endpoints that a file gives to a service directly; those of workloads come with the workloads. */
  readonly endpoints?: readonly (ServiceEndpoint & { readonly service: ServiceKey })[];
  /** Names of address resources: a workload's uid, or a service's `namespace/hostname`. Unknown ones are ignored. */
  readonly removedAddresses?: readonly string[];
  readonly removedPolicies?: readonly string[];
}

/** What a batch touched, so that a reader re-decides only what may have changed. */
export interface MeshChange {
  readonly version: number;
  /** Whether any policy changed: every verdict may have. */
  readonly policies: boolean;
  /** uids of workloads that came, changed or went. */
  readonly workloads: ReadonlySet<string>;
  /** Keys of services that came, changed or went, or whose endpoints may have. */
  readonly services: ReadonlySet<ServiceKey>;
}

interface Touched {
  readonly workloads: Set<string>;
  readonly services: Set<ServiceKey>;
}

export interface MeshStoreOptions {
  /** Only workloads of this node are found by {@link MeshView.localWorkload}; empty: all of them. */
  readonly nodeName: string;
}

export class MeshStore implements MeshView {
  readonly #workloads: WorkloadIndex;
  readonly #services = new ServiceIndex();
  readonly #endpoints = new EndpointIndex();
  readonly #policies = new PolicyIndex();
  readonly #changes = new Watched<MeshChange>({
    version: 0,
    policies: false,
    workloads: new Set(),
    services: new Set(),
  });
  #complete = false;

  constructor(options: MeshStoreOptions) {
    this.#workloads = new WorkloadIndex(options.nodeName);
  }

  get version(): number {
    return this.#changes.value.version;
  }

  /** The last batch; listeners are called after each, when all of it can be seen. */
  get changes(): Watch<MeshChange> {
    return this.#changes;
  }

  apply(delta: MeshDelta): MeshChange {
    const touched: Touched = { workloads: new Set(), services: new Set() };
    for (const name of delta.removedAddresses ?? []) this.#removeAddress(name, touched);
    for (const key of delta.removedPolicies ?? []) this.#policies.remove(key);
    for (const workload of delta.workloads ?? []) this.#insertWorkload(workload, touched);
    for (const service of delta.services ?? []) {
      this.#services.insert(service);
      touched.services.add(service.key);
    }
    for (const { service, workloadUid, ...ports } of delta.endpoints ?? []) {
      this.#endpoints.insert(service, workloadUid, ports);
      touched.services.add(service);
    }
    for (const policy of delta.policies ?? []) this.#policies.insert(policy);
    for (const policy of delta.unreadablePolicies ?? []) this.#policies.note(policy);
    const policies = [delta.policies, delta.unreadablePolicies, delta.removedPolicies].some(
      (some) => (some?.length ?? 0) > 0,
    );
    const change = { version: this.version + 1, policies, ...touched };
    this.#changes.set(change);
    return change;
  }

  workloadByUid(uid: string): Workload | undefined {
    return this.#workloads.byUid.get(uid);
  }

  workloadAt(network: string, ip: string): Workload | undefined {
    return this.#workloads.at(network, ip);
  }

  localWorkload(pod: LocalPod): Workload | undefined {
    return this.#workloads.local(pod);
  }

  /** From now on, what is not here is not known to the control plane either. */
  complete(): void {
    this.#complete = true;
  }

  /**
   * What a pod of this node is taken for that {@link localWorkload} does not know yet. Nothing before the mesh is complete:
   * whoever does not know the destinations would let everything pass in clear.
   */
  expectedWorkload(pod: LocalPod): Workload | undefined {
    const neighbour = this.#complete ? this.#workloads.anyLocal() : undefined;
    return neighbour && expectedWorkload(pod, neighbour);
  }

  serviceByKey(key: ServiceKey): Service | undefined {
    return this.#services.byKey.get(key);
  }

  serviceAt(network: string, ip: string, clientNamespace: string | undefined): Service | undefined {
    return this.#services.at(network, ip, clientNamespace);
  }

  servicesByHostname(hostname: string): readonly Service[] {
    return this.#services.named(hostname);
  }

  findHostname(key: ServiceKey): Service | Workload | undefined {
    const service = this.#services.byKey.get(key);
    if (service) return service;
    const parts = splitServiceKey(key);
    return parts && this.#workloads.named(parts.namespace, parts.hostname);
  }

  *endpointsOf(key: ServiceKey): Generator<ServiceEndpoint> {
    const service = this.#services.byKey.get(key);
    if (service) yield* this.#endpoints.accepted(service);
  }

  endpointOf(key: ServiceKey, workloadUid: string): ServiceEndpoint | undefined {
    const service = this.#services.byKey.get(key);
    return service && this.#endpoints.acceptedOf(service, workloadUid);
  }

  policyByKey(key: string): Policy | undefined {
    return this.#policies.byKey.get(key);
  }

  policiesFor(workload: Workload): WorkloadPolicies {
    return this.#policies.for(workload);
  }

  workloads(): Iterable<Workload> {
    return this.#workloads.byUid.values();
  }

  services(): Iterable<Service> {
    return this.#services.byKey.values();
  }

  policies(): Iterable<Policy> {
    return this.#policies.byKey.values();
  }

  /** Endpoints of services that have not arrived. */
  *stagedEndpoints(): Generator<readonly [ServiceKey, readonly ServiceEndpoint[]]> {
    for (const key of this.#endpoints.keys()) {
      if (!this.#services.byKey.has(key)) yield [key, [...this.#endpoints.offered(key)]];
    }
  }

  #insertWorkload(workload: Workload, touched: Touched): void {
    const previous = this.#workloads.byUid.get(workload.uid);
    if (previous) this.#dropWorkload(previous, touched);
    this.#workloads.insert(workload);
    for (const { service, ports } of workload.services) {
      this.#endpoints.insert(service, workload.uid, { ports, status: workload.status });
      touched.services.add(service);
    }
    touched.workloads.add(workload.uid);
  }

  #dropWorkload(workload: Workload, touched: Touched): void {
    this.#workloads.remove(workload);
    touched.workloads.add(workload.uid);
    for (const { service } of workload.services) {
      this.#endpoints.remove(service, workload.uid);
      touched.services.add(service);
    }
  }

  #removeAddress(name: string, touched: Touched): void {
    const workload = this.#workloads.byUid.get(name);
    if (workload) {
      this.#dropWorkload(workload, touched);
      return;
    }
    if (!splitServiceKey(name)) return;
    const key = name as ServiceKey;
    this.#services.remove(key);
    touched.services.add(key);
  }
}
