/**
 * Where a destination's endpoints come from: a service of the mesh, one workload by its own address, or a name that a client
 * brought for a service whose names are looked up one by one.
 */
import type { Endpoint as Address } from '@ambit/core/ip';
import type { ServiceKey } from '@ambit/model/address';
import { identitiesOf } from '@ambit/model/decide/upstream';
import { chooseAddress, exclusionOf, targetPortOf } from '@ambit/model/load-balance';
import type { MeshChange, MeshStore } from '@ambit/model/store';
import type { AppProtocol, LoadBalancer, Service } from '@ambit/model/service';
import type { Workload } from '@ambit/model/workload';
import type { Destination } from '../resources/destination-policy.ts';
import type { EndpointFacts } from './endpoint.ts';
import { UpstreamError } from './errors.ts';
import type { Resolution } from './resolution.ts';

/** What mesh state says now. */
export interface ClusterView {
  /** Why nothing can be sent there. */
  readonly problem: UpstreamError | undefined;
  /** What is declared to be spoken. */
  readonly protocol: AppProtocol | undefined;
  readonly endpoints: readonly EndpointFacts[];
  /** What the service says of localities. */
  readonly distribution: LoadBalancer | undefined;
  /** The client's own choice is where the connection goes: only addresses of this service come here. */
  readonly chosen: ((address: Address) => EndpointFacts) | undefined;
  /** Clients bring names below this, and where each leads is looked up: a {@link NamedSource} has its endpoints. */
  readonly wildcard: string | undefined;
}

export interface ClusterSource {
  /** For messages. */
  readonly name: string;
  /** Of the service, or of the workload. */
  readonly port: number;
  /** The service that is called; for reports. */
  readonly hostname: string | undefined;
  /** By what name it is called: whom endpoints have to prove to be, where nothing else is said. */
  readonly calledName: string | undefined;
  /** Whose policies count. */
  readonly service: ServiceKey | undefined;
  /** Whether a change of the mesh may change the view. */
  concerns(change: MeshChange): boolean;
  /** It is gone for good. */
  readonly isGone: boolean;
  /** Made by what clients name: there may be any number of them, so it is forgotten when it is not used. */
  readonly isFleeting: boolean;
  read(destination: Destination, resolution: NameLookup): ClusterView;
}

export type NameLookup = Pick<Resolution, 'addressesOf' | 'knownOf' | 'keepOnly'>;

const NOTHING = {
  protocol: undefined,
  endpoints: [],
  distribution: undefined,
  chosen: undefined,
  wildcard: undefined,
};

export class ServiceSource implements ClusterSource {
  readonly name: string;
  readonly service: ServiceKey;
  readonly port: number;
  readonly isFleeting = false;
  readonly #mesh: MeshStore;
  readonly #self: () => Workload;

  /** @param self - This waypoint, as a client: localities are compared with its own. */
  constructor(mesh: MeshStore, self: () => Workload, key: ServiceKey, port: number) {
    this.name = `${key}:${port}`;
    this.#mesh = mesh;
    this.#self = self;
    this.service = key;
    this.port = port;
  }

  get hostname(): string | undefined {
    return this.#mesh.serviceByKey(this.service)?.hostname;
  }

  get calledName(): string | undefined {
    return this.hostname;
  }

  concerns({ services }: MeshChange): boolean {
    return services.has(this.service);
  }

  get isGone(): boolean {
    return this.#mesh.serviceByKey(this.service) === undefined;
  }

  read(destination: Destination, resolution: NameLookup): ClusterView {
    const service = this.#mesh.serviceByKey(this.service);
    if (!service?.ports.has(this.port)) {
      const problem = new UpstreamError('NC', 'cluster_not_found', `there is no ${this.name}`);
      return { ...NOTHING, problem };
    }
    const chosen =
      service.loadBalancer?.mode === 'Passthrough'
        ? (address: Address) => this.#factsOfChosen(service, address)
        : undefined;
    const { found, problem, wildcard } = chosen
      ? { found: [], problem: undefined, wildcard: undefined }
      : this.#endpoints(service, destination, resolution);
    return {
      problem,
      protocol: service.appProtocols.get(this.port),
      endpoints: found,
      distribution: service.loadBalancer,
      chosen,
      wildcard,
    };
  }

