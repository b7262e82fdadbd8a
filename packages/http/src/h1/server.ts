/**
 * One connection of HTTP/1.1, the server's end (RFC 9112 §9).
 *
 * Requests are taken one at a time: what a client pipelines waits, uncredited, until the answer before it is whole and
 * most of what was answered is out, so answers are in order and a client that asks without reading is not read. What is no request is answered, and the
 * connection ends; it lingers then, so that the answer is not lost to a reset.
 */
import type { Duplex } from 'node:stream';
import type { Watched } from '../deadlines.ts';
import { HttpError } from '../errors.ts';
import type { HttpServerConnection, HttpServerHandler } from '../exchange.ts';
import type { HeaderFields } from '../header-fields.ts';
import { HeldBytes } from '../held-bytes.ts';
import { DISCARD_BYTES, LINGER_MS, PIPELINED_BYTES } from '../limits.ts';
import type { Http1ServerOptions } from '../options.ts';
import { NOWHERE } from '../roster.ts';
import type { Transport, TransportEvents } from '../transport/transport.ts';
import type { BodySink } from './chunked.ts';
import { checkLineEnds } from './field-section.ts';
import { writeResponse } from './head-writer.ts';
import { IncomingBody } from './incoming-body.ts';
import { CR, LF } from './octets.ts';
import { headTooLong, lineTooLong, RequestParser } from './request-head.ts';
import { type ExchangeHost, Http1ServerExchange } from './server-exchange.ts';
import { Stash } from './stash.ts';
import { ConnectionTunnel } from './tunnel.ts';
import { Wire } from './wire.ts';

/** Serves a connection that just came. */
export function serveHttp1(
  transport: Transport,
  handler: HttpServerHandler,
  options: Http1ServerOptions,
): HttpServerConnection {
  const connection = new Http1ServerConnection(transport, handler, options);
  transport.start(connection);
  return connection;
}

const END_OF_HEAD = Buffer.from('\r\n\r\n', 'latin1');

