/** A pod as the mesh's Workload. Pure: what it needs of other objects comes in the context. */
import {
  type ApplicationTunnel,
  createWorkload,
  type GatewayAddress,
  type Locality,
  NetworkMode,
  type PortList,
  type Workload,
  WorkloadStatus,
  WorkloadType,
} from '@ambit/api/workload';
import { bytesOfIp, parseIp } from '@ambit/core/ip';
import { isEnding } from '@ambit/kube/resource';
import type { Node, Pod } from '@ambit/kube/resources/core';
import { canonicalNames } from '@ambit/kube/workload-name';
import { endpointPorts, membershipsOf, type OfferedService } from './offered-ports.ts';
import { type MeshSettings, wireTrustDomain } from './settings.ts';
import { tunnelOf } from './tunnel.ts';

/** A service that the pod is an endpoint of. */
export interface PodService extends OfferedService {
  /** By service port, for a Service without a selector: what its EndpointSlices say. */
  readonly targetPorts?: ReadonlyMap<number, number>;
}

export interface PodContext {
  readonly settings: MeshSettings;
  readonly network: string;
  readonly locality: Locality | undefined;
  readonly services: readonly PodService[];
  /** Keys of the policies that the workload must name. */
  readonly policies: readonly string[];
  readonly waypoint: GatewayAddress | undefined;
  /** Of a waypoint's own pods. */
  readonly applicationTunnel: ApplicationTunnel | undefined;
}

/** Whether the mesh knows the pod at all: it has an address and has not ended. */
export function isLive(pod: Pod): boolean {
  const phase = pod.status?.phase;
  return phase !== 'Succeeded' && phase !== 'Failed' && podIps(pod).length > 0;
}

function uidOfPod({ metadata }: Pod, { clusterId }: MeshSettings): string {
  return `${clusterId}//Pod/${metadata.namespace ?? ''}/${metadata.name}`;
}

export function translatePod(pod: Pod, context: PodContext): Workload {
  const { metadata, spec = {} } = pod;
  const { settings, network, locality } = context;
  return createWorkload({
    uid: uidOfPod(pod, settings),
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    addresses: podIps(pod).flatMap((ip) => bytesOfIp(ip) ?? []),
    network,
    networkMode: spec.hostNetwork ? NetworkMode.HOST_NETWORK : NetworkMode.STANDARD,
    ...tunnelOf(metadata),
    trustDomain: wireTrustDomain(settings),
    serviceAccount: spec.serviceAccountName || 'default',
    node: spec.nodeName ?? '',
    ...canonicalNames(pod),
    workloadType: WorkloadType.POD,
    status: isHealthy(pod) ? WorkloadStatus.HEALTHY : WorkloadStatus.UNHEALTHY,
    clusterId: settings.clusterId,
    services: membershipsOf(context.services, (service) => portsOf(service, pod)),
    authorizationPolicies: context.policies.toSorted(),
    waypoint: context.waypoint,
    applicationTunnel: context.applicationTunnel,
    locality,
  });
}

/** `undefined` when the node says nothing. */
export function localityOf({ metadata }: Node): Locality | undefined {
  const labels = metadata.labels ?? {};
  const locality = {
    region: labels['topology.kubernetes.io/region'] ?? '',
    zone: labels['topology.kubernetes.io/zone'] ?? '',
    subzone: labels['topology.istio.io/subzone'] ?? '',
  };
  return Object.values(locality).some((name) => name !== '') ? locality : undefined;
}

function podIps({ status }: Pod): readonly string[] {
  const given = status?.podIPs?.map(({ ip }) => ip) ?? (status?.podIP ? [status.podIP] : []);
  return [...new Set(given.flatMap((ip) => parseIp(ip) ?? []))];
}

function isHealthy(pod: Pod): boolean {
  const ready = pod.status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
  return ready && !isEnding(pod);
}

function portsOf({ kind, ports, targetPorts }: PodService, pod: Pod): PortList {
  if (targetPorts) return endpointPorts(ports, ({ servicePort }) => targetPorts.get(servicePort));
  return endpointPorts(ports, ({ name, targetPort, targetPortName }) => {
    if (targetPortName !== '') return containerPortNamed(pod, targetPortName);
    return (kind === 'ServiceEntry' ? containerPortNamed(pod, name) : undefined) ?? targetPort;
  });
}

/** Containers that serve: the init containers that go on running are among them. */
function containerPortNamed({ spec = {} }: Pod, wanted: string): number | undefined {
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  const containers = [...(spec.containers ?? []), ...sidecars];
  return containers
    .flatMap(({ ports = [] }) => ports)
    .find(({ name, protocol = 'TCP' }) => name === wanted && protocol === 'TCP')?.containerPort;
}
