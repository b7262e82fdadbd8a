/**
 * Where a connection that reached a workload goes, or why it is refused: tunnelled ones at 15008, plaintext at 15006.
 *
 * Called after the method was checked and before authorization, whose destination is this decision's `to`.
 */
import { type Endpoint, familyOf, parseHostPort } from '@ambit/core/ip';
import { type ServiceKey, serviceKey } from '../address.ts';
import type { MeshView } from '../mesh.ts';
import type { Service } from '../service.ts';
import type { Workload } from '../workload.ts';

export interface InboundRequest {
  /** The workload whose listener took the connection. */
  readonly local: Workload;
  /** The local address of the TCP connection that carries the tunnel. */
  readonly connectedTo: Endpoint;
  /** `:authority` as received. */
  readonly authority: string;
  /** The `host` of the `forwarded` header: which service the client says it called. Only for reporting. */
  readonly forwardedHost: string | undefined;
  /** The network of this proxy. */
  readonly network: string;
}

export interface InboundOptions {
  /** Ports that lead back into the proxy. */
  readonly illegalPorts: ReadonlySet<number>;
  /** Whether a PROXY application tunnel is reached from and on loopback. Istio's default: true. */
  readonly localhostApplicationTunnel: boolean;
}

export interface InboundAccept {
  readonly kind: 'accept';
  /** What authorization sees, and where to connect unless {@link connectTo} differs. */
  readonly to: Endpoint;
  readonly connectTo: Endpoint;
  /** The source address of the connection to the application: the tunnel's peer, or loopback. */
  readonly connectFrom: 'peer' | 'loopback';
  /** Send a PROXY protocol header that names this as destination, before any byte of the stream. */
  readonly proxyProtocolTarget: Endpoint | undefined;
  /** Only for reporting. */
  readonly service: Service | undefined;
}

export interface InboundRefuse {
  readonly kind: 'refuse';
  /** What a tunnelled connection is answered; plaintext is closed. */
  readonly status: 400 | 503;
  readonly reason:
    | 'bad-authority'
    | 'ip-mismatch'
    | 'unknown-hostname'
    | 'unknown-port'
    | 'self-call'
    | 'no-vip-for-tunnel';
  readonly message: string;
}

export type InboundDecision = InboundAccept | InboundRefuse;

export function decideInbound(
  mesh: MeshView,
  request: InboundRequest,
  options: InboundOptions,
): InboundDecision {
  const named = parseAuthority(request.authority);
  if (named === undefined)
    return refuse(400, 'bad-authority', `not an ip:port or host:port: ${request.authority}`);
  if (named.kind === 'ip' && !mayReach(mesh, request, named.endpoint.ip)) {
    const message = `ip mismatch: ${request.connectedTo.ip} != ${named.endpoint.ip}`;
    return refuse(400, 'ip-mismatch', message);
  }
  const hop =
    named.kind === 'ip' ? hopToAddress(mesh, request, named.endpoint) : hopToHost(mesh, request, named);
  if (hop.kind === 'refuse') return hop;
  if (options.illegalPorts.has(hop.port)) return selfCall(hop.port);
  return finish(request, options, hop);
}

/** Plaintext that was redirected to 15006: refused only when it leads back into the proxy. */
export function decidePlaintext(
  mesh: MeshView,
  request: { readonly local: Workload; readonly originalDestination: Endpoint },
  options: Pick<InboundOptions, 'illegalPorts'>,
): InboundDecision {
  const { local, originalDestination: to } = request;
  if (options.illegalPorts.has(to.port)) return selfCall(to.port);
  const service = servedOn(mesh, local, to.port, undefined);
  return { kind: 'accept', to, connectTo: to, connectFrom: 'peer', proxyProtocolTarget: undefined, service };
}

type Authority =
  | { readonly kind: 'ip'; readonly endpoint: Endpoint }
  | { readonly kind: 'host'; readonly hostname: string; readonly port: number };

function parseAuthority(authority: string): Authority | undefined {
  const endpoint = parseHostPort(authority);
  if (endpoint) return endpoint.port === 0 ? undefined : { kind: 'ip', endpoint };
  const match = /^([A-Za-z0-9_*.-]{1,253}):([0-9]{1,5})$/.exec(authority);
  const port = Number(match?.[2]);
  const hostname = match?.[1];
  if (hostname === undefined || port === 0 || port > 65_535 || /^[0-9.]+$/.test(hostname)) return undefined;
  return { kind: 'host', hostname, port };
}

