/**
 * The mesh as `/config_dump` shows it: the shapes that `istioctl ztunnel-config` reads, keys in alphabetical order.
 *
 * What is empty is left out where Istio leaves it out. The one place that knows which.
 */
import { formatCidr } from '@ambit/core/ip';
import {
  formatGatewayDestination,
  formatNetworkAddress,
  type GatewayAddress,
  type ServiceKey,
} from './address.ts';
import type { Policy, PolicyMatch, StringMatch } from './policy.ts';
import type { Service, ServiceEndpoint } from './service.ts';
import type { LocalMesh, MeshStore } from './store.ts';
import type { PortMap, Workload } from './workload.ts';

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
type JsonObject = { readonly [key: string]: Json };

export interface MeshDump {
  readonly policies: readonly JsonObject[];
  readonly services: readonly JsonObject[];
  readonly stagedServices: JsonObject;
  readonly workloads: readonly JsonObject[];
}

export function dumpMesh(mesh: MeshStore): MeshDump {
  const staged = [...mesh.stagedEndpoints()].map(
    ([key, endpoints]) => [key, dumpEndpoints(endpoints)] as const,
  );
  return {
    policies: sorted([...mesh.policies()], (policy) => policy.key).map(dumpPolicy),
    services: sorted([...mesh.services()], (service) => service.hostname).map((service) =>
      dumpService(service, [...mesh.shownEndpointsOf(service.key)]),
    ),
    stagedServices: Object.fromEntries(sorted(staged, ([key]) => key)),
    workloads: sorted([...mesh.workloads()], (workload) => workload.uid).map(dumpWorkload),
  };
}

/** A local file as `staticConfig` shows it: workloads keep their ports, and services only endpoints they list. */
export function dumpLocalFile(delta: LocalMesh): JsonObject {
  const endpointsOf = (key: ServiceKey) => delta.endpoints.filter(({ service }) => service === key);
  return {
    policies: delta.policies.map(dumpPolicy),
    services: delta.services.map((service) => dumpService(service, endpointsOf(service.key))),
    workloads: delta.workloads.map((workload) => ({
      ...dumpWorkload(workload),
      services: Object.fromEntries(
        workload.services.map(({ service, ports }) => [service, dumpPorts(ports)]),
      ),
    })),
  };
}

export function dumpWorkload(workload: Workload): JsonObject {
  const { locality, applicationTunnel } = workload;
  const hasLocality = locality.region !== '' || locality.zone !== '' || locality.subzone !== '';
  return withoutEmpty(
    {
      applicationTunnel: applicationTunnel && {
        port: applicationTunnel.port ?? null,
        protocol: applicationTunnel.protocol,
      },
      authorizationPolicies: workload.authorizationPolicies,
      canonicalName: workload.canonicalName,
      canonicalRevision: workload.canonicalRevision,
      capacity: workload.capacity,
      clusterId: workload.clusterId,
      hostname: workload.hostname,
      locality: hasLocality
        ? { region: locality.region, subzone: locality.subzone, zone: locality.zone }
        : undefined,
      name: workload.name,
      namespace: workload.namespace,
      nativeTunnel: workload.nativeTunnel || undefined,
      network: workload.network,
      networkGateway: dumpGateway(workload.networkGateway),
      networkMode: workload.networkMode,
      node: workload.node,
      protocol: workload.protocol,
      serviceAccount: workload.serviceAccount,
      services: workload.services.map(({ service }) => service),
      status: workload.status,
      trustDomain: workload.trustDomain,
      uid: workload.uid,
      waypoint: dumpGateway(workload.waypoint),
      workloadIps: workload.addresses,
      workloadName: workload.workloadName,
      workloadType: workload.workloadType,
    },
    ['workloadIps', 'protocol', 'networkMode', 'name', 'namespace', 'status', 'clusterId', 'capacity'],
  );
}

