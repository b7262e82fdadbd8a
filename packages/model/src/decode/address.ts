/**
 * Workloads and services from the bytes of an `istio.workload.Address`.
 *
 * What cannot be understood is a problem in words, never a guess: an unknown protocol or an address of five bytes
 * rejects its resource, and the mesh keeps the last good one. Empty fields get the defaults that the control plane elides.
 */
import {
  AppProtocol as AppProtocolMessage,
  ApplicationTunnelProtocol,
  decodeAddress as decodeMessage,
  HealthPolicy,
  IpFamilies,
  LoadBalancingMode,
  LoadBalancingScope,
  NetworkMode,
  TunnelProtocol,
  Visibility,
  WorkloadStatus,
  WorkloadType,
  type GatewayAddress as GatewayMessage,
  type LoadBalancing as LoadBalancingMessage,
  type NetworkAddress as NetworkAddressMessage,
  type Port as PortMessage,
  type Service as ServiceMessage,
  type Workload as WorkloadMessage,
} from '@ambit/api/workload';
import { messageOf } from '@ambit/core/errors';
import { cidrOf, formatIp } from '@ambit/core/ip';
import { type GatewayAddress, type NetworkAddress, type NetworkCidr, serviceKey } from '../address.ts';
import type { Interner } from '../intern.ts';
import { MAX_ADDRESSES, MAX_MEMBERSHIPS, MAX_POLICY_REFERENCES, MAX_PORTS } from '../limits.ts';
import type { AppProtocol, LoadBalancer, Scope, Service, WeightedWaypoint } from '../service.ts';
import { formatIdentity, type Membership, type PortMap, type Workload } from '../workload.ts';
import { atMost, nameOf, portOf, Problem, pick } from './problem.ts';
import { takeReplicaApart } from './replicas.ts';
import { appProtocolMap, internWorkload, portMap, replicaOf } from './share.ts';

export type DecodedAddress =
  | { readonly kind: 'workload'; readonly workload: Workload }
  | { readonly kind: 'service'; readonly service: Service }
  | { readonly kind: 'problem'; readonly problem: string };

export function decodeAddress(bytes: Uint8Array, interner: Interner): DecodedAddress {
  const replica = takeReplicaApart(bytes);
  if (!replica) return decodeWhole(bytes, interner);
  const alike = interner.alike(replica.rest);
  if (alike) return { kind: 'workload', workload: replicaOf(alike, replica.own, interner) };
  const decoded = decodeWhole(bytes, interner);
  if (decoded.kind === 'workload') interner.remember(replica.rest, decoded.workload);
  return decoded;
}

function decodeWhole(bytes: Uint8Array, interner: Interner): DecodedAddress {
  try {
    const { type } = decodeMessage(bytes);
    switch (type?.$case) {
      case undefined:
        return { kind: 'problem', problem: 'neither a workload nor a service' };
      case 'workload':
        return { kind: 'workload', workload: workloadOf(type.value, interner) };
      case 'service':
        return { kind: 'service', service: serviceOf(type.value, interner) };
      default:
        return type satisfies never;
    }
  } catch (error) {
    return { kind: 'problem', problem: messageOf(error) };
  }
}

const DEFAULT_TRUST_DOMAIN = 'cluster.local';
const DEFAULT_SERVICE_ACCOUNT = 'default';
const DEFAULT_CLUSTER = 'Kubernetes';

const PROTOCOLS = { [TunnelProtocol.NONE]: 'TCP', [TunnelProtocol.HBONE]: 'HBONE' } as const;
const NETWORK_MODES = {
  [NetworkMode.STANDARD]: 'Standard',
  [NetworkMode.HOST_NETWORK]: 'HostNetwork',
} as const;
const HEALTH = { [WorkloadStatus.HEALTHY]: 'Healthy', [WorkloadStatus.UNHEALTHY]: 'Unhealthy' } as const;
const TYPES = {
  [WorkloadType.DEPLOYMENT]: 'deployment',
  [WorkloadType.CRONJOB]: 'cronjob',
  [WorkloadType.POD]: 'pod',
  [WorkloadType.JOB]: 'job',
} as const;
const TUNNELS = {
  [ApplicationTunnelProtocol.NONE]: 'NONE',
  [ApplicationTunnelProtocol.PROXY]: 'PROXY',
} as const;

