/** Where a destination's endpoints come from: a service of the mesh, or one workload by its own address. */
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
}

export interface ClusterSource {
  /** For messages. */
  readonly name: string;
  /** Of the service, or of the workload. */
  readonly port: number;
  /** The service that is called; for reports. */
  readonly hostname: string | undefined;
  /** Whose policies count. */
  readonly service: ServiceKey | undefined;
  /** Whether a change of the mesh may change the view. */
  concerns(change: MeshChange): boolean;
  /** It is gone for good. */
  readonly isGone: boolean;
  /** Made by what clients name: there may be any number of them, so it is forgotten when it is not used. */
  readonly isFleeting: boolean;
  read(destination: Destination, resolution: Resolution): ClusterView;
}

const NOTHING = { protocol: undefined, endpoints: [], distribution: undefined, chosen: undefined };

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

  concerns({ services }: MeshChange): boolean {
    return services.has(this.service);
  }

  get isGone(): boolean {
    return this.#mesh.serviceByKey(this.service) === undefined;
  }

  read(destination: Destination, resolution: Resolution): ClusterView {
    const service = this.#mesh.serviceByKey(this.service);
    if (!service?.ports.has(this.port)) {
      const problem = new UpstreamError('NC', 'cluster_not_found', `there is no ${this.name}`);
      return { ...NOTHING, problem };
    }
    const chosen =
      service.loadBalancer?.mode === 'Passthrough'
        ? (address: Address) => this.#factsOfChosen(service, address)
        : undefined;
    const { found, problem } = chosen
      ? { found: [], problem: undefined }
      : this.#endpoints(service, destination, resolution);
    return {
      problem,
      protocol: service.appProtocols.get(this.port),
      endpoints: found,
      distribution: service.loadBalancer,
      chosen,
    };
  }

  /** Those that can be reached from here; why none can, where that is for what this waypoint does not do. */
  #endpoints(service: Service, destination: Destination, resolution: Resolution): FoundEndpoints {
    const mesh = this.#mesh;
    const self = this.#self();
    const request = { service, port: this.port, source: self, mode: 'Standard' as const };
    const found: EndpointFacts[] = [];
    const hostnames = new Set<string>();
    let unreachable: string | undefined;
    for (const endpoint of mesh.endpointsOf(service.key)) {
      const workload = mesh.workloadByUid(endpoint.workloadUid);
      if (!workload || exclusionOf(workload, endpoint, request) !== undefined) continue;
      if (destination.workloads?.has(workload.uid) === false) continue;
      const port = targetPortOf(workload, endpoint, request);
      if (port === undefined) continue;
      const beyond = beyondReach(workload, self);
      if (beyond !== undefined) {
        unreachable = beyond;
        continue;
      }
      for (const ip of ipsOf(workload, service, resolution, hostnames))
        found.push(factsOf(workload, service, { ip, port }));
    }
    resolution.keepOnly(hostnames);
    if (unreachable === undefined || found.length > 0 || hostnames.size > 0)
      return { found, problem: undefined };
    const message = `no endpoint of ${this.name} can be reached: ${unreachable}`;
    return { found, problem: new UpstreamError('UH', 'no_healthy_upstream', message) };
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
}

/**
 * What keeps this waypoint from a workload. An address of another network may be somebody else's here, and a tunnel through
 * its gateway is ztunnel's affair alone. Names below a wildcard would be looked up for whoever sends a request.
 */
function beyondReach({ uid, network, hostname, addresses }: Workload, self: Workload): string | undefined {
  if (network !== self.network) return `${uid} is in network ${network || '""'}, and this waypoint is not`;
  if (addresses.length === 0 && hostname.startsWith('*'))
    return `names below ${hostname} are not looked up (resolution DYNAMIC_DNS)`;
  return undefined;
}

export class WorkloadSource implements ClusterSource {
  readonly name: string;
  readonly isFleeting = true;
  readonly hostname = undefined;
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
  resolution: Resolution,
  hostnames: Set<string>,
): readonly string[] {
  if (workload.addresses.length === 0 && workload.hostname !== '') {
    hostnames.add(workload.hostname);
    return resolution.addressesOf(workload.hostname);
  }
  const ip = chooseAddress(workload.addresses, service, '');
  return ip === undefined ? [] : [ip];
}
