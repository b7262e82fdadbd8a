/**
 * What is behind an address or a hostname: the workload that takes the connection, the port there, and the service that
 * led to it. Waypoints and gateways are found by the same questions as destinations.
 */
import type { Random } from '@ambit/core/clock';
import type { Endpoint } from '@ambit/core/ip';
import { formatGatewayDestination, type GatewayAddress } from '../address.ts';
import { chooseAddress, chooseEndpoint, chooseResolved, type UpstreamMode } from '../load-balance.ts';
import { isService, type MeshView } from '../mesh.ts';
import type { Service } from '../service.ts';
import type { Workload } from '../workload.ts';
import type { RouteDecision } from './route.ts';

export interface Upstream {
  readonly workload: Workload;
  /** The target port: of the endpoint, or the one asked for when a workload was addressed. */
  readonly port: number;
  readonly service: Service | undefined;
  /** The address that the client named; the workload's address is chosen after it. */
  readonly targetIp: string;
}

/** By address: a service's VIP is looked at before a workload's own address. */
export function findUpstream(
  mesh: MeshView,
  source: Workload,
  network: string,
  target: Endpoint,
  mode: UpstreamMode,
  random: Random,
): Upstream | undefined {
  const service = mesh.serviceAt(network, target.ip, source.namespace);
  if (service) return upstreamOfService(mesh, source, service, target, mode, random);
  const workload = mesh.workloadAt(network, target.ip);
  return workload && { workload, port: target.port, service: undefined, targetIp: target.ip };
}

/** A waypoint or a gateway. `clientIp` decides the address family where only a hostname is named. */
export function findGateway(
  mesh: MeshView,
  source: Workload,
  gateway: GatewayAddress,
  clientIp: string,
  mode: UpstreamMode,
  random: Random,
): Upstream | undefined {
  const port = gateway.hboneMtlsPort;
  const { destination } = gateway;
  if (destination.kind === 'address') {
    const { network, ip } = destination.address;
    return findUpstream(mesh, source, network, { ip, port }, mode, random);
  }
  const found = mesh.findHostname(destination.service);
  const target = { ip: clientIp, port };
  if (found === undefined) return undefined;
  if (isService(found)) return upstreamOfService(mesh, source, found, target, mode, random);
  return { workload: found, port, service: undefined, targetIp: clientIp };
}

/** Which of the two reasons a gateway could not be found for, in words. */
export function gatewayProblem(
  mesh: MeshView,
  gateway: GatewayAddress,
  role: 'waypoint' | 'gateway',
): string {
  const name = formatGatewayDestination(gateway.destination);
  const { destination } = gateway;
  const known =
    destination.kind === 'hostname'
      ? mesh.findHostname(destination.service) !== undefined
      : mesh.serviceAt(destination.address.network, destination.address.ip, undefined) !== undefined;
  return known
    ? `${role} ${name} has no healthy endpoint on port ${gateway.hboneMtlsPort}`
    : `${role} ${name} not found`;
}

/** Whether the workload is an instance of the waypoint: it proves its identity and owns the client's address. */
export function isInstanceOf(
  mesh: MeshView,
  candidate: Workload,
  candidateIp: string,
  gateway: GatewayAddress,
): boolean {
  const is = (workload: Workload | undefined) =>
    workload?.identity === candidate.identity && workload.addresses.includes(candidateIp);
  const { destination } = gateway;
  const found =
    destination.kind === 'hostname'
      ? mesh.findHostname(destination.service)
      : (mesh.serviceAt(destination.address.network, destination.address.ip, candidate.namespace) ??
        mesh.workloadAt(destination.address.network, destination.address.ip));
  if (found === undefined || !isService(found)) return is(found);
  for (const { workloadUid } of mesh.endpointsOf(found.key))
    if (is(mesh.workloadByUid(workloadUid))) return true;
  return false;
}

/** The identities of which whoever answers for the upstream must prove one. */
export function identitiesOf({ service, workload }: Upstream): readonly string[] {
  const names = service?.subjectAltNames ?? [];
  return names.includes(workload.identity) ? names : [...names, workload.identity];
}

/** Goes on with the address of the upstream: at once, or after its hostname was resolved. */
export function withAddress(
  { workload, service, targetIp }: Upstream,
  random: Random,
  next: (ip: string) => RouteDecision,
): RouteDecision {
  const ip = chooseAddress(workload.addresses, service, targetIp);
  if (ip !== undefined) return next(ip);
  const { hostname } = workload;
  if (hostname === '' || workload.addresses.length > 0) {
    const message = `no valid destination: workload ${workload.uid} has no usable address`;
    return { kind: 'refuse', reason: 'no-valid-destination', message };
  }
  const resume = (ips: readonly string[]): RouteDecision => {
    const resolved = chooseResolved(ips, targetIp, random);
    if (resolved !== undefined) return next(resolved);
    return {
      kind: 'refuse',
      reason: 'no-ip-addresses',
      message: `no ip addresses were resolved for ${hostname}`,
    };
  };
  return { kind: 'resolve', hostname, workload, resume };
}

function upstreamOfService(
  mesh: MeshView,
  source: Workload,
  service: Service,
  target: Endpoint,
  mode: UpstreamMode,
  random: Random,
): Upstream | undefined {
  if (service.loadBalancer?.mode === 'Passthrough') return undefined;
  const chosen = chooseEndpoint(mesh, { service, port: target.port, source, mode }, random);
  return chosen && { workload: chosen.workload, port: chosen.targetPort, service, targetIp: target.ip };
}
