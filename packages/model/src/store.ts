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
import { Rolls } from './index/rolls.ts';
import { ServiceIndex } from './index/services.ts';
import { WorkloadIndex } from './index/workloads.ts';
import { MIN_ROLL } from './limits.ts';
import type { Policy, UnreadablePolicy } from './policy.ts';
import type { Roll } from './roll/roll.ts';
import type { Service, ServiceEndpoint } from './service.ts';
import type { LocalPod, Workload } from './workload.ts';

/** One batch. Removals are applied before upserts. */
export interface MeshDelta {
  /** Of workloads, none of this node; before `workloads`. It belongs to the mesh from then on. */
  readonly roll?: Roll;
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

/** A batch that is all values: what a local file says. */
export type LocalMesh = Required<Omit<MeshDelta, 'roll'>>;

/** What a batch touched, so that a reader re-decides only what may have changed. */
export interface MeshChange {
  readonly version: number;
  /** Whether any policy changed: every verdict may have. */
  readonly policies: boolean;
  /** uids of workloads that came, changed or went. */
  readonly workloads: Pick<ReadonlySet<string>, 'has'>;
  /** Those of them that are of this node, or were. */
  readonly localWorkloads: ReadonlySet<string>;
  /** Keys of services that came, changed or went, or whose endpoints may have. */
  readonly services: ReadonlySet<ServiceKey>;
}

interface Touched {
  readonly workloads: Set<string>;
  readonly localWorkloads: Set<string>;
  readonly services: Set<ServiceKey>;
}

export interface MeshStoreOptions {
  /** Only workloads of this node are found by {@link MeshView.localWorkload}; empty: all of them. */
  readonly nodeName: string;
}

export class MeshStore implements MeshView {
  readonly #rolls = new Rolls();
  readonly #workloads: WorkloadIndex;
  readonly #services = new ServiceIndex();
  readonly #endpoints = new EndpointIndex(this.#rolls);
  readonly #policies = new PolicyIndex();
  readonly #changes = new Watched<MeshChange>({
    version: 0,
    policies: false,
    workloads: new Set(),
    localWorkloads: new Set(),
    services: new Set(),
  });
  #complete = false;

  constructor(options: MeshStoreOptions) {
    this.#workloads = new WorkloadIndex(options.nodeName, this.#rolls);
  }

  get version(): number {
    return this.#changes.value.version;
  }

  /** The last batch; listeners are called after each, when all of it can be seen. */
  get changes(): Watch<MeshChange> {
    return this.#changes;
  }

  apply(delta: MeshDelta): MeshChange {
    const touched: Touched = { workloads: new Set(), localWorkloads: new Set(), services: new Set() };
    this.#removeAddresses(delta.removedAddresses ?? [], touched);
    for (const key of delta.removedPolicies ?? []) this.#policies.remove(key);
    if (delta.roll) this.#insertRoll(delta.roll, touched);
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
    const { roll } = delta;
    const workloads = roll
      ? { has: (uid: string) => touched.workloads.has(uid) || roll.has(uid) }
      : touched.workloads;
    const change = { version: this.version + 1, policies, ...touched, workloads };
    this.#changes.set(change);
    return change;
  }

  workloadByUid(uid: string): Workload | undefined {
    return this.#workloads.get(uid);
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
    if (service) yield* this.#endpoints.accepted(service, true);
  }

  /** The same for pages, which show everything: what is decoded for it is not kept. */
  *shownEndpointsOf(key: ServiceKey): Generator<ServiceEndpoint> {
    const service = this.#services.byKey.get(key);
    if (service) yield* this.#endpoints.accepted(service, false);
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
    return this.#workloads.values();
  }

  services(): Iterable<Service> {
    return this.#services.byKey.values();
  }

  policies(): Iterable<Policy> {
    return this.#policies.byKey.values();
  }

  /** Endpoints of services that have not arrived; for pages, too. */
  *stagedEndpoints(): Generator<readonly [ServiceKey, readonly ServiceEndpoint[]]> {
    for (const key of this.#endpoints.keys()) {
      if (this.#services.byKey.has(key)) continue;
      const offered = [...this.#endpoints.offered(key, false)];
      if (offered.length > 0) yield [key, offered];
    }
  }

  #insertWorkload(workload: Workload, touched: Touched): void {
    this.#removeWorkload(workload.uid, touched);
    this.#workloads.insert(workload);
    for (const { service, ports } of workload.services) {
      this.#endpoints.insert(service, workload.uid, { ports, status: workload.status });
    }
    this.#touch(workload, touched);
  }

  /** What is held of the same workloads is older. */
  #insertRoll(roll: Roll, touched: Touched): void {
    for (const uid of [...this.#workloads.byUid.keys()])
      if (roll.has(uid)) this.#removeWorkload(uid, touched);
    for (const service of this.#rolls.removeAllOf(roll)) touched.services.add(service);
    for (const service of roll.services()) touched.services.add(service);
    const contested = this.#rolls.isFull ? undefined : this.#contested(roll);
    const apart = contested?.size === 0 ? [] : [...roll.uids()].filter((uid) => contested?.has(uid) ?? true);
    const workloads = apart.map((uid) => roll.remove(uid)).filter((workload) => workload !== undefined);
    if (roll.size > 0) this.#rolls.add(roll);
    for (const workload of workloads) this.#insertWorkload(workload, touched);
  }

  /**
   * Those with an address that another one has which is held already, and those with an address of theirs: who came last
   * counts there, and what is in a roll counts as older than what is not.
   */
  #contested(roll: Roll): ReadonlySet<string> {
    const found = new Set<string>();
    const owners = [...this.#workloads.byUid.values()];
    for (let owner = owners.pop(); owner; owner = owners.pop()) {
      const { network, addresses } = owner;
      for (const other of addresses.flatMap((ip) => roll.at(network, ip))) {
        if (found.has(other.uid)) continue;
        found.add(other.uid);
        owners.push(other);
      }
    }
    return found;
  }

  /** Whether there was one. */
  #removeWorkload(uid: string, touched: Touched): boolean {
    const workload = this.#workloads.byUid.get(uid);
    const removed = workload ?? this.#rolls.remove(uid);
    if (workload) {
      this.#workloads.remove(workload);
      for (const { service } of workload.services) this.#endpoints.remove(service, uid);
    }
    if (removed) this.#touch(removed, touched);
    return removed !== undefined;
  }

  #touch(workload: Workload, touched: Touched): void {
    touched.workloads.add(workload.uid);
    if (this.#workloads.isLocal(workload)) touched.localWorkloads.add(workload.uid);
    for (const { service } of workload.services) touched.services.add(service);
  }

  /** Many at once leave rolls as they are: one decoded after the other, they would hold this thread up. */
  #removeAddresses(names: readonly string[], touched: Touched): void {
    const undecoded = new Set(names.length < MIN_ROLL ? [] : names.filter((name) => this.#rolls.has(name)));
    if (undecoded.size > 0)
      for (const service of this.#rolls.removeAllOf(undecoded)) touched.services.add(service);
    for (const uid of undecoded) touched.workloads.add(uid);
    for (const name of names) if (!undecoded.has(name)) this.#removeAddress(name, touched);
  }

  #removeAddress(name: string, touched: Touched): void {
    if (this.#removeWorkload(name, touched) || !splitServiceKey(name)) return;
    const key = name as ServiceKey;
    this.#services.remove(key);
    touched.services.add(key);
  }
}
