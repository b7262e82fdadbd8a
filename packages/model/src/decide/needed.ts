/**
 * What a route needs and this mesh has not: the keys to ask the control plane for, where addresses come on demand.
 *
 * Ask again when they came, until nothing is missing: a waypoint is known only once its service is. A key that was
 * answered with nothing stays missing, so the caller remembers what it asked for.
 */
import { formatGatewayDestination, formatNetworkAddress, type GatewayAddress } from '../address.ts';
import type { MeshView } from '../mesh.ts';
import type { RouteRequest } from './route.ts';

/** `network/ip` or `namespace/hostname`, as on-demand requests name addresses. */
export function neededAddresses(
  mesh: MeshView,
  { source, target, network }: RouteRequest,
): readonly string[] {
  const service = mesh.serviceAt(network, target.ip, source.namespace);
  const workload = mesh.workloadAt(network, target.ip);
  if (service === undefined && workload === undefined)
    return [formatNetworkAddress({ network, ip: target.ip })];
  const endpoints = service ? [...mesh.endpointsOf(service.key)] : [];
  const workloads = endpoints.flatMap(({ workloadUid }) => mesh.workloadByUid(workloadUid) ?? []);
  const gateways = [
    service?.waypoint,
    ...(service?.weightedWaypoints ?? []).map(({ destination }) => destination),
    workload?.waypoint,
    ...new Set(workloads.map(({ networkGateway }) => networkGateway)),
  ].filter((gateway) => gateway !== undefined);
  const unknownUids = endpoints.flatMap(({ workloadUid }) =>
    mesh.workloadByUid(workloadUid) ? [] : workloadUid,
  );
  const missing = gateways.filter((gateway) => !isKnown(mesh, gateway));
  return [
    ...new Set([...unknownUids, ...missing.map(({ destination }) => formatGatewayDestination(destination))]),
  ];
}

function isKnown(mesh: MeshView, { destination }: GatewayAddress): boolean {
  if (destination.kind === 'hostname') return mesh.findHostname(destination.service) !== undefined;
  const { network, ip } = destination.address;
  return (mesh.serviceAt(network, ip, undefined) ?? mesh.workloadAt(network, ip)) !== undefined;
}
