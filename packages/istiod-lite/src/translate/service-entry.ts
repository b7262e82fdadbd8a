/**
 * A ServiceEntry as services of the mesh, one for each of its hosts. Pure.
 *
 * What comes here has been validated whole: an entry with anything wrong in it makes no service at all.
 */
import {
  createService,
  HealthPolicy,
  LoadBalancingMode,
  type LoadBalancing,
  type NetworkAddress,
  type Port,
  type Service,
  type Visibility,
} from '@ambit/api/workload';
import { type Cidr, bytesOfIp, parseCidr, parseIp } from '@ambit/core/ip';
import type { Labels } from '@ambit/kube/label-selector';
import type { ServiceEntry, ServiceEntrySpec } from '@ambit/kube/resources/networking';
import { protocolNamed } from './app-protocol.ts';
import { type NamespaceDefaults, usesWaypointForIngress } from './service.ts';
import type { MeshSettings } from './settings.ts';
import { routingPreference, TRAFFIC_DISTRIBUTION_ANNOTATION } from './traffic-distribution.ts';
import type { WaypointBinding } from './waypoint-binding.ts';

const AUTOALLOCATE_LABEL = 'networking.istio.io/enable-autoallocate-ip';

/** A ServiceEntry that is valid, cut down to what is read. */
export interface CheckedEntry {
  readonly namespace: string;
  readonly name: string;
  readonly labels?: Labels;
  readonly annotations?: Labels;
  /** ISO 8601, to compare ages; empty if the API server did not say. */
  readonly createdAt: string;
  readonly spec: ServiceEntrySpec;
  /** By host, the addresses that were allotted to it. */
  readonly allotted: ReadonlyMap<string, readonly string[]>;
}

export function checkedEntry({ metadata, spec = {}, status }: ServiceEntry): CheckedEntry {
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    ...(metadata.labels && { labels: metadata.labels }),
    ...(metadata.annotations && { annotations: metadata.annotations }),
    createdAt: metadata.creationTimestamp ?? '',
    spec,
    allotted: allottedAddresses(status),
  };
}

/** Whether the entry gets addresses of its own when it names none. */
export function wantsAllottedAddresses(
  { labels, spec }: Pick<CheckedEntry, 'labels' | 'spec'>,
  { ipAutoallocate }: Pick<MeshSettings, 'ipAutoallocate'>,
): boolean {
  return (
    ipAutoallocate &&
    resolutionOf(spec) !== 'NONE' &&
    (spec.addresses ?? []).length === 0 &&
    labels?.[AUTOALLOCATE_LABEL]?.toLowerCase() !== 'false'
  );
}

/** The hosts that addresses are allotted to: a name with a wildcard only where a waypoint resolves it. */
export function hostsWithAllottedAddresses({ spec }: Pick<CheckedEntry, 'spec'>): readonly string[] {
  const hosts = (spec.hosts ?? []).filter(
    (host) => !isWildcard(host) || resolutionOf(spec) === 'DYNAMIC_DNS',
  );
  return [...new Set(hosts)];
}

export interface ServiceEntryContext {
  readonly settings: MeshSettings;
  readonly network: string;
  readonly namespace: NamespaceDefaults | undefined;
  readonly visibility: Visibility;
  readonly binding: WaypointBinding;
}

/** None is canonical: whether one is depends on the other services of its host. */
export function translateServiceEntry(entry: CheckedEntry, context: ServiceEntryContext): readonly Service[] {
  const { namespace, name, labels, spec } = entry;
  const named = (spec.addresses ?? []).flatMap((address) => networkAddress(address, context.network));
  const allots = wantsAllottedAddresses(entry, context.settings);
  const allowed = new Set(allots ? hostsWithAllottedAddresses(entry) : []);
  const shared = {
    name,
    namespace,
    ports: (spec.ports ?? []).map(
      ({ number, targetPort, protocol = '' }): Port => ({
        servicePort: number,
        targetPort: targetPort || number,
        appProtocol: protocolNamed(protocol),
      }),
    ),
    subjectAltNames: spec.subjectAltNames ?? [],
    loadBalancing: loadBalancingOf(entry, context.namespace),
    visibility: context.visibility,
    waypoint: context.binding.waypoint?.address,
    weightedWaypoints: context.binding.weighted,
    ingressUseWaypoint: usesWaypointForIngress(labels, context.namespace),
  };
  return [...new Set(spec.hosts)].map((hostname) => {
    const allotted = allowed.has(hostname) ? (entry.allotted.get(hostname) ?? []) : [];
    const addresses =
      named.length > 0 ? named : allotted.flatMap((ip) => networkAddress(ip, context.network));
    return createService({ ...shared, hostname, addresses });
  });
}

export function isWildcard(host: string): boolean {
  return host.startsWith('*');
}

export function resolutionOf({ resolution = 'NONE' }: ServiceEntrySpec): string {
  return resolution;
}

function loadBalancingOf(
  { spec, annotations }: CheckedEntry,
  namespace: NamespaceDefaults | undefined,
): LoadBalancing | undefined {
  if (resolutionOf(spec) === 'NONE') {
    const { PASSTHROUGH } = LoadBalancingMode;
    return { routingPreference: [], mode: PASSTHROUGH, healthPolicy: HealthPolicy.ALLOW_ALL };
  }
  const own = annotations?.[TRAFFIC_DISTRIBUTION_ANNOTATION];
  const preference = routingPreference(undefined, own, namespace?.trafficDistribution);
  if (!preference) return undefined;
  const { FAILOVER } = LoadBalancingMode;
  return { routingPreference: preference, mode: FAILOVER, healthPolicy: HealthPolicy.ONLY_HEALTHY };
}

/** An address, or a block of them with the bits beyond its prefix cleared. */
function networkAddress(text: string, network: string): readonly NetworkAddress[] {
  const cidr = parseCidr(text);
  if (!cidr) return [];
  const address = prefixBytes(cidr);
  const isOne = cidr.length === address.length * 8;
  return [{ network, address, ...(!isOne && { length: cidr.length }) }];
}

function prefixBytes({ bytes, length }: Cidr): Uint8Array {
  return bytes.map((byte, i) => byte & ~(0xff >> Math.max(0, Math.min(8, length - 8 * i))));
}

/** What an object's status says, as far as it can be read: anybody may have written there. */
function allottedAddresses(status: ServiceEntry['status']): ReadonlyMap<string, readonly string[]> {
  const byHost = new Map<string, readonly string[]>();
  const given: unknown = status?.addresses;
  for (const entry of Array.isArray(given) ? (given as unknown[]) : []) {
    const { host, value } = (entry ?? {}) as Record<string, unknown>;
    const ip = typeof value === 'string' ? parseIp(value) : undefined;
    if (typeof host !== 'string' || !ip || !bytesOfIp(ip)) continue;
    byHost.set(host, [...(byHost.get(host) ?? []), ip]);
  }
  return byHost;
}