function workloadOf(message: WorkloadMessage, interner: Interner): Workload {
  if (message.uid === '') throw new Problem('uid is empty');
  const namespace = nameOf(message.namespace, 'namespace');
  const trustDomain = nameOf(message.trustDomain, 'trust_domain') || DEFAULT_TRUST_DOMAIN;
  const serviceAccount = nameOf(message.serviceAccount, 'service_account') || DEFAULT_SERVICE_ACCOUNT;
  const tunnel = message.applicationTunnel;
  return internWorkload(interner, {
    uid: nameOf(message.uid, 'uid'),
    name: nameOf(message.name, 'name'),
    namespace,
    addresses: addressesOf(message),
    network: nameOf(message.network, 'network'),
    protocol: pick(PROTOCOLS, message.tunnelProtocol, 'tunnel_protocol'),
    networkMode: pick(NETWORK_MODES, message.networkMode, 'network_mode'),
    trustDomain,
    serviceAccount,
    identity: formatIdentity({ trustDomain, namespace, serviceAccount }),
    waypoint: gatewayOf(message.waypoint, 'waypoint'),
    networkGateway: gatewayOf(message.networkGateway, 'network_gateway'),
    node: nameOf(message.node, 'node'),
    canonicalName: nameOf(message.canonicalName, 'canonical_name'),
    canonicalRevision: nameOf(message.canonicalRevision, 'canonical_revision'),
    workloadType: pick(TYPES, message.workloadType, 'workload_type'),
    workloadName: nameOf(message.workloadName, 'workload_name'),
    nativeTunnel: message.nativeTunnel,
    authorizationPolicies: atMost(
      message.authorizationPolicies,
      MAX_POLICY_REFERENCES,
      'authorization_policies',
    ),
    status: pick(HEALTH, message.status, 'status'),
    clusterId: nameOf(message.clusterId, 'cluster_id') || DEFAULT_CLUSTER,
    hostname: nameOf(message.hostname, 'hostname'),
    services: membershipsOf(message, interner),
    applicationTunnel: tunnel && {
      protocol: pick(TUNNELS, tunnel.protocol, 'application_tunnel.protocol'),
      port: tunnel.port === 0 ? undefined : portOf(tunnel.port, 'application_tunnel.port'),
    },
    locality: {
      region: message.locality?.region ?? '',
      zone: message.locality?.zone ?? '',
      subzone: message.locality?.subzone ?? '',
    },
    capacity: message.capacity ?? 1,
  });
}

function addressesOf({ addresses, hostname, networkGateway }: WorkloadMessage): readonly string[] {
  if (addresses.length === 0 && hostname === '' && networkGateway === undefined) {
    throw new Problem('neither addresses nor a hostname');
  }
  return atMost(addresses, MAX_ADDRESSES, 'addresses').map((bytes) => ipOf(bytes, 'addresses'));
}

function membershipsOf({ services }: WorkloadMessage, interner: Interner): readonly Membership[] {
  return atMost([...services], MAX_MEMBERSHIPS, 'services').map(([key, { ports }]) => {
    const [namespace = '', hostname, ...rest] = key.split('/');
    if (hostname === undefined || rest.length > 0)
      throw new Problem(`services: ${key} is not namespace/hostname`);
    return {
      service: serviceKey(nameOf(namespace, 'services'), nameOf(hostname, 'services')),
      ports: portsOf(ports, interner),
    };
  });
}

const MODES = {
  [LoadBalancingMode.UNSPECIFIED_MODE]: 'Standard',
  [LoadBalancingMode.STRICT]: 'Strict',
  [LoadBalancingMode.FAILOVER]: 'Failover',
  [LoadBalancingMode.PASSTHROUGH]: 'Passthrough',
} as const;
const HEALTH_POLICIES = {
  [HealthPolicy.ONLY_HEALTHY]: 'OnlyHealthy',
  [HealthPolicy.ALLOW_ALL]: 'AllowAll',
} as const;
const SCOPES = {
  [LoadBalancingScope.REGION]: 'Region',
  [LoadBalancingScope.ZONE]: 'Zone',
  [LoadBalancingScope.SUBZONE]: 'Subzone',
  [LoadBalancingScope.NODE]: 'Node',
  [LoadBalancingScope.CLUSTER]: 'Cluster',
  [LoadBalancingScope.NETWORK]: 'Network',
} as const satisfies Readonly<Record<number, Scope>>;
const FAMILIES = {
  [IpFamilies.AUTOMATIC]: undefined,
  [IpFamilies.IPV4_ONLY]: 'IPv4',
  [IpFamilies.IPV6_ONLY]: 'IPv6',
  [IpFamilies.DUAL]: 'Dual',
} as const;

