/**
 * Where a connection that a pod opened goes: the service or workload at its address, through which waypoint or gateway,
 * to which next hop, and which identities that must prove.
 *
 * Unknown addresses pass through in clear. A known service whose waypoint or endpoints are not there never does: that is
 * a refusal, because falling back would skip what the waypoint enforces.
 */
import type { Random } from '@ambit/core/clock';
import type { Endpoint } from '@ambit/core/ip';
import type { MeshView } from '../mesh.ts';
import type { Service } from '../service.ts';
import type { Workload } from '../workload.ts';

export interface RouteRequest {
  readonly source: Workload;
  /** Address that the application connects from. */
  readonly sourceIp: string;
  /** Address that the application connects to. */
  readonly target: Endpoint;
  /** The network of this proxy. */
  readonly network: string;
}

/** Connect to `to`, and speak `protocol` there. */
export interface Route {
  readonly kind: 'route';
  /** `passthrough`: nothing is known of the address. `gateway`: into another network. */
  readonly via: 'passthrough' | 'direct' | 'waypoint' | 'gateway';
  readonly protocol: 'TCP' | 'HBONE' | 'DOUBLEHBONE';
  /** Where the TCP connection goes. */
  readonly to: Endpoint;
  /** `:authority` of the tunnel, and of both tunnels with `DOUBLEHBONE`; empty with `TCP`. */
  readonly authority: string;
  /** Identities of which the peer must prove one; empty with `TCP` only. */
  readonly expectedIdentities: readonly string[];
  /** The same for the inner tunnel of `DOUBLEHBONE`; empty otherwise. */
  readonly innerIdentities: readonly string[];
  /** The service that the client addressed; for reporting. */
  readonly service: Service | undefined;
  /** The workload of the next hop: the destination, or a waypoint or gateway; for reporting. */
  readonly workload: Workload | undefined;
  /** Address of the destination itself where this proxy chose it; for reporting. */
  readonly destination: Endpoint;
}

export interface RouteRefusal {
  readonly kind: 'refuse';
  readonly reason:
    | 'recursion'
    | 'unknown-waypoint'
    | 'no-healthy-upstream'
    | 'no-valid-destination'
    | 'unknown-gateway'
    | 'no-service'
    | 'no-ip-addresses';
  readonly message: string;
}

/** The chosen workload has a hostname and no address: resolve it, then call `resume` with what was found. */
export interface RouteResolution {
  readonly kind: 'resolve';
  readonly hostname: string;
  readonly workload: Workload;
  /** IPs in canonical text; none leads to a refusal. */
  readonly resume: (ips: readonly string[]) => RouteDecision;
}

export type RouteDecision = Route | RouteRefusal | RouteResolution;

export interface RouteOptions {
  readonly random: Random;
  /** Ports of the proxy itself: a connection to one of them on loopback would come back for ever. */
  readonly illegalPorts: ReadonlySet<number>;
}

export type SelectRoute = (mesh: MeshView, request: RouteRequest, options: RouteOptions) => RouteDecision;
