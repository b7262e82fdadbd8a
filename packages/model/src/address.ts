/**
 * Addresses as the mesh names them: an IP within a network, a hostname within a namespace, and where a waypoint or
 * a gateway is. IPs are canonical text (`@ambit/core/ip`).
 */
import type { Cidr } from '@ambit/core/ip';

/** An address in one of the mesh's networks; `network` is empty for the only one. */
export interface NetworkAddress {
  readonly network: string;
  readonly ip: string;
}

export interface NetworkCidr {
  readonly network: string;
  readonly cidr: Cidr;
}

/** `namespace/hostname`: the primary key of a service. */
export type ServiceKey = `${string}/${string}`;

export type GatewayDestination =
  | { readonly kind: 'hostname'; readonly service: ServiceKey }
  | { readonly kind: 'address'; readonly address: NetworkAddress };

/** Where a waypoint or a network gateway is, and on which port it takes HBONE. */
export interface GatewayAddress {
  readonly destination: GatewayDestination;
  readonly hboneMtlsPort: number;
}

export function serviceKey(namespace: string, hostname: string): ServiceKey {
  return `${namespace}/${hostname}`;
}

/** The namespace and the hostname of a key; `undefined` if the text is none. Hostnames hold no slash. */
export function splitServiceKey(
  text: string,
): { readonly namespace: string; readonly hostname: string } | undefined {
  const slash = text.indexOf('/');
  if (slash < 0 || text.indexOf('/', slash + 1) >= 0) return undefined;
  return { namespace: text.slice(0, slash), hostname: text.slice(slash + 1) };
}

/** `network/ip`, as the control plane names addresses in aliases and on-demand requests. */
export function formatNetworkAddress({ network, ip }: NetworkAddress): string {
  return `${network}/${ip}`;
}

/** `ns/host` or `network/ip`, for messages and dumps. */
export function formatGatewayDestination(destination: GatewayDestination): string {
  return destination.kind === 'hostname' ? destination.service : formatNetworkAddress(destination.address);
}
