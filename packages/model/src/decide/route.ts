/**
 * Where a connection that a pod opened goes: the service or workload at its address, through which waypoint or gateway,
 * to which next hop, and which identities that must prove.
 *
 * Unknown addresses pass through in clear. A known service whose waypoint or endpoints are not there never does: that is
 * a refusal, because falling back would skip what the waypoint enforces.
 */
import type { Random } from '@ambit/core/clock';
import { type Endpoint, formatHostPort, isLoopback } from '@ambit/core/ip';
import type { GatewayAddress } from '../address.ts';
import { drawWeighted } from '../load-balance.ts';
import type { MeshView } from '../mesh.ts';
import type { Service } from '../service.ts';
import type { Workload } from '../workload.ts';
import {
  findGateway,
  findUpstream,
  gatewayProblem,
  identitiesOf,
  isInstanceOf,
  type Upstream,
  withAddress,
} from './upstream.ts';

/** Where every meshed workload's node takes tunnels. */
export const HBONE_PORT = 15_008;

export interface RouteRequest {
  readonly source: Workload;
  /** Address that the application connects from. */
  readonly sourceIp: string;
  /** Address that the application connects to. */
  readonly target: Endpoint;
  /** The network of this proxy. */
  readonly network: string;
}

export interface RouteOptions {
  readonly random: Random;
  /** Ports of the proxy itself: a connection to one of them on loopback would come back for ever. */
  readonly illegalPorts: ReadonlySet<number>;
}

/** Connect to `to`, and speak `protocol` there. */
export interface Route {
  readonly kind: 'route';
  /** `passthrough`: nothing is known of the address. `gateway`: into another network. */
  readonly via: 'passthrough' | 'direct' | 'waypoint' | 'gateway';
  readonly protocol: 'TCP' | 'HBONE' | 'DOUBLEHBONE';
  /** Where the TCP connection goes. */
  readonly to: Endpoint;
  /** `:authority` of the tunnel, and of both tunnels with `DOUBLEHBONE`; empty with `TCP`. */
  readonly authority: string;
  /** Identities of which the peer must prove one; empty with `TCP` only. */
  readonly expectedIdentities: readonly string[];
  /** The same for the inner tunnel of `DOUBLEHBONE`, there never empty; empty otherwise. */
  readonly innerIdentities: readonly string[];
  /** The service that the client addressed; for reporting. */
  readonly service: Service | undefined;
  /** The workload of the next hop: the destination, or a waypoint; behind a gateway the destination; for reporting. */
  readonly workload: Workload | undefined;
  /** Address of the destination itself where this proxy chose it, else as the client named it; for reporting. */
  readonly destination: Endpoint;
}

export interface RouteRefusal {
  readonly kind: 'refuse';
  readonly reason:
    | 'recursion'
    | 'unknown-waypoint'
    | 'no-healthy-upstream'
    | 'no-valid-destination'
    | 'unknown-gateway'
    | 'no-service'
    | 'no-ip-addresses';
  readonly message: string;
}

/** The chosen workload has a hostname and no address: resolve it, then call `resume` with what was found. */
export interface RouteResolution {
  readonly kind: 'resolve';
  readonly hostname: string;
  readonly workload: Workload;
  /** Takes IPs in canonical text; none leads to a refusal. */
  readonly resume: (ips: readonly string[]) => RouteDecision;
}

export type RouteDecision = Route | RouteRefusal | RouteResolution;

export function selectRoute(mesh: MeshView, request: RouteRequest, options: RouteOptions): RouteDecision {
  const { source, target } = request;
  const { random } = options;
  if (isLoopback(target.ip) && options.illegalPorts.has(target.port)) {
    return refuse('recursion', `${formatHostPort(target.ip, target.port)} is a port of the proxy itself`);
  }
  const service = addressedService(mesh, request);
  const waypoint = service && waypointOf(service, random);
  if (service && waypoint) return throughServiceWaypoint(mesh, request, service, waypoint, random);

  const upstream = findUpstream(mesh, source, source.network, target, 'Standard', random);
  if (upstream === undefined) return withoutUpstream(mesh, request, service);
  if (upstream.workload.network !== source.network) {
    const named = service ?? upstream.service;
    return named
      ? throughGateway(mesh, request, upstream, named, random)
      : refuse(
          'no-service',
          `${target.ip} is in network ${upstream.workload.network}, and no service leads there`,
        );
  }
  const own = upstream.service ? undefined : upstream.workload.waypoint;
  if (own && !isInstanceOf(mesh, source, request.sourceIp, own)) {
    return throughWaypoint(mesh, request, undefined, own, random);
  }
  return direct(upstream, random);
}

/** The service that the client named by address; a workload that owns the address hides it. */
export function addressedService(
  mesh: MeshView,
  { source, target, network }: RouteRequest,
): Service | undefined {
  if (mesh.workloadAt(network, target.ip)) return undefined;
  return mesh.serviceAt(network, target.ip, source.namespace);
}

