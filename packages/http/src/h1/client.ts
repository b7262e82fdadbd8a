/**
 * One connection of HTTP/1.1, the client's end: one exchange at a time, kept open for the next (RFC 9112 §9).
 *
 * Octets that no request asked for end the connection: they could be taken for the answer to the next one.
 */
import type { Watched } from '../deadlines.ts';
import { HttpError } from '../errors.ts';
import type {
  ClientExchange,
  HttpClientConnection,
  HttpClientHandler,
  RequestHead,
  ResponseReceiver,
} from '../exchange.ts';
import { INFORMATIONAL_RESPONSES, LINGER_MS } from '../limits.ts';
import type { Http1Options } from '../options.ts';
import { NOWHERE } from '../roster.ts';
import type { Transport, TransportEvents } from '../transport/transport.ts';
import { withWebSocketKey } from '../websocket.ts';
import type { BodySink } from './chunked.ts';
import { type ClientExchangeHost, Http1ClientExchange } from './client-exchange.ts';
import { checkLineEnds, malformed } from './field-section.ts';
import { writeRequest } from './head-writer.ts';
import { IncomingBody } from './incoming-body.ts';
import { type ParsedResponse, parseResponse } from './response-head.ts';
import { Stash } from './stash.ts';
import { ConnectionTunnel } from './tunnel.ts';
import { Wire } from './wire.ts';

/** Speaks HTTP/1.1 as a client on a connection that was just made. */
export function connectHttp1(
  transport: Transport,
  handler: HttpClientHandler,
  options: Http1Options,
): HttpClientConnection {
  const connection = new Http1ClientConnection(transport, handler, options);
  transport.start(connection);
  return connection;
}

const END_OF_HEAD = Buffer.from('\r\n\r\n', 'latin1');

