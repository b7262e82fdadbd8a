/**
 * One instance of an application: a pod, a virtual machine, an endpoint outside, or a gateway to another network.
 *
 * Values are immutable and shared: strings and parts that many workloads have in common are one object (intern.ts),
 * because each thread may come to hold every workload of the mesh. Enumerations are spelled as in `/config_dump`.
 */
import type { GatewayAddress, ServiceKey } from './address.ts';

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** How the application itself takes tunnelled traffic: `PROXY` is PROXY protocol v2, `NONE` is plain TCP. */
export interface ApplicationTunnel {
  readonly protocol: 'NONE' | 'PROXY';
  /** Overrides the port that the client asked for. */
  readonly port: number | undefined;
}

/** Service port → target port. */
export type PortMap = ReadonlyMap<number, number>;

/** That a workload is an endpoint of a service, and on which ports. */
export interface Membership {
  readonly service: ServiceKey;
  readonly ports: PortMap;
}

export type Health = 'Healthy' | 'Unhealthy';

export interface Workload {
  /** Primary key; `cluster//Pod/namespace/name` for a pod. */
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  /** Canonical IPs; may be empty when {@link hostname} or {@link networkGateway} is set. */
  readonly addresses: readonly string[];
  readonly network: string;
  /** What its node takes for it: a tunnel to 15008, or plain TCP only. */
  readonly protocol: 'TCP' | 'HBONE';
  /** `HostNetwork`: shares its node's address, so its address says nothing about it. */
  readonly networkMode: 'Standard' | 'HostNetwork';
  readonly trustDomain: string;
  readonly serviceAccount: string;
  /** `spiffe://trust-domain/ns/namespace/sa/service-account`. */
  readonly identity: string;
  readonly waypoint: GatewayAddress | undefined;
  readonly networkGateway: GatewayAddress | undefined;
  readonly node: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  /** `deployment`, `cronjob`, `pod` or `job`; free text in local files. */
  readonly workloadType: string;
  readonly workloadName: string;
  readonly nativeTunnel: boolean;
  /** Keys of policies that select this workload. */
  readonly authorizationPolicies: readonly string[];
  readonly status: Health;
  readonly clusterId: string;
  /** Resolved by DNS when there are no addresses. */
  readonly hostname: string;
  readonly services: readonly Membership[];
  readonly applicationTunnel: ApplicationTunnel | undefined;
  readonly locality: Locality;
  /** Weight among the endpoints of a service; 0 receives nothing. */
  readonly capacity: number;
}

/** How metrics and logs name what a pod is an instance of. */
export interface WorkloadNames {
  readonly workloadName: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
}

/** What the node agent knows of a pod, and what finds its workload. */
export interface LocalPod {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Only our agent says so. */
  readonly names?: WorkloadNames;
}

export interface IdentityParts {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

export function formatIdentity({ trustDomain, namespace, serviceAccount }: IdentityParts): string {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}

/** The parts of `spiffe://td/ns/namespace/sa/service-account`; `undefined` for any other text. */
export function parseIdentity(identity: string): IdentityParts | undefined {
  const [scheme, empty, trustDomain, ns, namespace, sa, serviceAccount, ...rest] = identity.split('/');
  if (scheme !== 'spiffe:' || empty !== '' || ns !== 'ns' || sa !== 'sa' || rest.length > 0) return undefined;
  if (trustDomain === undefined || namespace === undefined || serviceAccount === undefined) return undefined;
  return { trustDomain, namespace, serviceAccount };
}