  /** Those that can be reached from here; why none can, where that is for what this waypoint does not do. */
  #endpoints(service: Service, destination: Destination, resolution: NameLookup): FoundEndpoints {
    const mesh = this.#mesh;
    const self = this.#self();
    const request = { service, port: this.port, source: self, mode: 'Standard' as const };
    const found: EndpointFacts[] = [];
    const hostnames = new Set<string>();
    let unreachable: string | undefined;
    let wildcard: string | undefined;
    for (const endpoint of mesh.endpointsOf(service.key)) {
      const workload = mesh.workloadByUid(endpoint.workloadUid);
      if (!workload || exclusionOf(workload, endpoint, request) !== undefined) continue;
      if (destination.workloads?.has(workload.uid) === false) continue;
      const port = targetPortOf(workload, endpoint, request);
      if (port === undefined) continue;
      if (workload.network !== self.network) {
        unreachable = beyondReach(workload);
        continue;
      }
      if (workload.addresses.length === 0 && workload.hostname.startsWith('*')) {
        wildcard = workload.hostname;
        continue;
      }
      for (const ip of ipsOf(workload, service, resolution, hostnames))
        found.push(factsOf(workload, service, { ip, port }));
    }
    resolution.keepOnly(hostnames);
    if (found.length > 0 || hostnames.size > 0) return { found, problem: undefined, wildcard: undefined };
    const message =
      wildcard !== undefined
        ? `nothing was asked for below ${wildcard}`
        : unreachable && `no endpoint of ${this.name} can be reached: ${unreachable}`;
    const problem =
      message === undefined ? undefined : new UpstreamError('UH', 'no_healthy_upstream', message);
    return { found, problem, wildcard };
  }

  /** In clear, unless mesh state knows who is there. */
  #factsOfChosen(service: Service, { ip, port }: Address): EndpointFacts {
    const workload = this.#mesh.workloadAt(this.#self().network, ip);
    const to = { ip, port: service.ports.get(this.port) || port };
    if (workload) return factsOf(workload, service, to);
    return { workload: undefined, to, tunnelled: false, identities: [], weight: 1 };
  }
}

interface FoundEndpoints {
  readonly found: readonly EndpointFacts[];
  readonly problem: UpstreamError | undefined;
  readonly wildcard: string | undefined;
}

/**
 * What keeps this waypoint from a workload of another network: an address of it may be somebody else's here, and a tunnel
 * through its gateway is ztunnel's affair alone.
 */
function beyondReach({ uid, network }: Workload): string {
  return `${uid} is in network ${network || '""'}, and this waypoint is not`;
}

/** Nothing is looked up: whether a service has other endpoints than names that clients bring. */
const NO_LOOKUP: NameLookup = { addressesOf: () => [], knownOf: () => [], keepOnly: () => undefined };

export interface OutsideAddresses {
  readonly mesh: MeshStore;
  readonly self: () => Workload;
  /** Whether an address is one that whoever has a name may lead this waypoint to. */
  readonly mayBeAsked: (ip: string) => boolean;
}

/**
 * A name that a client brought for a service whose names are looked up (ServiceEntry with resolution `DYNAMIC_DNS`).
 *
 * Whoever has the name decides what its addresses are. What this pod or its node alone can reach is not theirs to lead to,
 * nor what the mesh knows by that address: there are policies of its own in front of that. One such address, and the name
 * leads nowhere.
 *
 * Reading it asks nobody: a question is some client's, as whose it counts (`Cluster.lookUp`).
 */
export class NamedSource implements ClusterSource {
  readonly name: string;
  readonly calledName: string;
  readonly isFleeting = true;
  readonly #service: ServiceSource;
  readonly #outside: OutsideAddresses;

  constructor(service: ServiceSource, calledName: string, outside: OutsideAddresses) {
    this.name = `${calledName}:${service.port}`;
    this.calledName = calledName;
    this.#service = service;
    this.#outside = outside;
  }

  get port(): number {
    return this.#service.port;
  }

  get hostname(): string | undefined {
    return this.#service.hostname;
  }

  get service(): ServiceKey {
    return this.#service.service;
  }

  /** Whose an address is may change with any of the mesh. */
  concerns(): boolean {
    return true;
  }

