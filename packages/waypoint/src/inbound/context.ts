/** What every stream of a client needs, before it is carried as HTTP or as bytes. */
import type { Clock } from '@ambit/core/clock';
import type { Baggage } from '@ambit/hbone/baggage';
import type { Transport } from '@ambit/http/transport/transport';
import type { ServerTunnel } from '@ambit/hbone/server';
import type { MeshWaits } from '@ambit/model/mesh-waits';
import type { MeshStore } from '@ambit/model/store';
import type { Destination, WaypointIdentity } from '../decide/destination.ts';
import type { Carrier } from '../decide/sniff.ts';
import type { Admission } from '../exchange/admission.ts';
import type { FaultReport } from '../exchange/fault-report.ts';

/** A connection of a client whose destination and protocol are known. */
export interface Carried {
  readonly destination: Destination;
  /** `tls`: begins with a ClientHello, or is declared to. */
  readonly carrier: Carrier;
  readonly transport: Transport;
  readonly tunnel: ServerTunnel;
  /** What the client's proxy says of it; for reports alone, where mesh state does not know it. */
  readonly toldOfClient: () => Baggage;
  /** It came through the gateway of another network, whose address is not the client's. */
  readonly isFromOtherNetwork: boolean;
  /** Call once when the connection has ended. */
  readonly closed: () => void;
}

export interface InboundContext {
  readonly mesh: MeshStore;
  readonly meshWaits: MeshWaits;
  readonly self: WaypointIdentity;
  readonly admission: Admission;
  readonly clock: Clock;
  /** Whether what comes for it must be HTTP, if it may be: there are rules for its requests. */
  readonly hasHttpRules: (destination: Destination) => boolean;
  readonly faults: FaultReport;
  /** This waypoint's own network, and what it says of itself. */
  readonly network: string;
  readonly baggage: () => string;
  readonly carry: (carried: Carried) => void;
  readonly refused: (
    tunnel: ServerTunnel,
    authority: string,
    status: number,
    reason: string,
    message: string,
  ) => void;
}
