/** A pod as the mesh's Workload. Pure: what it needs of other objects comes in the context. */
import {
  type ApplicationTunnel,
  createWorkload,
  type GatewayAddress,
  type Locality,
  NetworkMode,
  type PortList,
  TunnelProtocol,
  type Workload,
  WorkloadStatus,
  WorkloadType,
} from '@ambit/api/workload';
import { bytesOfIp, parseIp } from '@ambit/core/ip';
import type { Node, Pod, ServicePort } from '@ambit/kube/resources/core';
import { canonicalNames } from '@ambit/kube/workload-name';
import { appProtocolOf } from './app-protocol.ts';
import { type MeshSettings, wireTrustDomain } from './settings.ts';

const REDIRECTION_ANNOTATION = 'ambient.istio.io/redirection';
const TUNNEL_LABEL = 'networking.istio.io/tunnel';

/** A Service that the pod is an endpoint of. */
export interface PodService {
  /** `namespace/hostname`. */
  readonly key: string;
  readonly ports: readonly ServicePort[];
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

export function uidOfPod({ metadata }: Pod, { clusterId }: MeshSettings): string {
  return `${clusterId}//Pod/${metadata.namespace ?? ''}/${metadata.name}`;
}

export function translatePod(pod: Pod, context: PodContext): Workload {
  const { metadata, spec = {} } = pod;
  const { settings, network, locality } = context;
  const nativeTunnel = (metadata.labels?.[TUNNEL_LABEL] ?? '').includes('http');
  const captured = metadata.annotations?.[REDIRECTION_ANNOTATION] === 'enabled';
  return createWorkload({
    uid: uidOfPod(pod, settings),
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    addresses: podIps(pod).flatMap((ip) => bytesOfIp(ip) ?? []),
    network,
    networkMode: spec.hostNetwork ? NetworkMode.HOST_NETWORK : NetworkMode.STANDARD,
    tunnelProtocol: captured || nativeTunnel ? TunnelProtocol.HBONE : TunnelProtocol.NONE,
    nativeTunnel,
    trustDomain: wireTrustDomain(settings),
    serviceAccount: spec.serviceAccountName || 'default',
    node: spec.nodeName ?? '',
    ...canonicalNames(pod),
    workloadType: WorkloadType.POD,
    status: isHealthy(pod) ? WorkloadStatus.HEALTHY : WorkloadStatus.UNHEALTHY,
    clusterId: settings.clusterId,
    services: new Map(
      [...context.services]
        .sort((a, b) => (a.key < b.key ? -1 : 1))
        .map((service) => [service.key, portsOf(service, pod)]),
    ),
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

function isHealthy({ metadata, status }: Pod): boolean {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
  return ready && metadata.deletionTimestamp === undefined;
}

/** A port by a name that the pod does not have is left out. */
function portsOf(service: PodService, pod: Pod): PortList {
  const ports = service.ports.flatMap((port) => {
    const target = service.targetPorts ? service.targetPorts.get(port.port) : targetPortOf(port, pod);
    return target === undefined
      ? []
      : [{ servicePort: port.port, targetPort: target, appProtocol: appProtocolOf(port) }];
  });
  return { ports };
}

function targetPortOf({ port, targetPort = port }: ServicePort, { spec = {} }: Pod): number | undefined {
  if (typeof targetPort === 'number') return targetPort || port;
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  const containers = [...(spec.containers ?? []), ...sidecars];
  return containers
    .flatMap(({ ports = [] }) => ports)
    .find(({ name, protocol = 'TCP' }) => name === targetPort && protocol === 'TCP')?.containerPort;
}
