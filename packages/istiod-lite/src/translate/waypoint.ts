/**
 * A Gateway as a waypoint: where it is reached, what it takes, and from which namespaces. Pure.
 *
 * Any Gateway that has been given an address is one, whatever its class; who may use it is for its listener to say.
 */
import { type ApplicationTunnel, ApplicationTunnelProtocol, type GatewayAddress } from '@ambit/api/workload';
import { bytesOfIp, parseIp } from '@ambit/core/ip';
import { type Labels, type LabelSelector, selects } from '@ambit/kube/label-selector';
import type { Gateway, GatewayClass, GatewayListener } from '@ambit/kube/resources/gateway';
import { parsePort } from './matchers.ts';

const WAYPOINT_FOR_LABEL = 'istio.io/waypoint-for';
const INBOUND_BINDING_ANNOTATION = 'ambient.istio.io/waypoint-inbound-binding';
/** On the pods of a Gateway: its name. */
export const GATEWAY_NAME_LABEL = 'gateway.networking.k8s.io/gateway-name';
/** Of the GatewayClass of waypoints. */
export const WAYPOINT_CONTROLLER = 'istio.io/mesh-controller';
const HBONE_PORT = 15_008;
const PROXY_LISTENER_PROTOCOL = 'istio.io/PROXY';

/** What a waypoint takes traffic for. `none` takes none. */
export type TrafficType = 'service' | 'workload' | 'all' | 'none';

/** Which namespaces may send traffic through a waypoint. */
export type Admission =
  | { readonly from: 'all' }
  | { readonly from: 'same' }
  | { readonly from: 'selected'; readonly selector: LabelSelector | undefined };

export interface Waypoint {
  readonly namespace: string;
  readonly name: string;
  /** What proxies are told. */
  readonly address: GatewayAddress;
  readonly trafficType: TrafficType;
  /** How the waypoint's own pods want tunnelled connections handed on; absent: they end tunnels themselves. */
  readonly applicationTunnel: ApplicationTunnel | undefined;
  readonly admits: Admission;
}

/** `namespace/name`. */
export function waypointKey({ namespace, name }: Pick<Waypoint, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`;
}

/** `undefined` until the Gateway has an address that can be used. */
export function translateWaypoint(
  gateway: Gateway,
  gatewayClass: GatewayClass | undefined,
  network: string,
): Waypoint | undefined {
  const { namespace = '', name } = gateway.metadata;
  const address = addressOf(gateway, network);
  if (!address) return undefined;
  const applicationTunnel = applicationTunnelOf(
    gateway.metadata.annotations?.[INBOUND_BINDING_ANNOTATION] ??
      gatewayClass?.metadata.annotations?.[INBOUND_BINDING_ANNOTATION],
  );
  return {
    namespace,
    name,
    address,
    trafficType: trafficTypeOf(
      gateway.metadata.labels?.[WAYPOINT_FOR_LABEL] ?? gatewayClass?.metadata.labels?.[WAYPOINT_FOR_LABEL],
    ),
    applicationTunnel,
    admits: admissionOf(listenerOf(gateway, applicationTunnel)),
  };
}

/** @param labels - Of the namespace that wants to use the waypoint. */
export function admitsNamespace(waypoint: Waypoint, namespace: string, labels: Labels | undefined): boolean {
  switch (waypoint.admits.from) {
    case 'all':
      return true;
    case 'same':
      return waypoint.namespace === namespace;
    case 'selected':
      return selects(waypoint.admits.selector, labels);
    default:
      return waypoint.admits satisfies never;
  }
}

export function takesTraffic({ trafficType }: Waypoint, of: 'service' | 'workload'): boolean {
  return trafficType === of || trafficType === 'all';
}

/** A name first: it stays when addresses change, and means every family of them. */
function addressOf({ metadata, status }: Gateway, network: string): GatewayAddress | undefined {
  const addresses = status?.addresses ?? [];
  const named = addresses.find(({ type, value }) => type === 'Hostname' && value !== '');
  if (named) {
    const value = { namespace: metadata.namespace ?? '', hostname: named.value };
    return { destination: { $case: 'hostname', value }, hboneMtlsPort: HBONE_PORT };
  }
  for (const { type = 'IPAddress', value } of addresses) {
    const address = type === 'IPAddress' ? bytesOfIp(parseIp(value) ?? '') : undefined;
    if (address)
      return { destination: { $case: 'address', value: { network, address } }, hboneMtlsPort: HBONE_PORT };
  }
  return undefined;
}

/** A word that is none of the four takes nothing, as in Istio. */
function trafficTypeOf(label: string | undefined): TrafficType {
  if (label === undefined) return 'service';
  return label === 'service' || label === 'workload' || label === 'all' ? label : 'none';
}

/** Reads `PROXY`, `NONE`, `PROXY/port` and `NONE/port`; anything else is as if it were not there. */
function applicationTunnelOf(annotation: string | undefined): ApplicationTunnel | undefined {
  const match = /^(PROXY|NONE)(?:\/(\d+))?$/.exec(annotation ?? '');
  if (!match) return undefined;
  const port = match[2] === undefined ? 0 : parsePort(match[2]);
  if (port === undefined) return undefined;
  return { protocol: ApplicationTunnelProtocol[match[1] === 'PROXY' ? 'PROXY' : 'NONE'], port };
}

/** The listener that traffic to the waypoint ends at. */
function listenerOf({ spec }: Gateway, tunnel: ApplicationTunnel | undefined): GatewayListener | undefined {
  const listeners = spec?.listeners ?? [];
  const isBound = ({ port, protocol }: GatewayListener) =>
    tunnel !== undefined &&
    (tunnel.port === 0
      ? tunnel.protocol === ApplicationTunnelProtocol.PROXY && protocol === PROXY_LISTENER_PROTOCOL
      : port === tunnel.port);
  return (
    listeners.find(isBound) ??
    listeners.find(({ port, protocol }) => port === HBONE_PORT && protocol === 'HBONE')
  );
}

function admissionOf(listener: GatewayListener | undefined): Admission {
  const { from, selector } = listener?.allowedRoutes?.namespaces ?? {};
  if (from === 'All') return { from: 'all' };
  return from === 'Selector' ? { from: 'selected', selector } : { from: 'same' };
}
