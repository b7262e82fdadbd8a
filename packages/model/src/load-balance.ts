/**
 * Which endpoint of a service takes a connection, and on which of its addresses.
 *
 * Endpoints are excluded for a reason, then ranked by how far they share the client's locality, then drawn by weight.
 * A service may have ten thousand, so those that may be drawn are remembered until the mesh changes (candidate-cache.ts).
 */
import type { Random } from '@ambit/core/clock';
import { familyOf } from '@ambit/core/ip';
import { candidatesFor } from './candidate-cache.ts';
import type { MeshView } from './mesh.ts';
import type { LoadBalancer, Scope, Service, ServiceEndpoint } from './service.ts';
import type { Workload } from './workload.ts';

/**
 * `Standard` is a connection of an application, which needs the service to list the port; `Waypoint` is one to the HBONE
 * port of a waypoint, which may be reached by its application tunnel alone.
 */
export type UpstreamMode = 'Standard' | 'Waypoint';

export interface EndpointRequest {
  readonly service: Service;
  /** The service port that the client asked for. */
  readonly port: number;
  readonly source: Workload;
  readonly mode: UpstreamMode;
}

export interface ChosenEndpoint {
  readonly workload: Workload;
  readonly targetPort: number;
}

export type EndpointExclusion =
  | 'unknown-workload'
  | 'no-address'
  | 'port-not-served'
  | 'no-weight'
  | 'locality';

/** Draws an endpoint; `undefined` when none can take the connection. */
export function chooseEndpoint(
  mesh: MeshView,
  request: EndpointRequest,
  random: Random,
): ChosenEndpoint | undefined {
  const { endpoints, weights } = candidatesFor(mesh, request, () => candidatesOf(mesh, request));
  const drawn = random() * (weights.at(-1) ?? 0);
  let low = 0;
  for (let high = weights.length; low < high; ) {
    const middle = (low + high) >> 1;
    if ((weights[middle] ?? 0) > drawn) high = middle;
    else low = middle + 1;
  }
  return endpoints[low];
}

/** Those that may be drawn, after exclusion and ranking. */
export interface Candidates {
  readonly endpoints: readonly ChosenEndpoint[];
  /** Of each and all before it; the last is the sum. */
  readonly weights: readonly number[];
  /** What all of them share with the client. */
  readonly rank: number;
}

export function candidatesOf(mesh: MeshView, request: EndpointRequest): Candidates {
  const perfect = perfectRank(request.service.loadBalancer);
  let rank = perfect ?? 0;
  let weight = 0;
  let endpoints: ChosenEndpoint[] = [];
  let weights: number[] = [];
  if (!listsPort(request)) return { endpoints, weights, rank };
  for (const endpoint of mesh.endpointsOf(request.service.key)) {
    const workload = mesh.workloadByUid(endpoint.workloadUid);
    if (workload === undefined || exclusionOf(workload, endpoint, request) !== undefined) continue;
    const own = rankOf(workload, request);
    if (own > rank && perfect === undefined) {
      rank = own;
      weight = 0;
      endpoints = [];
      weights = [];
    }
    if (own !== rank) continue;
    weight += workload.capacity;
    endpoints.push({ workload, targetPort: targetPortOf(workload, endpoint, request) ?? 0 });
    weights.push(weight);
  }
  return { endpoints, weights, rank };
}

/** Whether the service can take connections on the port at all, whatever its endpoints. */
export function listsPort({ service, port, mode }: EndpointRequest): boolean {
  return mode === 'Waypoint' || service.ports.has(port);
}

/** Why an endpoint cannot take the connection, but for locality, which depends on the others. */
export function exclusionOf(
  workload: Workload | undefined,
  endpoint: ServiceEndpoint,
  request: EndpointRequest,
): EndpointExclusion | undefined {
  if (workload === undefined) return 'unknown-workload';
  if (workload.addresses.length === 0 && workload.hostname === '') {
    const reachable = workload.network !== request.source.network && workload.networkGateway !== undefined;
    if (!reachable) return 'no-address';
  }
  if (targetPortOf(workload, endpoint, request) === undefined) return 'port-not-served';
  return workload.capacity === 0 ? 'no-weight' : undefined;
}

