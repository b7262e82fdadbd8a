/** A Kubernetes Service as the mesh's Service. Pure. */
import {
  createService,
  HealthPolicy,
  IpFamilies,
  LoadBalancingMode,
  LoadBalancingScope,
  type LoadBalancing,
  type Service as MeshService,
} from '@ambit/api/workload';
import { bytesOfIp, parseIp } from '@ambit/core/ip';
import type { Labels } from '@ambit/kube/label-selector';
import type { Service, ServicePort } from '@ambit/kube/resources/core';
import { appProtocolOf } from './app-protocol.ts';
import type { MeshSettings } from './settings.ts';
import { routingPreference, TRAFFIC_DISTRIBUTION_ANNOTATION } from './traffic-distribution.ts';
import type { WaypointBinding } from './waypoint-binding.ts';

export const INGRESS_USE_WAYPOINT_LABEL = 'istio.io/ingress-use-waypoint';

/** What a namespace says about its services. */
export interface NamespaceDefaults {
  readonly trafficDistribution: string | undefined;
  readonly ingressUseWaypoint: string | undefined;
}

export interface ServiceContext {
  readonly settings: MeshSettings;
  readonly network: string;
  readonly namespace: NamespaceDefaults | undefined;
  readonly binding: WaypointBinding;
}

/** `name.namespace.svc.cluster.local`. */
export function hostnameOf({ metadata }: Service, { domain }: MeshSettings): string {
  return `${metadata.name}.${metadata.namespace ?? ''}.svc.${domain}`;
}

/** Texts that say yes; Istio reads the label as Go reads a boolean. */
const YES: ReadonlySet<string> = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);

/** A label of the object, whatever it says, goes before that of its namespace. */
export function usesWaypointForIngress(
  labels: Labels | undefined,
  namespace: NamespaceDefaults | undefined,
): boolean {
  return YES.has(labels?.[INGRESS_USE_WAYPOINT_LABEL] ?? namespace?.ingressUseWaypoint ?? '');
}

/** `undefined` for a name that only points elsewhere. */
export function translateService(service: Service, context: ServiceContext): MeshService | undefined {
  const { metadata, spec = {} } = service;
  if (spec.type === 'ExternalName') return undefined;
  const ips = spec.clusterIPs ?? (spec.clusterIP ? [spec.clusterIP] : []);
  return createService({
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    hostname: hostnameOf(service, context.settings),
    addresses: ips.flatMap((ip) => {
      const bytes = bytesOfIp(parseIp(ip) ?? '');
      return bytes ? [{ network: context.network, address: bytes }] : [];
    }),
    ports: (spec.ports ?? []).map((port) => ({
      servicePort: port.port,
      targetPort: targetPortOf(port),
      appProtocol: appProtocolOf(port),
    })),
    loadBalancing: loadBalancingOf(service, context.namespace),
    ipFamilies: ipFamiliesOf(spec.ipFamilies ?? []),
    canonical: true,
    waypoint: context.binding.waypoint?.address,
    weightedWaypoints: context.binding.weighted,
    ingressUseWaypoint: usesWaypointForIngress(metadata.labels, context.namespace),
  });
}

/** 0 where the port has a name: each workload says which of its ports that is. */
function targetPortOf({ port, targetPort = port }: ServicePort): number {
  return typeof targetPort === 'number' ? targetPort || port : 0;
}

function loadBalancingOf(
  { metadata, spec = {} }: Service,
  namespace: NamespaceDefaults | undefined,
): LoadBalancing | undefined {
  const healthPolicy = spec.publishNotReadyAddresses ? HealthPolicy.ALLOW_ALL : HealthPolicy.ONLY_HEALTHY;
  if (spec.internalTrafficPolicy === 'Local')
    return { routingPreference: [LoadBalancingScope.NODE], mode: LoadBalancingMode.STRICT, healthPolicy };
  const preference = routingPreference(
    spec.trafficDistribution,
    metadata.annotations?.[TRAFFIC_DISTRIBUTION_ANNOTATION],
    namespace?.trafficDistribution,
  );
  if (preference) return { routingPreference: preference, mode: LoadBalancingMode.FAILOVER, healthPolicy };
  return spec.publishNotReadyAddresses
    ? { routingPreference: [], mode: LoadBalancingMode.UNSPECIFIED_MODE, healthPolicy }
    : undefined;
}

function ipFamiliesOf(families: readonly string[]): IpFamilies {
  if (families.length > 1) return IpFamilies.DUAL;
  if (families[0] === 'IPv4') return IpFamilies.IPV4_ONLY;
  return families[0] === 'IPv6' ? IpFamilies.IPV6_ONLY : IpFamilies.AUTOMATIC;
}