  get isGone(): boolean {
    return this.#service.isGone;
  }

  read(destination: Destination, resolution: NameLookup): ClusterView {
    const service = this.#service.read(destination, NO_LOOKUP);
    if (service.wildcard === undefined) return { ...service, endpoints: [], chosen: undefined };
    const ips = resolution.knownOf(this.calledName);
    const view = { ...NOTHING, protocol: service.protocol };
    if (ips.length === 0) return { ...view, problem: this.#problem('dns_failure', 'has no address') };
    const wrong = ips.find((ip) => this.#keptFrom(ip) !== undefined);
    if (wrong !== undefined) {
      const why = `is at ${wrong}, ${this.#keptFrom(wrong)}`;
      return { ...view, problem: this.#problem('no_healthy_upstream', why) };
    }
    const { mesh } = this.#outside;
    const port = mesh.serviceByKey(this.service)?.ports.get(this.port) || this.port;
    const endpoints = ips.map((ip) => ({
      workload: undefined,
      to: { ip, port },
      tunnelled: false,
      identities: [],
      weight: 1,
    }));
    return { ...view, problem: undefined, endpoints };
  }

  #keptFrom(ip: string): string | undefined {
    const { mesh, self, mayBeAsked } = this.#outside;
    if (!mayBeAsked(ip)) return 'where no name may lead';
    const { network } = self();
    const known = mesh.workloadAt(network, ip)?.uid ?? mesh.serviceAt(network, ip, undefined);
    if (known === undefined) return undefined;
    if (typeof known === 'string') return `which the mesh knows as ${known}`;
    // A block of addresses may have anything in it.
    return known.vips.some((vip) => vip.ip === ip) ? `which the mesh knows as ${known.key}` : undefined;
  }

  #problem(reason: 'dns_failure' | 'no_healthy_upstream', why: string): UpstreamError {
    const flag = reason === 'dns_failure' ? 'DF' : 'UH';
    return new UpstreamError(flag, reason, `${this.calledName} ${why}`);
  }
}

export class WorkloadSource implements ClusterSource {
  readonly name: string;
  readonly isFleeting = true;
  readonly hostname = undefined;
  readonly calledName = undefined;
  readonly service = undefined;
  readonly port: number;
  readonly #mesh: MeshStore;
  readonly #uid: string;
  readonly #to: Address;
  readonly #protocol: AppProtocol | undefined;

  constructor(mesh: MeshStore, uid: string, to: Address, protocol: AppProtocol | undefined) {
    this.name = `${uid}:${to.port}`;
    this.#mesh = mesh;
    this.#uid = uid;
    this.#to = to;
    this.port = to.port;
    this.#protocol = protocol;
  }

  concerns({ workloads }: MeshChange): boolean {
    return workloads.has(this.#uid);
  }

  get isGone(): boolean {
    return this.#mesh.workloadByUid(this.#uid) === undefined;
  }

  read(): ClusterView {
    const workload = this.#mesh.workloadByUid(this.#uid);
    if (!workload) {
      const problem = new UpstreamError('UH', 'no_healthy_upstream', `there is no workload ${this.#uid}`);
      return { ...NOTHING, problem };
    }
    return {
      ...NOTHING,
      problem: undefined,
      protocol: this.#protocol,
      endpoints: [factsOf(workload, undefined, this.#to)],
    };
  }
}

function factsOf(workload: Workload, service: Service | undefined, to: Address): EndpointFacts {
  const tunnelled = workload.protocol === 'HBONE';
  const upstream = { workload, service, port: to.port, targetIp: to.ip };
  return {
    workload,
    to,
    tunnelled,
    identities: tunnelled ? identitiesOf(upstream) : [],
    weight: workload.capacity,
  };
}

/** One of its own addresses, or all that its name has: several machines may be behind a name. */
function ipsOf(
  workload: Workload,
  service: Service,
  resolution: NameLookup,
  hostnames: Set<string>,
): readonly string[] {
  if (workload.addresses.length === 0 && workload.hostname !== '') {
    hostnames.add(workload.hostname);
    return resolution.addressesOf(workload.hostname);
  }
  const ip = chooseAddress(workload.addresses, service, '');
  return ip === undefined ? [] : [ip];
}
