/**
 * What a client that opened a tunnel here wants to reach, and whether this waypoint serves it.
 *
 * Only VIPs of services and addresses of workloads that the control plane bound to this waypoint are served, services on
 * the ports that they list. Everything else is refused, this waypoint's own address first of all: whoever could reach it
 * through a tunnel would reach its admin pages.
 */
import { type Endpoint, isLoopback, parseHostPort } from '@ambit/core/ip';
import type { GatewayAddress, ServiceKey } from '@ambit/model/address';
import type { MeshView } from '@ambit/model/mesh';
import type { AppProtocol, Service } from '@ambit/model/service';
import type { Workload } from '@ambit/model/workload';

/** Which waypoint this is. */
export interface WaypointIdentity {
  /** Its own Service. */
  readonly service: ServiceKey;
  readonly workloadUid: string;
  readonly ip: string;
  readonly network: string;
}

export interface DestinationRequest {
  /** `:authority` as received. */
  readonly authority: string;
  /** Of the client, as it proved it: a service may hide from other namespaces. */
  readonly clientNamespace: string | undefined;
}

export interface ServiceDestination {
  readonly kind: 'service';
  readonly service: Service;
  /** Of the service. */
  readonly port: number;
  /** As the client named it. */
  readonly address: Endpoint;
  /** `undefined`: to be found out. */
  readonly protocol: AppProtocol | undefined;
}

export interface WorkloadDestination {
  readonly kind: 'workload';
  readonly workload: Workload;
  readonly port: number;
  readonly address: Endpoint;
  readonly protocol: AppProtocol | undefined;
}

export type Destination = ServiceDestination | WorkloadDestination;

export interface DestinationRefusal {
  readonly kind: 'refuse';
  readonly status: 400 | 404;
  readonly reason: 'bad-authority' | 'host-name' | 'own-address' | 'not-attached' | 'unknown-port';
  readonly message: string;
  /** The control plane may be about to tell us what the client knows already. */
  readonly mayCome: boolean;
}

export function decideDestination(
  mesh: MeshView,
  self: WaypointIdentity,
  { authority, clientNamespace }: DestinationRequest,
): Destination | DestinationRefusal {
  const address = parseHostPort(authority);
  if (!address || address.port === 0) {
    return /^(?![0-9.]+:)[A-Za-z0-9_*.-]{1,253}:[0-9]{1,5}$/.test(authority)
      ? refuse(400, 'host-name', 'names of hosts are for other networks: want ip:port', false)
      : refuse(400, 'bad-authority', 'not an ip:port', false);
  }
  const { ip, port } = address;
  if (ip === self.ip || isLoopback(ip)) {
    return refuse(404, 'own-address', `${authority} is this waypoint itself`, false);
  }
  const service = mesh.serviceAt(self.network, ip, clientNamespace);
  if (service && isAttached(mesh, self, service)) {
    if (!service.ports.has(port))
      return refuse(404, 'unknown-port', `${service.key} has no port ${port}`, true);
    return { kind: 'service', service, port, address, protocol: service.appProtocols.get(port) };
  }
  const workload = mesh.workloadAt(self.network, ip);
  if (workload?.uid === self.workloadUid)
    return refuse(404, 'own-address', `${authority} is this waypoint itself`, false);
  if (workload?.waypoint && isOwn(mesh, self, workload.waypoint)) {
    return {
      kind: 'workload',
      workload,
      port,
      address,
      protocol: protocolAtWorkload(mesh, workload, port),
    };
  }
  const what = service?.key ?? workload?.uid ?? ip;
  return refuse(404, 'not-attached', `${what} does not use this waypoint`, true);
}

/** Whether any of the service's waypoints, canaries too, is this one. */
export function isAttached(mesh: MeshView, self: WaypointIdentity, service: Service): boolean {
  if (service.waypoint && isOwn(mesh, self, service.waypoint)) return true;
  return service.weightedWaypoints.some(({ destination }) => isOwn(mesh, self, destination));
}

/** Whether a waypoint's address is this one's: its Service by name or VIP, a Service that this pod is behind, or the pod. */
export function isOwn(mesh: MeshView, self: WaypointIdentity, { destination }: GatewayAddress): boolean {
  if (destination.kind === 'hostname') return isOwnService(mesh, self, destination.service);
  const { network, ip } = destination.address;
  if (network === self.network && ip === self.ip) return true;
  const service = mesh.serviceAt(network, ip, undefined);
  return service !== undefined && isOwnService(mesh, self, service.key);
}

function isOwnService(mesh: MeshView, self: WaypointIdentity, key: ServiceKey): boolean {
  if (key === self.service) return true;
  const own = mesh.workloadByUid(self.workloadUid);
  return own?.services.some(({ service }) => service === key) ?? false;
}

/** What a service of the workload says of the port, if one has it as its target. */
function protocolAtWorkload(mesh: MeshView, workload: Workload, port: number): AppProtocol | undefined {
  for (const { service: key, ports } of workload.services) {
    const service = mesh.serviceByKey(key);
    for (const [servicePort, declared] of service?.ports ?? []) {
      const target = ports.get(servicePort) ?? declared;
      const protocol = service?.appProtocols.get(servicePort);
      if (target === port && protocol !== undefined) return protocol;
    }
  }
  return undefined;
}

function refuse(
  status: DestinationRefusal['status'],
  reason: DestinationRefusal['reason'],
  message: string,
  mayCome: boolean,
): DestinationRefusal {
  return { kind: 'refuse', status, reason, message, mayCome };
}
