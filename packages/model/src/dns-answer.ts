/**
 * What a name means to a pod: addresses of the mesh, or nothing known, which is for an upstream resolver to answer.
 *
 * Names are lower-case text without a final dot. Kubernetes' short forms and search domains are expanded here, so that a
 * resolver's search list costs one question. Besides services, a pod of a headless service has a name of its own
 * (`pod.service.namespace.svc.domain`), as in Kubernetes, where its hostname is its pod's name.
 */
import { type Family, familyOf } from '@ambit/core/ip';
import { MAX_DNS_ADDRESSES } from './limits.ts';
import type { MeshView } from './mesh.ts';
import type { Service } from './service.ts';
import { chooseService, isVisible } from './service-choice.ts';
import type { Workload } from './workload.ts';

export interface DnsOptions {
  /** `cluster.local`, usually. */
  readonly clusterDomain: string;
  /** Which namespace wins after the client's own and the canonical services; empty: none. */
  readonly preferredNamespace: string;
  /** Without it, questions for IPv6 addresses are answered with none. */
  readonly ipv6: boolean;
  /** Domains that the client's resolver appends. Absent: those that Kubernetes gives a pod. */
  readonly searchDomains?: readonly string[];
}

export type DnsDecision =
  | {
      readonly kind: 'answer';
      readonly service: Service;
      /** May be empty: the name exists and has no address of this family. */
      readonly ips: readonly string[];
      /** The name without the search domain that the client appended; the answer says so with a CNAME. */
      readonly alias: string | undefined;
    }
  | { readonly kind: 'forward' };

const FORWARD: DnsDecision = { kind: 'forward' };

/** The addresses behind `name` for a client that asks for one family. */
export function decideDnsAnswer(
  mesh: MeshView,
  client: Workload,
  name: string,
  family: Family,
  options: DnsOptions,
): DnsDecision {
  for (const alias of aliasesOf(name, client.namespace, options)) {
    const found = find(mesh, client, alias.name, options);
    if (found === undefined) continue;
    return {
      kind: 'answer',
      service: found.service,
      ips: addressesOf(mesh, client, found, family, options),
      alias: found.isWildcard ? undefined : alias.stripped,
    };
  }
  return FORWARD;
}

interface Alias {
  readonly name: string;
  /** What was left of the question when a search domain was taken off. */
  readonly stripped: string | undefined;
}

function* aliasesOf(name: string, namespace: string, options: DnsOptions): Generator<Alias> {
  const domain = options.clusterDomain;
  yield { name, stripped: undefined };
  for (const expanded of expansionsOf(name, namespace, domain)) yield { name: expanded, stripped: undefined };
  const searches = options.searchDomains ?? [`${namespace}.svc.${domain}`, `svc.${domain}`, domain];
  for (const search of searches) {
    if (!name.endsWith(`.${search}`)) continue;
    const stripped = name.slice(0, -search.length - 1);
    yield { name: stripped, stripped };
    for (const expanded of expansionsOf(stripped, namespace, domain)) yield { name: expanded, stripped };
  }
}

/** What Kubernetes would make of a short name. */
function expansionsOf(name: string, namespace: string, domain: string): readonly string[] {
  const inNamespaces = `${name}.svc.${domain}`;
  const complete = name.endsWith('.svc') ? [`${name}.${domain}`] : [];
  switch (name.split('.').length) {
    case 1:
      return [`${name}.${namespace}.svc.${domain}`];
    case 2:
      return [inNamespaces, `${name}.${namespace}.svc.${domain}`];
    case 3:
      return [...complete, inNamespaces];
    case 4:
      return complete;
    default:
      return [];
  }
}

interface Found {
  readonly service: Service;
  readonly isWildcard: boolean;
  /** Only this endpoint, where a pod was named. */
  readonly pod: Workload | undefined;
}

function find(mesh: MeshView, client: Workload, name: string, options: DnsOptions): Found | undefined {
  const service = serviceNamed(mesh, client, name, options);
  if (service) return { service, isWildcard: false, pod: undefined };
  const pod = podNamed(mesh, client, name, options);
  if (pod) return pod;
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
    const wildcard = serviceNamed(mesh, client, `*${name.slice(dot)}`, options);
    if (wildcard) return { service: wildcard, isWildcard: true, pod: undefined };
  }
  return undefined;
}

function serviceNamed(
  mesh: MeshView,
  { namespace }: Workload,
  hostname: string,
  options: DnsOptions,
): Service | undefined {
  const candidates = mesh
    .servicesByHostname(hostname)
    .filter((service) => service.vips.length > 0 || isHeadless(service, options));
  return chooseService(candidates, namespace, options.preferredNamespace);
}

function podNamed(mesh: MeshView, client: Workload, name: string, options: DnsOptions): Found | undefined {
  const dot = name.indexOf('.');
  const hostname = name.slice(dot + 1);
  if (dot < 0 || !hostname.endsWith(`.svc.${options.clusterDomain}`)) return undefined;
  for (const service of mesh.servicesByHostname(hostname)) {
    if (!isHeadless(service, options) || !isVisible(service, client.namespace)) continue;
    const pod = endpointsOf(mesh, service).find(
      (workload) => workload.name === name.slice(0, dot) && workload.namespace === service.namespace,
    );
    if (pod) return { service, isWildcard: false, pod };
  }
  return undefined;
}

/** Only Kubernetes has headless services; another service without an address is not for DNS. */
function isHeadless({ vips, cidrVips, hostname }: Service, { clusterDomain }: DnsOptions): boolean {
  return vips.length === 0 && cidrVips.length === 0 && hostname.endsWith(`.svc.${clusterDomain}`);
}

function addressesOf(
  mesh: MeshView,
  client: Workload,
  { service, pod }: Found,
  family: Family,
  options: DnsOptions,
): readonly string[] {
  if (family === 6 && !options.ipv6) return [];
  if (service.ipFamilies === (family === 4 ? 'IPv6' : 'IPv4')) return [];
  if (service.vips.length > 0) {
    return service.vips
      .filter(({ network, ip }) => network === client.network && familyOf(ip) === family)
      .map(({ ip }) => ip);
  }
  const workloads = pod ? [pod] : endpointsOf(mesh, service);
  return workloads
    .filter(({ network }) => network === client.network)
    .flatMap(({ addresses }) => addresses.find((ip) => familyOf(ip) === family) ?? [])
    .slice(0, MAX_DNS_ADDRESSES);
}

function endpointsOf(mesh: MeshView, { key }: Service): readonly Workload[] {
  return Array.from(mesh.endpointsOf(key)).flatMap(
    ({ workloadUid }) => mesh.workloadByUid(workloadUid) ?? [],
  );
}