export class Http1ServerConnection
  implements HttpServerConnection, TransportEvents, ExchangeHost, BodySink, Watched
{
  readonly version = '1.1';
  /** @internal */
  readonly wire: Wire;
  /** @internal */
  deadlineMs: number;
  /** @internal */
  watchPlace = NOWHERE;
  readonly #handler: HttpServerHandler;
  readonly #options: Http1ServerOptions;
  readonly #parser: RequestParser;
  #exchange: Http1ServerExchange | undefined;
  /** The body that is being read, of `#exchange` or of one that was answered already. */
  #body: IncomingBody | undefined;
  /** Arrived and not read yet: a part of a head, or what comes after the request that is being answered. */
  readonly #stash = new Stash();
  /** How much of the stash, at its end, the transport has no credit for. */
  #stashUncredited = 0;
  /** Of what is being read, so much was handed to an exchange, which gives the credit. */
  #delivered = 0;
  /** A part of a head is here, and the clock runs. */
  #isHeadPending = false;
  #reading = false;
  /** What is being read just came, so that the transport has no credit for any of it. */
  #isFresh = true;
  #keepsAlive = true;
  /** What is left of a request that was answered, and is being dropped. */
  #discarded = 0;
  #state: 'open' | 'ending' | 'closed' = 'open';
  /** Ending: the last answer is out, and the end behind it. */
  #isAllSent = false;
  #isDraining = false;
  /** More came ahead of its turn than may wait. */
  #isPipelineLost = false;
  /** The client has not taken the answers so far: what it asks next waits until it has. */
  #isPaused = false;
  #held: HeldBytes | undefined;
  #tunnel: ConnectionTunnel | undefined;

  constructor(transport: Transport, handler: HttpServerHandler, options: Http1ServerOptions) {
    this.wire = new Wire(transport);
    this.#handler = handler;
    this.#options = options;
    this.#parser = new RequestParser(options, options.scheme);
    options.deadlines.watch(this);
    this.deadlineMs = options.deadlines.nowMs + options.idleTimeoutMs;
  }

  get openExchanges(): number {
    return this.#exchange ? 1 : 0;
  }

  get idle(): boolean {
    return this.#exchange === undefined && this.#body === undefined && this.#stash.length === 0;
  }

  drain(): void {
    this.#isDraining = true;
    if (this.idle && this.#state === 'open' && !this.#tunnel) this.#end();
  }

  destroy(): void {
    this.wire.transport.destroy();
  }

  // What the transport tells.

  /** @internal */
  onBytes(bytes: Buffer): void {
    if (this.#tunnel) {
      this.#tunnel.onBytes(bytes);
      return;
    }
    if (this.#state !== 'open') {
      this.wire.transport.credit(bytes.length);
      return;
    }
    if (this.#isPaused || (this.#exchange && !this.#body)) {
      this.#keepForLater(bytes);
    } else if (this.#stash.length > 0) {
      this.#stash.append(bytes);
      this.#readStash(bytes.length);
    } else {
      const at = this.#read(bytes, 0);
      this.#settle(bytes, at, bytes.length);
    }
  }

  /** @internal */
  onIdle(): void {
    if (this.#tunnel) {
      this.#tunnel.onIdle();
      return;
    }
    const { queue } = this.wire;
    queue.flush();
    this.#countHeld();
    if (queue.queuedBytes > 0) return;
    if (this.#state === 'ending') {
      this.#endWhenSent();
      return;
    }
    if (this.#isPaused) {
      this.#goOn();
      return;
    }
    const exchange = this.#exchange;
    if (!exchange?.isStopped) return;
    exchange.isStopped = false;
    exchange.receiver?.onWritable();
  }

  /** @internal */
  onEnd(): void {
    if (this.#tunnel) {
      this.#tunnel.onEnd();
      return;
    }
    const exchange = this.#exchange;
    if (exchange?.isReceived && this.#options.halfClose === 'answer') {
      this.#keepsAlive = false;
      return;
    }
    if (exchange) {
      this.#exchange = undefined;
      exchange.fail(new HttpError('closed', 'client-went-away'));
      this.wire.transport.destroy();
      return;
    }
    this.#end();
  }

  /** @internal */
  onClosed(error: Error | undefined): void {
    this.#options.deadlines.unwatch(this);
    this.#state = 'closed';
    this.#held?.set(0);
    if (this.#tunnel) this.#tunnel.onClosed(error);
    else this.wire.queue.clear();
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.fail(new HttpError('closed', 'client-went-away', error ? { cause: error } : {}));
    this.#handler.onClosed?.(error);
  }

  /** @internal */
  onDeadline(): void {
    this.deadlineMs = Number.POSITIVE_INFINITY;
    if (this.#isAllSent) this.wire.transport.leave();
    else if (this.#state !== 'open') this.wire.transport.destroy();
    else if (this.#isHeadPending) this.#refuse(new HttpError('timeout', 'header-timeout', { status: 408 }));
    else this.#end();
  }

  // What exchanges ask.

  /** @internal */
  keepsAliveAfter(exchange: Http1ServerExchange): boolean {
    if (this.#isDraining) this.#keepsAlive = false;
    if (!exchange.isReceived && this.#keepsAlive) {
      const awaitsContinue = exchange.head.expectsContinue && !exchange.hasContinued;
      const isLong = (this.#body?.leftBytes ?? 0) > DISCARD_BYTES;
      if (awaitsContinue || isLong) this.#keepsAlive = false;
    }
    return this.#keepsAlive;
  }

  /** @internal */
  answered(exchange: Http1ServerExchange): void {
    const { uncredited, isReceived } = exchange;
    exchange.close();
    this.#exchange = undefined;
    if (uncredited > 0) this.wire.transport.credit(uncredited);
    if (this.#isDraining) this.#keepsAlive = false;
    if (!this.#keepsAlive || (!isReceived && (this.#body?.leftBytes ?? 0) > DISCARD_BYTES)) {
      this.#end();
      this.#countHeld();
      return;
    }
    this.wire.flush();
    this.#countHeld();
    this.#awaitNext(isReceived);
  }

  /** @internal */
  broke(exchange: Http1ServerExchange): void {
    if (this.#exchange !== exchange) return;
    this.#exchange = undefined;
    this.wire.transport.destroy();
  }

  /** @internal */
  switchTo(exchange: Http1ServerExchange): Duplex {
    const { uncredited } = exchange;
    exchange.close();
    this.#exchange = undefined;
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.#held?.set(0);
    const tunnel = new ConnectionTunnel(this.wire, this.#options.budget);
    this.#tunnel = tunnel;
    if (uncredited > 0) this.wire.transport.credit(uncredited);
    this.wire.flush();
    if (!this.#reading && this.#stash.length > 0) {
      tunnel.onBytes(this.#stash.bytes);
      this.#stash.drop(this.#stash.length);
    }
    return tunnel;
  }

  // What the body's reader finds.

  /** @internal */
  onBodyData(bytes: Buffer): void {
    const exchange = this.#exchange;
    if (!exchange) {
      this.#discarded += bytes.length;
      return;
    }
    if (this.#isFresh) {
      this.#delivered += bytes.length;
      exchange.uncredited += bytes.length;
    }
    exchange.hasContinued = true;
    exchange.receiver?.onData(bytes);
  }

  #onBodyEnd(trailers: HeaderFields | undefined): void {
    this.#body = undefined;
    const exchange = this.#exchange;
    if (exchange) {
      exchange.isReceived = true;
      exchange.receiver?.onEnd(trailers);
      return;
    }
    this.#discarded = 0;
    this.#awaitNext(true);
  }

  /** Reads messages from `bytes`, the first octets of which were searched already; how far it came. */
  #read(bytes: Buffer, searched: number): number {
    this.#reading = true;
    this.#delivered = 0;
    this.wire.cork();
    let at = bytes.length;
    try {
      at = this.#readMessages(bytes, searched);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      this.#refuse(error);
    } finally {
      this.#reading = false;
    }
    this.wire.uncork();
    return at;
  }

  #readMessages(bytes: Buffer, searched: number): number {
    let at = 0;
    while (at < bytes.length && this.#state === 'open' && !this.#tunnel) {
      const body = this.#body;
      if (body) {
        const end = body.read(bytes, at, this);
        if (this.#discarded > DISCARD_BYTES) this.#end();
        if (end < 0) return bytes.length;
        at = end;
        if (this.#body === body) this.#onBodyEnd(body.trailers);
        continue;
      }
      if (this.#exchange) return at;
      if (this.#mustPause()) return at;
      const from = bytes[at] === CR && bytes[at + 1] === LF ? at + 2 : at;
      if (from === bytes.length) return from;
      const end = bytes.indexOf(END_OF_HEAD, Math.max(from, searched - END_OF_HEAD.length));
      if (end < 0) {
        this.#awaitHead(bytes, from, searched);
        return at;
      }
      at = end + END_OF_HEAD.length;
      this.#open(bytes, from, at);
    }
    return this.#state === 'open' ? at : bytes.length;
  }

  /** Answers that nobody reads are not added to. */
  #mustPause(): boolean {
    if (this.wire.isCongested) this.wire.queue.flush();
    this.#isPaused = this.wire.isCongested;
    return this.#isPaused;
  }

  /** The answers are out. */
  #goOn(): void {
    this.#isPaused = false;
    if (this.#isPipelineLost) this.#end();
    else this.#readWaiting();
  }

  #open(bytes: Buffer, from: number, to: number): void {
    this.#isHeadPending = false;
    const { head, bodyBytes, keepsAlive } = this.#parser.parse(bytes, from, to);
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.#keepsAlive = keepsAlive && !this.#isDraining;
    if (!head.endsHere) this.#body = new IncomingBody(bodyBytes, this.#options);
    const exchange = new Http1ServerExchange(this, head);
    this.#exchange = exchange;
    exchange.receiver = this.#handler.onRequest(exchange);
  }

  /** A head that is not whole must still look like one, and be no longer than it may. */
  #awaitHead(bytes: Buffer, from: number, searched: number): void {
    const { maxHeadBytes, maxLineBytes, deadlines, headerTimeoutMs } = this.#options;
    if (bytes.length - from > maxHeadBytes) throw headTooLong();
    if (bytes.length - from > maxLineBytes && bytes.indexOf(LF, from) < 0) throw lineTooLong();
    checkLineEnds(bytes, from, searched);
    if (this.#isHeadPending) return;
    this.#isHeadPending = true;
    this.deadlineMs = deadlines.nowMs + headerTimeoutMs;
  }

  /** Reads what waits; the transport has no credit for its last `uncredited` octets. */
  #readStash(uncredited: number): void {
    const { bytes, searched } = this.#stash;
    const at = this.#read(bytes, searched);
    this.#settle(bytes, at, uncredited);
  }

  /**
   * After `bytes` were read up to `at`: the rest waits, and what needs no credit from an exchange or later is credited. A
   * part of a head is, so that a transport that stops reading cannot keep its end away.
   */
  #settle(bytes: Buffer, at: number, uncredited: number): void {
    const rest = this.#state === 'open' ? bytes.length - at : 0;
    let credit = uncredited - this.#delivered;
    if (this.#tunnel) {
      credit -= rest;
      if (rest > 0) this.#tunnel.onBytes(bytes.subarray(at));
      this.#stash.drop(this.#stash.length);
    } else {
      if (this.#stash.length > 0) this.#stash.drop(bytes.length - rest);
      else if (rest > 0) this.#stash.append(bytes.subarray(at));
      this.#stashUncredited = this.#exchange || this.#isPaused ? Math.min(rest, uncredited) : 0;
      credit -= this.#stashUncredited;
      if (this.#isHeadPending) this.#stash.searched = rest;
      if (rest > 0 || this.#held) this.#countHeld();
    }
    if (credit > 0) this.wire.transport.credit(credit);
  }

  /** It is not this request's turn. A transport that cannot stop reading may bring a lot. */
  #keepForLater(bytes: Buffer): void {
    if (this.#isPipelineLost || this.#stash.length + bytes.length > PIPELINED_BYTES) {
      this.#isPipelineLost = true;
      this.#keepsAlive = false;
      this.wire.transport.credit(bytes.length + this.#stashUncredited);
      this.#stash.drop(this.#stash.length);
      this.#stashUncredited = 0;
    } else {
      this.#stash.append(bytes);
      this.#stashUncredited += bytes.length;
    }
    this.#countHeld();
  }

  /** What no exchange answers for. */
  #countHeld(): void {
    const { budget } = this.#options;
    if (!budget || this.#tunnel) return;
    const bytes = this.#stash.length + (this.#exchange ? 0 : this.wire.queue.heldBytes);
    if (bytes === 0 && !this.#held) return;
    this.#held ??= new HeldBytes(budget, () => this.wire.transport.destroy());
    this.#held.set(this.#state === 'closed' ? 0 : bytes);
  }

  /** An answer is out. What waits is read from a turn of its own, so that no handler is called from within a call of its. */
  #awaitNext(isReceived: boolean): void {
    const { deadlines, idleTimeoutMs, headerTimeoutMs } = this.#options;
    this.deadlineMs = deadlines.nowMs + (isReceived ? idleTimeoutMs : headerTimeoutMs);
    if (this.#reading || this.#stash.length === 0) return;
    queueMicrotask(() => {
      if (!this.#isPaused) this.#readWaiting();
    });
  }

  #readWaiting(): void {
    if (this.#state !== 'open' || this.#exchange || this.#stash.length === 0) return;
    this.#isFresh = false;
    this.#readStash(this.#stashUncredited);
    this.#isFresh = true;
  }

  /** Answers what is no request, or none any more, and ends the connection. */
  #refuse(error: HttpError): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#body = undefined;
    if (exchange) exchange.fail(error);
    else this.#handler.onRefused?.(error, this.version);
    if (this.#state !== 'open') return;
    if (exchange?.hasAnswered) {
      this.wire.transport.destroy();
      return;
    }
    const text = Buffer.from(`${error.reason}\n`, 'latin1');
    const fields = ['content-type', 'text/plain', 'content-length', String(text.length)];
    const context = { method: '', isOld: false, keepsAlive: false };
    writeResponse(this.wire.queue, { status: error.status || 400, fields }, false, context);
    this.wire.queue.append(text);
    this.#end();
  }

  /** No more requests. */
  #end(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ending';
    this.#body = undefined;
    this.#endWhenSent();
  }

  /** What was answered goes out, however slowly the client takes it; then it gets a moment to end its side. */
  #endWhenSent(): void {
    const { deadlines, idleTimeoutMs } = this.#options;
    this.#isAllSent = this.wire.end();
    this.deadlineMs = deadlines.nowMs + (this.#isAllSent ? LINGER_MS : idleTimeoutMs);
  }
}
