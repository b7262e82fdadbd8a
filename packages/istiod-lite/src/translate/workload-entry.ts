/** Machines as workloads of the mesh: WorkloadEntries, and the endpoints that stand in a ServiceEntry. Pure. */
import {
  type ApplicationTunnel,
  createWorkload,
  type GatewayAddress,
  type Locality,
  type PortList,
  type Workload,
  WorkloadStatus,
  WorkloadType,
} from '@ambit/api/workload';
import { bytesOfIp, parseIp } from '@ambit/core/ip';
import type { Labels } from '@ambit/kube/label-selector';
import type { WorkloadEntry, WorkloadEntrySpec } from '@ambit/kube/resources/networking';
import { canonicalNamesBy, WORKLOAD_NAME_LABEL } from '@ambit/kube/workload-name';
import { endpointPorts, membershipsOf, type OfferedService } from './offered-ports.ts';
import { type CheckedEntry, resolutionOf } from './service-entry.ts';
import { type MeshSettings, wireTrustDomain } from './settings.ts';
import { tunnelOf } from './tunnel.ts';

const GROUP_ANNOTATION = 'istio.io/autoRegistrationGroup';
const UNIX_PREFIX = 'unix://';

export interface MachineContext {
  readonly settings: MeshSettings;
  /** Where the machine does not say. */
  readonly network: string;
  readonly services: readonly OfferedService[];
  /** Keys of the policies that the workload must name. */
  readonly policies: readonly string[];
  readonly waypoint: GatewayAddress | undefined;
  /** Of a machine that is itself an instance of a waypoint. */
  readonly applicationTunnel: ApplicationTunnel | undefined;
}

/** Labels of a WorkloadEntry: those of the object go before those of its specification. */
export function labelsOfWorkloadEntry({ metadata, spec }: WorkloadEntry): Labels | undefined {
  return spec?.labels ? { ...spec.labels, ...metadata.labels } : metadata.labels;
}

/** `undefined` where a proxy cannot connect to: nowhere, or a socket in a file system. */
export function translateWorkloadEntry(entry: WorkloadEntry, context: MachineContext): Workload | undefined {
  const { metadata, spec = {} } = entry;
  const { name, namespace = '', annotations } = metadata;
  const labels = labelsOfWorkloadEntry(entry);
  const workloadName = annotations?.[GROUP_ANNOTATION] ?? labels?.[WORKLOAD_NAME_LABEL] ?? name;
  const machine = {
    uid: `${context.settings.clusterId}/networking.istio.io/WorkloadEntry/${namespace}/${name}`,
    metadata: { name, namespace, labels, annotations },
    workloadName,
    spec,
  };
  return translateMachine(machine, context);
}

/** What a ServiceEntry says of its endpoints: themselves, or that each host is to be resolved. */
export interface EntryEndpoint {
  readonly spec: WorkloadEntrySpec;
  /** The host that it is an endpoint of; absent: of every host. */
  readonly hostname?: string;
}

/** @param hostnames - Of the services that the entry has made, and not lost to others. */
export function endpointsOf({ spec }: CheckedEntry, hostnames: readonly string[]): readonly EntryEndpoint[] {
  const { endpoints = [], workloadSelector } = spec;
  if (hostnames.length === 0) return [];
  if (endpoints.length > 0) return endpoints.map((endpoint) => ({ spec: endpoint }));
  const resolution = resolutionOf(spec);
  if (workloadSelector || resolution === 'NONE' || resolution === 'STATIC') return [];
  return hostnames.map((hostname) => ({ spec: { address: hostname }, hostname }));
}

export function translateEndpoint(
  { namespace, name, labels, annotations }: CheckedEntry,
  { spec }: EntryEndpoint,
  context: MachineContext,
): Workload | undefined {
  const { clusterId } = context.settings;
  const machine = {
    uid: `${clusterId}/networking.istio.io/ServiceEntry/${namespace}/${name}/${spec.address ?? ''}`,
    metadata: { name, namespace, labels, annotations },
    workloadName: name,
    spec,
  };
  return translateMachine(machine, context);
}

interface Machine {
  readonly uid: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Labels | undefined;
    readonly annotations?: Labels | undefined;
  };
  readonly workloadName: string;
  readonly spec: WorkloadEntrySpec;
}

function translateMachine(
  { uid, metadata, workloadName, spec }: Machine,
  { settings, network, services, policies, waypoint, applicationTunnel }: MachineContext,
): Workload | undefined {
  const { name, namespace, labels } = metadata;
  const { address = '', weight = 0 } = spec;
  if (address === '' || address.startsWith(UNIX_PREFIX)) return undefined;
  const bytes = bytesOfIp(parseIp(address) ?? '');
  return createWorkload({
    uid,
    name,
    namespace,
    ...(bytes ? { addresses: [bytes] } : { hostname: address }),
    network: spec.network || network,
    ...tunnelOf(metadata),
    trustDomain: wireTrustDomain(settings),
    serviceAccount: spec.serviceAccount ?? '',
    ...canonicalNamesBy(labels, workloadName),
    workloadType: WorkloadType.POD,
    status: WorkloadStatus.HEALTHY,
    clusterId: settings.clusterId,
    services: membershipsOf(services, (service) => portsOf(service, spec.ports ?? {})),
    authorizationPolicies: policies.toSorted(),
    locality: localityOf(spec.locality),
    waypoint,
    applicationTunnel,
    ...(weight > 0 && { capacity: weight }),
  });
}

function portsOf({ kind, ports }: OfferedService, named: NonNullable<WorkloadEntrySpec['ports']>): PortList {
  const portNamed = (name: string) => (Object.hasOwn(named, name) ? named[name] : undefined);
  return endpointPorts(ports, ({ name, targetPort, targetPortName }) =>
    kind === 'Service' && targetPortName !== '' ? portNamed(targetPortName) : (portNamed(name) ?? targetPort),
  );
}

function localityOf(text = ''): Locality | undefined {
  const [region = '', zone = '', subzone = ''] = text.split('/');
  return region || zone || subzone ? { region, zone, subzone } : undefined;
}
