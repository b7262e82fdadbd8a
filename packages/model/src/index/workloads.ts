/** Workloads by uid, by address, by hostname and, for those of this node, by the pod that they are. */
import type { LocalPod, Workload } from '../workload.ts';
import { AddressMap } from './address-map.ts';
import type { Rolls } from './rolls.ts';

export class WorkloadIndex {
  /** But for those in rolls, which have no hostname and are not of this node. */
  readonly byUid = new Map<string, Workload>();
  readonly #byAddress = new AddressMap<Workload>();
  /** Namespace → hostname. */
  readonly #byHostname = new AddressMap<Workload>();
  readonly #byPod = new Map<string, readonly Workload[]>();
  readonly #nodeName: string;
  readonly #rolls: Rolls;

  constructor(nodeName: string, rolls: Rolls) {
    this.#nodeName = nodeName;
    this.#rolls = rolls;
  }

  get(uid: string): Workload | undefined {
    return this.byUid.get(uid) ?? this.#rolls.get(uid);
  }

  /** Those that are decoded come first: among them are all of this node, which is whom most look for. */
  *values(): Generator<Workload> {
    yield* this.byUid.values();
    yield* this.#rolls.values();
  }

  /** The caller has removed what had this uid before. */
  insert(workload: Workload): void {
    this.byUid.set(workload.uid, workload);
    if (workload.networkMode === 'Standard') {
      for (const ip of workload.addresses) this.#byAddress.add(workload.network, ip, workload);
    }
    if (workload.hostname !== '') this.#byHostname.add(workload.namespace, workload.hostname, workload);
    if (this.isLocal(workload)) {
      const key = podKey(workload);
      this.#byPod.set(key, [...(this.#byPod.get(key) ?? []), workload]);
    }
  }

  remove(workload: Workload): void {
    this.byUid.delete(workload.uid);
    for (const ip of workload.addresses) this.#byAddress.remove(workload.network, ip, workload);
    if (workload.hostname !== '') this.#byHostname.remove(workload.namespace, workload.hostname, workload);
    const key = podKey(workload);
    const left = this.#byPod.get(key)?.filter((other) => other !== workload) ?? [];
    if (left.length > 0) this.#byPod.set(key, left);
    else this.#byPod.delete(key);
  }

  at(network: string, ip: string): Workload | undefined {
    return bestOf([...this.#rolls.at(network, ip), ...this.#byAddress.get(network, ip)]);
  }

  /** The first that came with this hostname. */
  named(namespace: string, hostname: string): Workload | undefined {
    return this.#byHostname.get(namespace, hostname)[0];
  }

  local(pod: LocalPod): Workload | undefined {
    return bestOf(this.#byPod.get(podKey(pod)) ?? []);
  }

  /** Some workload of this node; none where the node is not known. */
  anyLocal(): Workload | undefined {
    if (this.#nodeName === '') return undefined;
    for (const [first] of this.#byPod.values()) return first;
    return undefined;
  }

  /** Of this node, as far as that is known. */
  isLocal(workload: Workload): boolean {
    return this.#nodeName === '' || workload.node === this.#nodeName;
  }
}

function podKey({ namespace, name, serviceAccount }: LocalPod): string {
  return `${namespace}/${name}/${serviceAccount}`;
}

/** Pods win over other kinds, then meshed over plain; among equals the one that came last. */
function bestOf(workloads: readonly Workload[]): Workload | undefined {
  let best = workloads[0];
  for (const workload of workloads)
    if (best !== undefined && rankOf(workload) >= rankOf(best)) best = workload;
  return best;
}

function rankOf(workload: Workload): number {
  return (workload.uid.includes('//Pod/') ? 2 : 0) + (workload.protocol === 'HBONE' ? 1 : 0);
}
