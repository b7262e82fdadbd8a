/** EndpointSlices that somebody else than Kubernetes fills: endpoints that are no pods, and pods without a selector. */
import {
  createWorkload,
  NetworkMode,
  type PortList,
  type Workload,
  WorkloadStatus,
  WorkloadType,
} from '@ambit/api/workload';
import { bytesOfIp, parseIp } from '@ambit/core/ip';
import type { Endpoint, EndpointSlice } from '@ambit/kube/resources/core';
import { endpointPorts, type OfferedPort } from './offered-ports.ts';
import { type MeshSettings, wireTrustDomain } from './settings.ts';

const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

/** The name of the Service, in the same namespace, that the slice belongs to. */
export function serviceNameOf({ metadata }: EndpointSlice): string | undefined {
  return metadata.labels?.[SERVICE_NAME_LABEL] || undefined;
}

export function isPod({ targetRef }: Endpoint): boolean {
  return targetRef?.kind === 'Pod';
}

/** By service port, the port of the slice with the same name. */
export function targetPortsOf(
  slice: EndpointSlice,
  ports: readonly OfferedPort[],
): ReadonlyMap<number, number> {
  return new Map(
    ports.flatMap(({ servicePort, name }): readonly [number, number][] => {
      const target = slice.ports?.find((candidate) => (candidate.name ?? '') === name)?.port;
      return target === undefined ? [] : [[servicePort, target]];
    }),
  );
}

export interface EndpointSliceContext {
  readonly settings: MeshSettings;
  readonly network: string;
  /** `namespace/hostname` and the ports of the Service. */
  readonly service: { readonly key: string; readonly ports: readonly OfferedPort[] };
}

/** One workload for each address that is not a pod's. */
export function translateEndpointSlice(
  slice: EndpointSlice,
  context: EndpointSliceContext,
): readonly Workload[] {
  if (slice.addressType === 'FQDN') return [];
  const ports = tcpPorts(slice, context.service.ports);
  return (slice.endpoints ?? [])
    .filter((endpoint) => !isPod(endpoint))
    .flatMap((endpoint) =>
      endpoint.addresses.flatMap((address) => workloadOf(slice, endpoint, address, ports, context)),
    );
}

function workloadOf(
  { metadata }: EndpointSlice,
  { conditions }: Endpoint,
  address: string,
  ports: PortList,
  { settings, network, service }: EndpointSliceContext,
): readonly Workload[] {
  const ip = parseIp(address);
  const bytes = ip === undefined ? undefined : bytesOfIp(ip);
  if (!bytes) return [];
  const workload = createWorkload({
    uid: `${settings.clusterId}/discovery.k8s.io/EndpointSlice/${metadata.namespace ?? ''}/${metadata.name}/${ip}`,
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    addresses: [bytes],
    network,
    networkMode: NetworkMode.HOST_NETWORK,
    trustDomain: wireTrustDomain(settings),
    workloadType: WorkloadType.POD,
    clusterId: settings.clusterId,
    status: (conditions?.ready ?? true) ? WorkloadStatus.HEALTHY : WorkloadStatus.UNHEALTHY,
    services: new Map([[service.key, ports]]),
  });
  return [workload];
}

function tcpPorts(slice: EndpointSlice, ports: readonly OfferedPort[]): PortList {
  const targets = targetPortsOf(slice, ports);
  const tcp = ports.filter(({ protocol }) => protocol === 'TCP');
  return endpointPorts(tcp, ({ servicePort }) => targets.get(servicePort));
}
