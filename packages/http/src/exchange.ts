/**
 * One request and its response, seen from either end, whatever version of HTTP carries it.
 *
 * Everything is callbacks with borrowed buffers: `bytes` handed to `onData` are valid during that call only, and bytes
 * handed to `write` are the caller's again when it returns. No callback comes from within a call that the receiver
 * makes, except from `HttpServerHandler.onRequest` on: what it returns may be called as soon as it has returned.
 *
 * A body is at most one of: nothing (`endsHere`), data and an end, data and an abort. After its last event a receiver
 * hears nothing more, and calls on the exchange do nothing.
 */
import type { Duplex } from 'node:stream';
import type { HttpError } from './errors.ts';
import type { HeaderFields } from './header-fields.ts';

export interface RequestHead {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  /** Host and port as the client wrote them; never with user information. '' only from an HTTP/1.0 client without Host. */
  readonly authority: string;
  /** Path with query, or `*`; '' for CONNECT. Always origin-form: absolute-form is resolved, and refused if it contradicts Host. */
  readonly path: string;
  readonly version: '1.0' | '1.1' | '2';
  /**
   * End-to-end fields only: no pseudo-headers, host, expect, connection-specific or framing fields. `content-length` stays
   * when the length is known, `te: trailers` when the client takes trailers, and what HTTP/2 cut a cookie into is one field.
   */
  readonly fields: HeaderFields;
  /**
   * The protocol asked for by Upgrade, or by extended CONNECT: lower case, such as `websocket`. An extended CONNECT is shown
   * as the GET that HTTP/1.1 would have, and sent as one; what only one of them has of a WebSocket's handshake is added.
   */
  readonly upgrade: string | undefined;
  /** The client waits for a 100 before it sends the body. */
  readonly expectsContinue: boolean;
  /** No body follows. */
  readonly endsHere: boolean;
}

export interface ResponseHead {
  readonly status: number;
  /** As those of a request. */
  readonly fields: HeaderFields;
}

/** Who takes what arrives on one exchange. */
export interface BodyReceiver {
  onData(bytes: Buffer): void;
  /** The last event of a message that is whole. */
  onEnd(trailers: HeaderFields | undefined): void;
  /** The other side went away or broke the protocol: the last event. Writing is over as well. */
  onAbort(error: HttpError): void;
  /** Writing may go on after `write` answered false. */
  onWritable(): void;
}

export interface ResponseReceiver extends BodyReceiver {
  /** A response of 1xx other than 101; the final one follows. */
  onInformational(head: ResponseHead): void;
  onResponse(head: ResponseHead, endsHere: boolean): void;
  /**
   * The server switched to the protocol that the request asked for (101, or 2xx to CONNECT): bytes are the protocol's
   * from now on, and this the last event. Without this method, such an answer aborts the exchange.
   */
  onSwitched?(head: ResponseHead, tunnel: Duplex): void;
}

/** Why our side gives up an exchange. HTTP/2 tells the other side; HTTP/1.1 closes the connection. */
export type AbortReason =
  /** The result is not wanted any more. */
  | 'cancelled'
  /** Nothing of the request was processed: the client may try again. */
  | 'refused'
  /** Something broke on our side, or behind it. */
  | 'failed'
  /** The message cannot be what it claims to be. */
  | 'malformed';

/** What both ends can do with the message they send. */
export interface Outgoing {
  /** Sends body bytes. All are taken; `false` asks to wait for `onWritable` before the next. */
  write(bytes: Uint8Array): boolean;
  /** The message is whole. HTTP/1.1 sends trailers only in a message without content-length, and drops them otherwise. */
  end(trailers?: HeaderFields): void;
  /** Gives up both directions. The receiver hears nothing more. */
  abort(reason: AbortReason): void;
  /** The receiver is done with this many bytes of `onData`: the other side may send as many more. */
  credit(bytes: number): void;
}

/**
 * The server's end. An answer that is whole ends the exchange: what is left of the request is not delivered any more (and
 * costs the connection, in HTTP/1.1, if it is long).
 */
export interface ServerExchange extends Outgoing {
  readonly head: RequestHead;
  /** Sends a 1xx, such as the 100 that `expectsContinue` waits for. Dropped for an HTTP/1.0 client. */
  informational(head: ResponseHead): void;
  /** Once. With `endsHere` there is no body; a response to HEAD, 204 and 304 has none whatever its fields say, and must say so here. */
  respond(head: ResponseHead, endsHere: boolean): void;
  /** Answers `head.upgrade` or a CONNECT, with 101 or 200 as the version has it. The receiver hears nothing more. */
  switchProtocols(head: ResponseHead): Duplex;
}

/** The client's end. A response that is whole before the request is ends the exchange too: the rest of the request is not sent. */
export interface ClientExchange extends Outgoing {}

export interface HttpServerHandler {
  /** A request came; the answer takes what follows. Called again only for another one. */
  onRequest(exchange: ServerExchange): BodyReceiver;
  /**
   * Something that is no request was answered (`error.status`) or reset, and no exchange came of it. What breaks a whole
   * connection of HTTP/2 is told once as well, before {@link onClosed}.
   */
  onRefused?(error: HttpError, version: '1.1' | '2'): void;
  /** Exactly once, last; every exchange has ended before. */
  onClosed?(error: Error | undefined): void;
}

export interface HttpServerConnection {
  readonly version: '1.1' | '2';
  /** Takes no more requests; ends when the last answer is out, and says so to the client. */
  drain(): void;
  /** Cuts it now: open exchanges abort. */
  destroy(): void;
  readonly openExchanges: number;
  /** No exchange is open and no part of a request is here. */
  readonly idle: boolean;
}

export interface HttpClientHandler {
  /** `canRequest` or `maxExchanges` may have changed. */
  onChange?(): void;
  /** Exactly once, last; every exchange has ended before. */
  onClosed?(error: Error | undefined): void;
}

export interface HttpClientConnection {
  readonly version: '1.1' | '2';
  /**
   * Sends a request; its body, unless `head.endsHere`, through the exchange.
   *
   * @throws {@link HttpError} of kind `refused` unless `canRequest`.
   */
  request(head: RequestHead, receiver: ResponseReceiver): ClientExchange;
  /** A request may be sent now. */
  readonly canRequest: boolean;
  /** Will never take a request again. */
  readonly isClosing: boolean;
  readonly openExchanges: number;
  /** How many may be open at a time: 1, or what the server allows. */
  readonly maxExchanges: number;
  /** How many ended well: with 0, a failure is not one of a kept connection. */
  readonly completedExchanges: number;
  /** Our end as `ip:port`, for logs; empty where it is none of TCP's. */
  readonly localAddress: string;
  /** HTTP/2: the server takes extended CONNECT (RFC 8441). HTTP/1.1: always. */
  readonly canSwitchProtocols: boolean;
  /** Takes no more requests; ends when the last exchange has. */
  drain(): void;
  destroy(): void;
}