/**
 * The endpoint's own port wins over the service's; 0 means that the service has none of its own. A waypoint's HBONE port
 * need not be on its service when the endpoint has an application tunnel.
 */
export function targetPortOf(
  workload: Workload,
  endpoint: ServiceEndpoint,
  { service, port, mode }: EndpointRequest,
): number | undefined {
  const tunnel = mode === 'Waypoint' ? workload.applicationTunnel : undefined;
  if (!service.ports.has(port) && tunnel === undefined) return undefined;
  const own = endpoint.ports.get(port) ?? service.ports.get(port) ?? 0;
  if (own > 0) return own;
  return tunnel?.port === undefined ? undefined : port;
}

/** Where somebody is, as far as locality is concerned. */
export type Place = Pick<Workload, 'locality' | 'node' | 'clusterId' | 'network'>;

export function rankOf(workload: Workload, { service, source }: EndpointRequest): number {
  return sharedScopes(preferencesOf(service.loadBalancer), workload, source);
}

/**
 * How many of the routing preferences, in order, two places share. When the network comes first, a place in another network
 * is still compared, and one in the same outranks all of those.
 */
export function sharedScopes(preferences: readonly Scope[], place: Place, from: Place): number {
  const networkFirst = preferences[0] === 'Network';
  let rank = 0;
  for (const [index, scope] of preferences.entries()) {
    const same = scopeOf(place, scope) === scopeOf(from, scope);
    if (same) rank += networkFirst && index === 0 ? preferences.length : 1;
    else if (!(networkFirst && index === 0)) break;
  }
  return rank;
}

/** The rank that `Strict` demands; `undefined` where the best present will do. */
export function perfectRank(balancer: LoadBalancer | undefined): number | undefined {
  if (balancer?.mode !== 'Strict') return undefined;
  const count = balancer.routingPreferences.length;
  return balancer.routingPreferences[0] === 'Network' ? 2 * count - 1 : count;
}

export function preferencesOf(balancer: LoadBalancer | undefined): readonly Scope[] {
  return balancer === undefined || balancer.mode === 'Standard' ? [] : balancer.routingPreferences;
}

function scopeOf(place: Place, scope: Scope): string {
  switch (scope) {
    case 'Region':
      return place.locality.region;
    case 'Zone':
      return place.locality.zone;
    case 'Subzone':
      return place.locality.subzone;
    case 'Node':
      return place.node;
    case 'Cluster':
      return place.clusterId;
    case 'Network':
      return place.network;
    default:
      return scope satisfies never;
  }
}

/** The addresses of a workload that a service allows. */
function allowedAddresses(addresses: readonly string[], service: Service | undefined): readonly string[] {
  const families = service?.ipFamilies;
  if (families !== 'IPv4' && families !== 'IPv6') return addresses;
  return addresses.filter((ip) => familyOf(ip) === (families === 'IPv4' ? 4 : 6));
}

/**
 * The address that the client named if it is one of them, else one of the same family, else the first.
 *
 * @returns `undefined` when the workload has no address that the service allows.
 */
export function chooseAddress(
  addresses: readonly string[],
  service: Service | undefined,
  targetIp: string,
): string | undefined {
  if (addresses.includes(targetIp)) return targetIp;
  const allowed = allowedAddresses(addresses, service);
  return allowed.find((ip) => familyOf(ip) === familyOf(targetIp)) ?? allowed[0];
}

/** One of the addresses that DNS gave, at random, of the client's family if there is one. */
export function chooseResolved(ips: readonly string[], targetIp: string, random: Random): string | undefined {
  const same = ips.filter((ip) => familyOf(ip) === familyOf(targetIp));
  const from = same.length > 0 ? same : ips;
  return from[Math.floor(random() * from.length)];
}

/** One of the values, drawn by weight; `undefined` when none has any. */
export function drawWeighted<T extends { readonly weight: number }>(
  values: readonly T[],
  random: Random,
): T | undefined {
  const total = values.reduce((sum, { weight }) => sum + weight, 0);
  let remaining = random() * total;
  for (const value of values) {
    remaining -= value.weight;
    if (remaining < 0) return value;
  }
  return undefined;
}