function serviceOf(message: ServiceMessage, interner: Interner): Service {
  if (message.hostname === '') throw new Problem('hostname is empty');
  const namespace = interner.text(nameOf(message.namespace, 'namespace'));
  const hostname = interner.text(nameOf(message.hostname, 'hostname'));
  if (hostname.includes('/') || namespace.includes('/'))
    throw new Problem('a hostname and a namespace hold no slash');
  const addresses = atMost(message.addresses, MAX_ADDRESSES, 'addresses').map(vipOf);
  return {
    key: serviceKey(namespace, hostname),
    name: interner.text(nameOf(message.name, 'name')),
    namespace,
    hostname,
    vips: addresses.filter((address) => 'ip' in address),
    cidrVips: addresses.filter((address) => 'cidr' in address),
    ports: portsOf(message.ports, interner),
    appProtocols: appProtocolsOf(message.ports, interner),
    subjectAltNames: atMost(message.subjectAltNames, MAX_ADDRESSES, 'subject_alt_names'),
    waypoint: gatewayOf(message.waypoint, 'waypoint'),
    weightedWaypoints: weightedOf(message),
    loadBalancer: balancerOf(message.loadBalancing),
    ipFamilies: pick(FAMILIES, message.ipFamilies, 'ip_families'),
    canonical: message.canonical,
    visibility: message.visibility === Visibility.NAMESPACE ? 'Namespace' : 'Public',
  };
}

function vipOf({ network, address, length }: NetworkAddressMessage): NetworkAddress | NetworkCidr {
  if (length === undefined || length === address.length * 8)
    return { network, ip: ipOf(address, 'addresses') };
  const cidr = cidrOf(new Uint8Array(address), length);
  if (cidr === undefined)
    throw new Problem(`addresses: ${address.length} bytes with a prefix of ${length} bits`);
  return { network, cidr };
}

function weightedOf({ weightedWaypoints }: ServiceMessage): readonly WeightedWaypoint[] {
  return atMost(weightedWaypoints, MAX_MEMBERSHIPS, 'weighted_waypoints').map(({ destination, weight }) => {
    const gateway = gatewayOf(destination, 'weighted_waypoints');
    if (gateway === undefined) throw new Problem('weighted_waypoints: one has no destination');
    return { destination: gateway, weight };
  });
}

function balancerOf(message: LoadBalancingMessage | undefined): LoadBalancer | undefined {
  if (message === undefined) return undefined;
  return {
    routingPreferences: atMost(message.routingPreference, MAX_ADDRESSES, 'routing_preference').map((scope) =>
      pick(SCOPES, scope, 'routing_preference'),
    ),
    mode: pick(MODES, message.mode, 'load_balancing.mode'),
    healthPolicy: pick(HEALTH_POLICIES, message.healthPolicy, 'load_balancing.health_policy'),
  };
}

function gatewayOf(message: GatewayMessage | undefined, field: string): GatewayAddress | undefined {
  if (message === undefined) return undefined;
  const hboneMtlsPort = portOf(message.hboneMtlsPort, `${field}.hbone_mtls_port`);
  const { destination } = message;
  switch (destination?.$case) {
    case undefined:
      throw new Problem(`${field}: no destination`);
    case 'hostname': {
      const { namespace, hostname } = destination.value;
      if (hostname === '' || hostname.includes('/') || namespace.includes('/')) {
        throw new Problem(`${field}: not a hostname: ${namespace}/${hostname}`);
      }
      return { destination: { kind: 'hostname', service: serviceKey(namespace, hostname) }, hboneMtlsPort };
    }
    case 'address': {
      const { network, address } = destination.value;
      return {
        destination: { kind: 'address', address: { network, ip: ipOf(address, field) } },
        hboneMtlsPort,
      };
    }
    default:
      return destination satisfies never;
  }
}

function portsOf(ports: readonly PortMessage[], interner: Interner): PortMap {
  const pairs = atMost(ports, MAX_PORTS, 'ports').map(
    ({ servicePort, targetPort }) => [portOf(servicePort, 'ports'), portOf(targetPort, 'ports')] as const,
  );
  return portMap(interner, pairs);
}

const APP_PROTOCOLS: Readonly<Partial<Record<AppProtocolMessage, AppProtocol>>> = {
  [AppProtocolMessage.HTTP11]: 'HTTP11',
  [AppProtocolMessage.HTTP2]: 'HTTP2',
  [AppProtocolMessage.GRPC]: 'GRPC',
  [AppProtocolMessage.TCP]: 'TCP',
  [AppProtocolMessage.TLS]: 'TLS',
};

/** A protocol that is not known is as none declared: what is spoken is found out. */
function appProtocolsOf(ports: readonly PortMessage[], interner: Interner): Service['appProtocols'] {
  const pairs = ports.flatMap(({ servicePort, appProtocol }) => {
    const protocol = APP_PROTOCOLS[appProtocol];
    return protocol === undefined ? [] : [[servicePort, protocol] as const];
  });
  return appProtocolMap(interner, pairs);
}

function ipOf(bytes: Uint8Array, field: string): string {
  const ip = formatIp(bytes);
  if (ip === undefined) throw new Problem(`${field}: an address of ${bytes.length} bytes`);
  return ip;
}
