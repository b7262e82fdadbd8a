/** A request and its connection, as decisions see them. `RequestHead` of @ambit/http is a {@link RequestView}. */
import type { HeaderFields } from '@ambit/http/header-fields';
import type { Endpoint } from '@ambit/core/ip';

export interface RequestView {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  /** With query; `*`, or empty for CONNECT. */
  readonly path: string;
  readonly fields: HeaderFields;
}

/** The connection that the request came on, as HBONE told of it. */
export interface ConnectionView {
  /** `spiffe://…` that the client proved; `undefined` for one that proved nothing. */
  readonly identity: string | undefined;
  /** Canonical address of the TCP peer: the client, or a gateway before us. */
  readonly sourceIp: string;
  /** What the client asked for: the service's or the workload's address, and the port. */
  readonly destination: Endpoint;
  /** Of the TLS that the connection carries; `undefined` without it. */
  readonly sni: string | undefined;
}

/** Who a believed token speaks of. */
export interface TokenClaims {
  /** `issuer/subject`. */
  readonly principal: string;
  readonly claims: Readonly<Record<string, unknown>>;
}