/** The tunnel may name its own address, anything behind an application tunnel, and what this workload is waypoint of. */
function mayReach(mesh: MeshView, { local, connectedTo, network }: InboundRequest, ip: string): boolean {
  if (connectedTo.ip === ip || local.applicationTunnel) return true;
  const waypoint = (mesh.workloadAt(network, ip) ?? mesh.serviceAt(network, ip, undefined))?.waypoint;
  if (waypoint === undefined) return false;
  const { destination } = waypoint;
  if (destination.kind === 'hostname') return servesOrOwns(mesh, destination.service, local, connectedTo.ip);
  const { address } = destination;
  const service = mesh.serviceAt(address.network, address.ip, undefined);
  if (service) return mesh.endpointOf(service.key, local.uid) !== undefined;
  return mesh.workloadAt(address.network, address.ip)?.addresses.includes(connectedTo.ip) ?? false;
}

function servesOrOwns(mesh: MeshView, key: ServiceKey, local: Workload, ip: string): boolean {
  const found = mesh.findHostname(key);
  if (found === undefined) return false;
  return 'vips' in found ? mesh.endpointOf(found.key, local.uid) !== undefined : found.addresses.includes(ip);
}

interface Hop {
  readonly kind: 'hop';
  readonly port: number;
  readonly service: Service | undefined;
  /** What a PROXY application tunnel is told; `undefined` when a hostname has no address on this network. */
  readonly tunnelTarget: Endpoint | undefined;
}

function hopToAddress(mesh: MeshView, { local, forwardedHost }: InboundRequest, endpoint: Endpoint): Hop {
  const service = servedOn(mesh, local, endpoint.port, forwardedHost);
  return { kind: 'hop', port: endpoint.port, service, tunnelTarget: endpoint };
}

function hopToHost(
  mesh: MeshView,
  { local, network }: InboundRequest,
  { hostname, port }: { readonly hostname: string; readonly port: number },
): Hop | InboundRefuse {
  const service =
    mesh.serviceByKey(serviceKey(local.namespace, hostname)) ?? mesh.servicesByHostname(hostname)[0];
  if (service === undefined)
    return refuse(503, 'unknown-hostname', `no service has the hostname ${hostname}`);
  const target = mesh.endpointOf(service.key, local.uid)?.ports.get(port) ?? service.ports.get(port) ?? 0;
  if (target === 0) return refuse(503, 'unknown-port', `${service.key} has no port ${port} on ${local.uid}`);
  const vips = service.vips.filter((vip) => vip.network === network);
  const vip = vips.find(({ ip }) => familyOf(ip) === 4) ?? vips[0];
  return { kind: 'hop', port: target, service, tunnelTarget: vip && { ip: vip.ip, port } };
}

function finish(
  { local, connectedTo, authority }: InboundRequest,
  options: InboundOptions,
  hop: Hop,
): InboundDecision {
  const tunnel = local.applicationTunnel;
  const port = tunnel?.port ?? hop.port;
  if (options.illegalPorts.has(port)) return selfCall(port);
  const to = { ip: connectedTo.ip, port };
  const { service } = hop;
  if (tunnel?.protocol !== 'PROXY') {
    return {
      kind: 'accept',
      to,
      connectTo: to,
      connectFrom: 'peer',
      proxyProtocolTarget: undefined,
      service,
    };
  }
  if (hop.tunnelTarget === undefined) {
    const message = `the application tunnel needs an address for ${authority}, and its service has no VIP here`;
    return refuse(503, 'no-vip-for-tunnel', message);
  }
  const loopback = options.localhostApplicationTunnel;
  return {
    kind: 'accept',
    to,
    connectTo: loopback ? { ip: familyOf(to.ip) === 4 ? '127.0.0.1' : '::1', port } : to,
    connectFrom: loopback ? 'loopback' : 'peer',
    proxyProtocolTarget: hop.tunnelTarget,
    service,
  };
}

/** The service of the workload that the client says it called, or else the first whose target port it is. */
function servedOn(
  mesh: MeshView,
  local: Workload,
  port: number,
  forwardedHost: string | undefined,
): Service | undefined {
  const services = local.services.flatMap((membership) => {
    const service = mesh.serviceByKey(membership.service);
    return service ? [{ service, ports: membership.ports }] : [];
  });
  const named = services.find(({ service }) => service.hostname === forwardedHost);
  const serving = services.find(
    ({ service, ports }) => ports.values().some((target) => target === port) || servesPort(service, port),
  );
  return (named ?? serving)?.service;
}

function servesPort(service: Service, port: number): boolean {
  return service.ports.values().some((target) => target === port);
}

function selfCall(port: number): InboundRefuse {
  return refuse(503, 'self-call', `port ${port} leads back into the proxy`);
}

function refuse(status: 400 | 503, reason: InboundRefuse['reason'], message: string): InboundRefuse {
  return { kind: 'refuse', status, reason, message };
}