class Http1ClientConnection
  implements HttpClientConnection, TransportEvents, ClientExchangeHost, BodySink, Watched
{
  readonly version = '1.1';
  readonly maxExchanges = 1;
  readonly canSwitchProtocols = true;
  /** @internal */
  readonly wire: Wire;
  /** @internal */
  deadlineMs: number;
  /** @internal */
  watchPlace = NOWHERE;
  readonly #handler: HttpClientHandler;
  readonly #options: Http1Options;
  #exchange: Http1ClientExchange | undefined;
  #body: IncomingBody | undefined;
  /** A part of a head. */
  readonly #stash = new Stash();
  /** Of what is being read, so much was handed to an exchange, which gives the credit. */
  #delivered = 0;
  #completed = 0;
  /** The server keeps the connection after this response. */
  #keepsAlive = true;
  #state: 'open' | 'ending' | 'closed' = 'open';
  #isDraining = false;
  #tunnel: ConnectionTunnel | undefined;

  constructor(transport: Transport, handler: HttpClientHandler, options: Http1Options) {
    this.wire = new Wire(transport);
    this.#handler = handler;
    this.#options = options;
    options.deadlines.watch(this);
    this.deadlineMs = options.deadlines.nowMs + options.idleTimeoutMs;
  }

  get localAddress(): string {
    return this.wire.transport.localAddress;
  }

  get canRequest(): boolean {
    return !this.isClosing && this.#exchange === undefined;
  }

  get isClosing(): boolean {
    return this.#state !== 'open' || this.#isDraining || !this.#keepsAlive || this.#tunnel !== undefined;
  }

  get openExchanges(): number {
    return this.#exchange ? 1 : 0;
  }

  get completedExchanges(): number {
    return this.#completed;
  }

  request(head: RequestHead, receiver: ResponseReceiver): ClientExchange {
    if (!this.canRequest) throw new HttpError('refused', 'connection-takes-no-request');
    const upgraded = head.upgrade === undefined ? head : { ...head, fields: withWebSocketKey(head) };
    const framing = writeRequest(this.wire.queue, upgraded);
    const exchange = new Http1ClientExchange(this, head, receiver, framing);
    this.#exchange = exchange;
    this.deadlineMs = Number.POSITIVE_INFINITY;
    if (head.endsHere) this.wire.flush();
    else this.wire.flushSoon();
    return exchange;
  }

  drain(): void {
    this.#isDraining = true;
    if (!this.#exchange && !this.#tunnel) this.#end();
  }

  destroy(): void {
    this.wire.transport.destroy();
  }

  /** @internal */
  broke(exchange: Http1ClientExchange): void {
    if (this.#exchange !== exchange) return;
    this.#exchange = undefined;
    this.#state = 'ending';
    this.wire.transport.destroy();
  }

  // What the transport tells.

  /** @internal */
  onBytes(bytes: Buffer): void {
    if (this.#tunnel) {
      this.#tunnel.onBytes(bytes);
      return;
    }
    this.#delivered = 0;
    const searched = this.#stash.searched;
    if (this.#stash.length > 0) this.#stash.append(bytes);
    const all = this.#stash.length > 0 ? this.#stash.bytes : bytes;
    this.#settle(all, this.#read(all, searched), bytes.length);
  }

  /** @internal */
  onIdle(): void {
    if (this.#tunnel) {
      this.#tunnel.onIdle();
      return;
    }
    const { queue } = this.wire;
    queue.flush();
    if (queue.queuedBytes > 0) return;
    if (this.#state === 'ending') this.wire.end();
    const exchange = this.#exchange;
    if (!exchange?.isStopped) return;
    exchange.isStopped = false;
    exchange.receiver.onWritable();
  }

  /** @internal */
  onEnd(): void {
    if (this.#tunnel) {
      this.#tunnel.onEnd();
      return;
    }
    this.#keepsAlive = false;
    const exchange = this.#exchange;
    if (exchange && this.#body?.endsWithConnection) {
      this.#body = undefined;
      this.#finish(exchange);
      exchange.receiver.onEnd(undefined);
      this.#afterExchange();
    } else if (exchange) this.#fail(closedError(exchange, undefined));
    else this.#end();
  }

  /** @internal */
  onClosed(error: Error | undefined): void {
    this.#options.deadlines.unwatch(this);
    this.#state = 'closed';
    if (this.#tunnel) this.#tunnel.onClosed(error);
    else this.wire.queue.clear();
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.fail(closedError(exchange, error));
    this.#handler.onClosed?.(error);
  }

  /** @internal */
  onDeadline(): void {
    if (this.#state === 'open') this.#end();
    else this.wire.transport.destroy();
  }

  /** @internal */
  onBodyData(bytes: Buffer): void {
    const exchange = this.#exchange;
    if (!exchange) return;
    this.#delivered += bytes.length;
    exchange.uncredited += bytes.length;
    exchange.receiver.onData(bytes);
  }

  /** How far it came; the rest is a part of a head. */
  #read(bytes: Buffer, searched: number): number {
    this.wire.cork();
    try {
      let at = 0;
      while (at < bytes.length && this.#state === 'open' && !this.#tunnel) {
        const end = this.#body ? this.#readBody(this.#body, bytes, at) : this.#readHead(bytes, at, searched);
        if (end < 0) return this.#body ? bytes.length : at;
        at = end;
      }
      return this.#tunnel ? at : bytes.length;
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      this.#fail(error);
      return bytes.length;
    } finally {
      this.wire.uncork();
    }
  }

  #readBody(body: IncomingBody, bytes: Buffer, at: number): number {
    const end = body.read(bytes, at, this);
    const exchange = this.#exchange;
    if (end < 0 || !exchange) return end < 0 ? end : bytes.length;
    this.#body = undefined;
    if (end < bytes.length) this.#keepsAlive = false;
    this.#finish(exchange);
    exchange.receiver.onEnd(body.trailers);
    this.#afterExchange();
    return bytes.length;
  }

  /** After `bytes` were read up to `at`: the rest waits or is the tunnel's, and what no exchange has is credited. */
  #settle(bytes: Buffer, at: number, arrived: number): void {
    const rest = bytes.length - at;
    let credit = arrived - this.#delivered;
    if (this.#tunnel) {
      credit -= rest;
      if (rest > 0) this.#tunnel.onBytes(bytes.subarray(at));
      this.#stash.drop(this.#stash.length);
    } else {
      if (this.#stash.length > 0) this.#stash.drop(at);
      else if (rest > 0) this.#stash.append(bytes.subarray(at));
      this.#stash.searched = rest;
    }
    if (credit > 0) this.wire.transport.credit(credit);
  }

  /** Where it ended; -1 if it is not whole. */
  #readHead(bytes: Buffer, from: number, searched: number): number {
    const exchange = this.#exchange;
    if (!exchange) throw malformed('unsolicited-response');
    const end = bytes.indexOf(END_OF_HEAD, Math.max(from, searched - END_OF_HEAD.length));
    if (end < 0) {
      if (bytes.length - from > this.#options.maxHeadBytes) throw new HttpError('limit', 'header-too-large');
      checkLineEnds(bytes, from, searched);
      return -1;
    }
    const to = end + END_OF_HEAD.length;
    this.#onResponse(
      exchange,
      parseResponse(bytes, from, to, exchange.head.method, this.#options),
      bytes.length - to,
    );
    return to;
  }

  #onResponse(exchange: Http1ClientExchange, response: ParsedResponse, followingBytes: number): void {
    const { head, bodyBytes, keepsAlive } = response;
    const { receiver } = exchange;
    const isConnect = exchange.head.method === 'CONNECT';
    if (head.status === 101 || (isConnect && head.status >= 200 && head.status < 300)) {
      this.#switch(exchange, response);
      return;
    }
    if (head.status < 200) {
      if (++exchange.informationals > INFORMATIONAL_RESPONSES)
        throw malformed('too-many-informational-responses');
      receiver.onInformational(head);
      return;
    }
    exchange.isAnswered = true;
    this.#keepsAlive = keepsAlive;
    if (bodyBytes !== 0) {
      this.#body = new IncomingBody(bodyBytes, this.#options);
      receiver.onResponse(head, false);
      return;
    }
    if (followingBytes > 0) this.#keepsAlive = false;
    this.#finish(exchange);
    receiver.onResponse(head, true);
    this.#afterExchange();
  }

  #switch(exchange: Http1ClientExchange, { head, upgrade }: ParsedResponse): void {
    const { receiver } = exchange;
    const isAsked =
      head.status !== 101 || (exchange.head.upgrade !== undefined && exchange.head.upgrade === upgrade);
    if (!isAsked || !receiver.onSwitched || !exchange.isSent) throw malformed('unexpected-switch');
    exchange.close();
    this.#exchange = undefined;
    this.#tunnel = new ConnectionTunnel(this.wire, this.#options.budget);
    receiver.onSwitched(head, this.#tunnel);
  }

  /** The response is whole. The connection is kept if the request is too, and both sides want to. */
  #finish(exchange: Http1ClientExchange): void {
    const { uncredited } = exchange;
    exchange.close();
    this.#exchange = undefined;
    this.#completed++;
    if (uncredited > 0) this.wire.transport.credit(uncredited);
    if (!exchange.isSent) {
      this.#state = 'ending';
      this.wire.transport.destroy();
      return;
    }
    const { deadlines, idleTimeoutMs } = this.#options;
    this.deadlineMs = deadlines.nowMs + idleTimeoutMs;
  }

  /** The receiver has heard of the end; it may have sent the next request already. */
  #afterExchange(): void {
    if (this.#exchange || this.#state !== 'open') return;
    if (this.#keepsAlive && !this.#isDraining) this.#handler.onChange?.();
    else this.#end();
  }

  #fail(error: HttpError): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#body = undefined;
    this.#state = 'ending';
    this.wire.transport.destroy();
    exchange?.fail(error);
  }

  #end(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ending';
    this.deadlineMs = this.#options.deadlines.nowMs + LINGER_MS;
    this.wire.end();
  }
}

function closedError(exchange: Http1ClientExchange, error: Error | undefined): HttpError {
  const reason = exchange.isAnswered ? 'closed-within-response' : 'closed-before-response';
  return new HttpError('closed', reason, error ? { cause: error } : {});
}
