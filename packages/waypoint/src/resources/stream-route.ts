/** TCPRoute, TLSRoute, and the tcp and tls parts of a VirtualService: where a connection that is not HTTP goes. */
import type { Origin } from './origin.ts';
import type { ServicePort } from './service-port.ts';

export interface StreamRoute {
  /** Of the xDS resource: `KIND/namespace/name`. */
  readonly name: string;
  readonly origin: Origin;
  readonly parents: readonly ServicePort[];
  readonly rules: readonly StreamRule[];
  /** Why it could not be read: connections to its parents are closed. */
  readonly unreadable: string | undefined;
  /** A consumer's route: for connections from this namespace alone, and over the producer's there. */
  readonly consumerNamespace: string | undefined;
}

/** The first that matches decides. */
export interface StreamRule {
  readonly name: string;
  /** In lower case; a leading `*.` stands for any labels. None: any name, and connections without one. */
  readonly sniHosts: readonly string[];
  /** Only connections that begin with a TLS ClientHello. */
  readonly tls: boolean;
  /** Of the client. `undefined`: any. */
  readonly sourceNamespace: string | undefined;
  /** By weight; none, or none with weight: the connection is closed. */
  readonly backends: readonly StreamBackend[];
}

export interface StreamBackend {
  readonly target:
    | { readonly kind: 'service'; readonly to: ServicePort; readonly subset: string }
    /** Its share of connections is closed. */
    | { readonly kind: 'closed' };
  readonly weight: number;
}