export function dumpService(service: Service, endpoints: readonly ServiceEndpoint[]): JsonObject {
  const { loadBalancer } = service;
  return withoutEmpty(
    {
      canonical: service.canonical,
      cidrVips: service.cidrVips.map(({ network, cidr }) => ({ cidr: formatCidr(cidr), network })),
      endpoints: dumpEndpoints(endpoints),
      hostname: service.hostname,
      ipFamilies: service.ipFamilies,
      loadBalancer: loadBalancer && {
        healthPolicy: loadBalancer.healthPolicy,
        mode: loadBalancer.mode,
        routingPreferences: loadBalancer.routingPreferences,
      },
      name: service.name,
      namespace: service.namespace,
      ports: dumpPorts(service.ports),
      subjectAltNames: service.subjectAltNames,
      vips: service.vips.map(formatNetworkAddress),
      visibility: service.visibility,
      waypoint: dumpGateway(service.waypoint),
      weightedWaypoints: service.weightedWaypoints.flatMap(({ destination, weight }) => {
        const gateway = dumpGateway(destination);
        return gateway ? [{ destination: gateway, weight }] : [];
      }),
    },
    [
      'name',
      'namespace',
      'hostname',
      'vips',
      'ports',
      'endpoints',
      'subjectAltNames',
      'canonical',
      'visibility',
    ],
  );
}

export function dumpPolicy(policy: Policy): JsonObject {
  return {
    action: policy.action,
    dryRun: policy.dryRun,
    name: policy.name,
    namespace: policy.namespace,
    rules: policy.rules.map((rule) => rule.map((clause) => clause.map(dumpMatch))),
    scope: policy.scope,
  };
}

function dumpMatch(match: PolicyMatch): JsonObject {
  return withoutEmpty(
    {
      destinationIps: match.destinationIps?.map(formatCidr),
      destinationPorts: match.destinationPorts,
      namespaces: match.namespaces?.map(dumpStringMatch),
      notDestinationIps: match.notDestinationIps?.map(formatCidr),
      notDestinationPorts: match.notDestinationPorts,
      notNamespaces: match.notNamespaces?.map(dumpStringMatch),
      notPrincipals: match.notPrincipals?.map(dumpStringMatch),
      notServiceAccounts: match.notServiceAccounts?.map((account) => ({ ...account })),
      notSourceIps: match.notSourceIps?.map(formatCidr),
      principals: match.principals?.map(dumpStringMatch),
      serviceAccounts: match.serviceAccounts?.map((account) => ({ ...account })),
      sourceIps: match.sourceIps?.map(formatCidr),
    },
    [],
  );
}

const WORDS = { exact: 'Exact', prefix: 'Prefix', suffix: 'Suffix' } as const;

function dumpStringMatch(match: StringMatch): JsonObject {
  return match.kind === 'presence' ? { Presence: [] } : { [WORDS[match.kind]]: match.text };
}

function dumpEndpoints(endpoints: readonly ServiceEndpoint[]): JsonObject {
  const entries = sorted(endpoints, ({ workloadUid }) => workloadUid).map(
    ({ workloadUid, ports, status }) =>
      [workloadUid, { port: dumpPorts(ports), status, workloadUid }] as const,
  );
  return Object.fromEntries(entries);
}

function dumpPorts(ports: PortMap): JsonObject {
  return Object.fromEntries(ports);
}

function dumpGateway(gateway: GatewayAddress | undefined): JsonObject | undefined {
  if (gateway === undefined) return undefined;
  return { destination: formatGatewayDestination(gateway.destination), hboneMtlsPort: gateway.hboneMtlsPort };
}

/** Leaves out what is absent, empty text and empty lists, but for the keys that are always there. */
function withoutEmpty(
  all: Readonly<Record<string, Json | undefined>>,
  always: readonly string[],
): JsonObject {
  const isEmpty = (value: Json | undefined) =>
    value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
  return Object.fromEntries(
    Object.entries(all).flatMap(([key, value]) =>
      value === undefined || (isEmpty(value) && !always.includes(key)) ? [] : [[key, value] as const],
    ),
  );
}

function sorted<T>(values: readonly T[], keyOf: (value: T) => string): readonly T[] {
  return values.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : Number(keyOf(a) > keyOf(b))));
}
