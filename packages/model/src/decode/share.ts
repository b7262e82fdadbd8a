/** Makes a workload share with the others all that they have in common; the measurement is in this package's README. */
import { formatGatewayDestination, type GatewayAddress } from '../address.ts';
import type { Interner } from '../intern.ts';
import type { AppProtocol } from '../service.ts';
import type { Locality, Membership, PortMap, Workload } from '../workload.ts';
import type { ReplicaOwn } from './replicas.ts';

export function internWorkload(interner: Interner, workload: Workload): Workload {
  const text = (value: string) => interner.text(value);
  return {
    uid: workload.uid,
    name: workload.name,
    namespace: text(workload.namespace),
    addresses: workload.addresses,
    network: text(workload.network),
    protocol: workload.protocol,
    networkMode: workload.networkMode,
    trustDomain: text(workload.trustDomain),
    serviceAccount: text(workload.serviceAccount),
    identity: text(workload.identity),
    waypoint: gateway(interner, workload.waypoint),
    networkGateway: gateway(interner, workload.networkGateway),
    node: text(workload.node),
    canonicalName: text(workload.canonicalName),
    canonicalRevision: text(workload.canonicalRevision),
    workloadType: text(workload.workloadType),
    workloadName: text(workload.workloadName),
    nativeTunnel: workload.nativeTunnel,
    authorizationPolicies: texts(interner, workload.authorizationPolicies),
    status: workload.status,
    clusterId: text(workload.clusterId),
    hostname: text(workload.hostname),
    services: memberships(interner, workload.services),
    applicationTunnel: workload.applicationTunnel,
    locality: locality(interner, workload.locality),
    capacity: workload.capacity,
  };
}

/** `alike`, but for what `own` says. */
export function replicaOf(alike: Workload, own: ReplicaOwn, interner: Interner): Workload {
  return { ...alike, uid: own.uid, name: own.name, addresses: own.addresses, node: interner.text(own.node) };
}

export function portMap(interner: Interner, pairs: readonly (readonly [number, number])[]): PortMap {
  return interner.value(`ports ${pairs.join(' ')}`, () => new Map(pairs));
}

export function appProtocolMap(
  interner: Interner,
  pairs: readonly (readonly [number, AppProtocol])[],
): ReadonlyMap<number, AppProtocol> {
  return interner.value(`protocols ${pairs.join(' ')}`, () => new Map(pairs));
}

/** Newlines separate, since no name that Kubernetes or DNS allows has one; a name with one only shares less. */
function key(kind: string, parts: readonly (string | number)[]): string | undefined {
  return parts.some((part) => typeof part === 'string' && part.includes('\n'))
    ? undefined
    : [kind, ...parts].join('\n');
}

function shared<T>(interner: Interner, name: string | undefined, value: T): T {
  return name === undefined ? value : interner.value(name, () => value);
}

function texts(interner: Interner, values: readonly string[]): readonly string[] {
  return shared(interner, key('texts', values), values);
}

function gateway(interner: Interner, value: GatewayAddress | undefined): GatewayAddress | undefined {
  if (value === undefined) return undefined;
  const { destination, hboneMtlsPort } = value;
  const name = key('gateway', [destination.kind, formatGatewayDestination(destination), hboneMtlsPort]);
  return shared(interner, name, value);
}

function locality(interner: Interner, value: Locality): Locality {
  return shared(interner, key('locality', [value.region, value.zone, value.subzone]), value);
}

function memberships(interner: Interner, values: readonly Membership[]): readonly Membership[] {
  const parts = values.flatMap(({ service, ports }) => [service, [...ports].join(' ')]);
  return shared(interner, key('memberships', parts), values);
}
