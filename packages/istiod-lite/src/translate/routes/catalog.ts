/** Services as routes name them: by object, or by hostname, with their ports. Pure. */
import type { ServicePort as WireServicePort } from '@ambit/api/waypoint';
import type { Service } from '@ambit/kube/resources/core';
import { hostnameOf } from '../service.ts';
import type { CheckedEntry } from '../service-entry.ts';
import type { MeshSettings } from '../settings.ts';

export type ServiceKind = 'Service' | 'ServiceEntry';

export interface CatalogPort {
  readonly number: number;
  readonly name: string;
  /** `TCP`, `UDP`, `SCTP`. */
  readonly transport: string;
}

/** One hostname of an object. */
export interface CatalogService {
  readonly kind: ServiceKind;
  readonly namespace: string;
  /** Of the object. */
  readonly name: string;
  readonly hostname: string;
  readonly ports: readonly CatalogPort[];
  /** ISO 8601: the older of two that have a hostname counts. */
  readonly createdAt: string;
  /** Nobody elsewhere may name it. */
  readonly ownNamespaceOnly: boolean;
}

export interface Catalog {
  /** The hostnames of one object; none if it is not there. */
  object(kind: ServiceKind, namespace: string, name: string): readonly CatalogService[];
  /** All that have the hostname, wherever they are. */
  named(hostname: string): readonly CatalogService[];
}

/** `undefined` for a name that only points elsewhere. */
export function catalogService(service: Service, settings: MeshSettings): CatalogService | undefined {
  const { metadata, spec = {} } = service;
  if (spec.type === 'ExternalName') return undefined;
  return {
    kind: 'Service',
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    hostname: hostnameOf(service, settings),
    ports: (spec.ports ?? []).map(({ port, name = '', protocol = 'TCP' }) => ({
      number: port,
      name,
      transport: protocol,
    })),
    createdAt: metadata.creationTimestamp ?? '',
    ownNamespaceOnly: false,
  };
}

export function catalogServiceOfEntry(
  entry: CheckedEntry,
  hostname: string,
  ownNamespaceOnly: boolean,
): CatalogService {
  return {
    kind: 'ServiceEntry',
    namespace: entry.namespace,
    name: entry.name,
    hostname,
    ports: (entry.spec.ports ?? []).map(({ number, name, protocol = '' }) => ({
      number,
      name,
      transport: protocol.toUpperCase() === 'UDP' ? 'UDP' : 'TCP',
    })),
    createdAt: entry.createdAt,
    ownNamespaceOnly,
  };
}

/** Those that somebody in `namespace` may name. */
export function visibleIn(namespace: string, services: readonly CatalogService[]): readonly CatalogService[] {
  return services.filter((service) => !service.ownNamespaceOnly || service.namespace === namespace);
}

/**
 * Which of those that have a hostname is meant by somebody in `namespace`: the one there, else the Kubernetes Service,
 * else the oldest that may be named there.
 */
export function serviceNamed(
  catalog: Catalog,
  hostname: string,
  namespace: string,
): CatalogService | undefined {
  const all = visibleIn(namespace, catalog.named(hostname));
  return (
    all.find((service) => service.namespace === namespace) ??
    all.find(({ kind }) => kind === 'Service') ??
    all.toSorted(older)[0]
  );
}

function older(a: CatalogService, b: CatalogService): number {
  const [one, other] = [`${a.createdAt} ${a.namespace}/${a.name}`, `${b.createdAt} ${b.namespace}/${b.name}`];
  return one < other ? -1 : 1;
}

/** `namespace/hostname`: what the mesh knows the service by. */
export function serviceKey({ namespace, hostname }: Pick<WireServicePort, 'namespace' | 'hostname'>): string {
  return `${namespace}/${hostname}`;
}