/** The waypoint for one connection to a service: drawn by weight where weights are given. */
function waypointOf(service: Service, random: Random): GatewayAddress | undefined {
  if (service.weightedWaypoints.length === 0) return service.waypoint;
  return drawWeighted(service.weightedWaypoints, random)?.destination ?? service.waypoint;
}

function throughServiceWaypoint(
  mesh: MeshView,
  request: RouteRequest,
  service: Service,
  waypoint: GatewayAddress,
  random: Random,
): RouteDecision {
  const found = findGateway(mesh, request.source, waypoint, request.target.ip, 'Waypoint', random);
  return found !== undefined && found.workload.network !== request.source.network
    ? throughGateway(mesh, request, found, service, random)
    : tunnelToWaypoint(mesh, request, service, waypoint, found, random);
}

function throughWaypoint(
  mesh: MeshView,
  request: RouteRequest,
  service: Service | undefined,
  waypoint: GatewayAddress,
  random: Random,
): RouteDecision {
  const found = findGateway(mesh, request.source, waypoint, request.target.ip, 'Waypoint', random);
  return tunnelToWaypoint(mesh, request, service, waypoint, found, random);
}

function tunnelToWaypoint(
  mesh: MeshView,
  { target }: RouteRequest,
  service: Service | undefined,
  waypoint: GatewayAddress,
  found: Upstream | undefined,
  random: Random,
): RouteDecision {
  if (found === undefined) {
    return refuse('unknown-waypoint', `unknown waypoint: ${gatewayProblem(mesh, waypoint, 'waypoint')}`);
  }
  return withAddress(found, random, (ip) => ({
    kind: 'route',
    via: 'waypoint',
    protocol: 'HBONE',
    to: { ip, port: found.port },
    authority: formatHostPort(target.ip, target.port),
    expectedIdentities: identitiesOf(found),
    innerIdentities: [],
    service,
    workload: found.workload,
    destination: target,
  }));
}

/** A destination, or a waypoint, that only the gateway of its network reaches. */
function throughGateway(
  mesh: MeshView,
  { source, target }: RouteRequest,
  upstream: Upstream,
  service: Service,
  random: Random,
): RouteDecision {
  const gateway = upstream.workload.networkGateway;
  if (gateway === undefined) {
    const message = `no valid destination: network ${upstream.workload.network} of ${upstream.workload.uid} has no gateway`;
    return refuse('no-valid-destination', message);
  }
  const innerIdentities = upstream.service?.subjectAltNames ?? [];
  if (innerIdentities.length === 0) {
    const name = upstream.service?.key ?? upstream.workload.uid;
    const message = `no valid destination: ${name} names no identity that may answer behind a gateway`;
    return refuse('no-valid-destination', message);
  }
  const found = findGateway(mesh, source, gateway, target.ip, 'Standard', random);
  if (found === undefined) {
    return refuse('unknown-gateway', `unknown network gateway: ${gatewayProblem(mesh, gateway, 'gateway')}`);
  }
  return withAddress(found, random, (ip) => ({
    kind: 'route',
    via: 'gateway',
    protocol: 'DOUBLEHBONE',
    to: { ip, port: found.port },
    authority: `${service.hostname}:${target.port}`,
    expectedIdentities: identitiesOf(found),
    innerIdentities,
    service,
    workload: upstream.workload,
    destination: target,
  }));
}

function direct(upstream: Upstream, random: Random): RouteDecision {
  const { workload, port, service } = upstream;
  return withAddress(upstream, random, (ip) => {
    const tunnelled = workload.protocol === 'HBONE';
    return {
      kind: 'route',
      via: 'direct',
      protocol: tunnelled ? 'HBONE' : 'TCP',
      to: { ip, port: tunnelled ? HBONE_PORT : port },
      authority: tunnelled ? formatHostPort(ip, port) : '',
      expectedIdentities: tunnelled ? identitiesOf(upstream) : [],
      innerIdentities: [],
      service,
      workload,
      destination: { ip, port },
    };
  });
}

/** Nothing takes the connection: an unknown address passes, a known service refuses. */
function withoutUpstream(
  mesh: MeshView,
  { source, target }: RouteRequest,
  addressed: Service | undefined,
): RouteDecision {
  const service = addressed ?? mesh.serviceAt(source.network, target.ip, source.namespace);
  if (service && service.loadBalancer?.mode !== 'Passthrough') {
    const problem = service.ports.has(target.port) ? '' : `: ${service.key} has no port ${target.port}`;
    return refuse(
      'no-healthy-upstream',
      `no healthy upstream: ${formatHostPort(target.ip, target.port)}${problem}`,
    );
  }
  return {
    kind: 'route',
    via: 'passthrough',
    protocol: 'TCP',
    to: target,
    authority: '',
    expectedIdentities: [],
    innerIdentities: [],
    service,
    workload: undefined,
    destination: target,
  };
}

function refuse(reason: RouteRefusal['reason'], message: string): RouteRefusal {
  return { kind: 'refuse', reason, message };
}
