/**
 * A service as the data plane sees it: where it is addressed, which ports it has, how its traffic is spread.
 *
 * Endpoints are not part of it. They come from the workloads that name the service, and live in the mesh (mesh.ts).
 */
import type { GatewayAddress, NetworkAddress, NetworkCidr, ServiceKey } from './address.ts';
import type { Health, PortMap } from './workload.ts';

export type Scope = 'Region' | 'Zone' | 'Subzone' | 'Node' | 'Cluster' | 'Network';

/** What is spoken on a port, as its name or `appProtocol` declares it. */
export type AppProtocol = 'HTTP11' | 'HTTP2' | 'GRPC' | 'TCP' | 'TLS';

export interface LoadBalancer {
  readonly routingPreferences: readonly Scope[];
  /** `Passthrough`: the address that the client chose is where the connection goes. */
  readonly mode: 'Standard' | 'Strict' | 'Failover' | 'Passthrough';
  readonly healthPolicy: 'OnlyHealthy' | 'AllowAll';
}

export interface WeightedWaypoint {
  readonly destination: GatewayAddress;
  readonly weight: number;
}

export interface Service {
  readonly key: ServiceKey;
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly vips: readonly NetworkAddress[];
  readonly cidrVips: readonly NetworkCidr[];
  /** Target port 0: each endpoint says its own. */
  readonly ports: PortMap;
  /** By service port; one that declares nothing is not here. */
  readonly appProtocols: ReadonlyMap<number, AppProtocol>;
  /** Identities that any endpoint may prove besides its own. */
  readonly subjectAltNames: readonly string[];
  readonly waypoint: GatewayAddress | undefined;
  /** When any has a weight, one of them is drawn for each connection instead of {@link waypoint}. */
  readonly weightedWaypoints: readonly WeightedWaypoint[];
  readonly loadBalancer: LoadBalancer | undefined;
  /** `undefined`: as the client asked. */
  readonly ipFamilies: 'IPv4' | 'IPv6' | 'Dual' | undefined;
  /** Preferred among services of several namespaces that share a hostname or a VIP. */
  readonly canonical: boolean;
  /** `Namespace`: only clients of its namespace see it. */
  readonly visibility: 'Public' | 'Namespace';
}

/** What one workload offers to one service; shared among workloads that offer the same. */
export interface EndpointPorts {
  readonly ports: PortMap;
  readonly status: Health;
}

/** One endpoint of a service, as the mesh stores it. */
export interface ServiceEndpoint extends EndpointPorts {
  readonly workloadUid: string;
}
