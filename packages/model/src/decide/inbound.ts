/**
 * Where a tunnelled connection that reached a workload's 15008 goes, or why it is refused.
 *
 * Called after the method was checked and before authorization, whose destination is this decision's `to`.
 */
import type { Endpoint } from '@ambit/core/ip';
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

export type DecideInbound = (
  mesh: MeshView,
  request: InboundRequest,
  options: InboundOptions,
) => InboundDecision;

/** Plaintext that was redirected to 15006: refused only when it leads back into the proxy. */
export type DecidePlaintext = (
  mesh: MeshView,
  request: { readonly local: Workload; readonly originalDestination: Endpoint },
  options: Pick<InboundOptions, 'illegalPorts'>,
) => InboundDecision;
