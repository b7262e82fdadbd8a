/**
 * What is told of a request, and of a connection that is no HTTP, when it has ended: plain values, filled by those who
 * served it, read by metrics, access log and spans.
 *
 * A record is read before the call that hands it over returns; nothing keeps it, so its parts may be reused.
 */
import type { RequestHead } from '@ambit/http/exchange';
import type { HeaderFields } from '@ambit/http/header-fields';
import type { BegunRequest } from './begun.ts';
import type { Party } from './party.ts';

/** The service that the client addressed. Shared: one object for each service of a snapshot. */
export interface ServiceNames {
  readonly hostname: string;
  readonly name: string;
  readonly namespace: string;
}

/** `ip:port`, `[ip]:port`; '' where there is none. */
export interface Addresses {
  /** The endpoint that was dialled; behind a tunnel its authority, not the tunnel's port. */
  readonly upstream: string;
  /** Our own end of the connection to the endpoint. */
  readonly upstreamLocal: string;
  /** What the client dialled: the service's address and port. */
  readonly downstreamLocal: string;
  /** The client: the pod, not the tunnel that carries it. */
  readonly downstreamRemote: string;
}

/** Between whom. */
export interface Ends {
  readonly source: Party;
  /** The endpoint that was chosen last; `undefined` when none was. */
  readonly destination: Party | undefined;
  readonly service: ServiceNames | undefined;
  /** The port that the client dialled. */
  readonly servicePort: number;
  readonly addresses: Addresses;
  /** Counts downstream connections of this process. */
  readonly connectionId: number;
}

/** What every record has. */
interface Served extends Ends {
  /** Of the first byte. Milliseconds since 1970. */
  readonly startedAtMs: number;
  /** From the first byte to the last of both directions. */
  readonly durationMs: number;
  /** Envoy's letters, such as `UF` or `NR`, several joined by commas; '-' is well. */
  readonly flags: string;
  /** Envoy's word, such as `via_upstream` or `route_not_found`; a stable reason of ours where Envoy has none. '' if none. */
  readonly details: string;
  /** Why the connection to the endpoint could not be had, in words. */
  readonly transportFailure: string;
  /** `KIND/namespace/name` of the route, with `/rule` where a rule has a name; '' for the service's own. */
  readonly routeName: string;
  /** What the client named in TLS that we pass through. */
  readonly serverName: string;
}

export interface RequestRecord extends Served {
  /** As the client sent it. */
  readonly request: RequestHead;
  /** As it went to the endpoint, after filters; `undefined` when it did not. */
  readonly sent: SentRequest | undefined;
  /** 0: none was sent. */
  readonly status: number;
  /** As they went to the client; empty without a response. */
  readonly responseFields: HeaderFields;
  /** Of the response, if it had any. */
  readonly trailers: HeaderFields | undefined;
  readonly requestHeaderBytes: number;
  readonly requestBodyBytes: number;
  readonly responseHeaderBytes: number;
  readonly responseBodyBytes: number;
  /** gRPC only: whole messages seen in each direction. */
  readonly requestMessages: number;
  readonly responseMessages: number;
  /** From the first byte of the request to the last of it; `undefined` while that has not come. */
  readonly requestDurationMs: number | undefined;
  /** From the first byte of the request to the endpoint's first; `undefined` without one. */
  readonly responseStartMs: number | undefined;
  /** From the first byte to the endpoint to its first answer, of the last try. */
  readonly upstreamMs: number | undefined;
  /** Tries of the endpoint; 0: none. */
  readonly attempts: number;
  /** Why the downstream connection ended early; ''. */
  readonly terminationDetails: string;
  /** What services that authorize told for logs. `undefined`: nothing. */
  readonly authorizerMetadata: Readonly<Record<string, unknown>> | undefined;
  /** What was given for this request when it began. */
  readonly begun: BegunRequest;
}

export interface SentRequest {
  readonly authority: string;
  readonly path: string;
  readonly fields: HeaderFields;
}

/** A connection that was passed through: TCP, or TLS that we do not end. */
export interface ConnectionRecord extends Served {
  /** From downstream to upstream. */
  readonly receivedBytes: number;
  /** From upstream to downstream. */
  readonly sentBytes: number;
}
