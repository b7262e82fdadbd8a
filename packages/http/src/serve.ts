/** Serves a connection whose client has yet to show which version of HTTP it speaks. */
import type { Watched } from './deadlines.ts';
import type { HttpServerConnection, HttpServerHandler } from './exchange.ts';
import { Http1ServerConnection } from './h1/server.ts';
import { Http2ServerConnection } from './h2/server.ts';
import { LINGER_MS } from './limits.ts';
import type { Http1ServerOptions, Http2Options } from './options.ts';
import { NOWHERE } from './roster.ts';
import { sniffProtocol } from './sniff.ts';
import type { Transport, TransportEvents } from './transport/transport.ts';

export interface HttpServerOptions {
  readonly http1: Http1ServerOptions;
  readonly http2: Http2Options;
}

/** HTTP/2 if the client begins with its preface, else HTTP/1.1, which answers what is neither. */
export function serveHttp(
  transport: Transport,
  handler: HttpServerHandler,
  options: HttpServerOptions,
): HttpServerConnection {
  const connection = new UnknownConnection(transport, handler, options);
  transport.start(connection);
  return connection;
}

class UnknownConnection implements HttpServerConnection, TransportEvents, Watched {
  /** @internal */
  deadlineMs: number;
  /** @internal */
  watchPlace = NOWHERE;
  readonly #transport: Transport;
  readonly #handler: HttpServerHandler;
  readonly #options: HttpServerOptions;
  #known: HttpServerConnection | undefined;
  /** What came while it could still become the preface. */
  #first: Buffer | undefined;

  constructor(transport: Transport, handler: HttpServerHandler, options: HttpServerOptions) {
    this.#transport = transport;
    this.#handler = handler;
    this.#options = options;
    options.http1.deadlines.watch(this);
    this.deadlineMs = options.http1.deadlines.nowMs + options.http1.idleTimeoutMs;
  }

  get version(): '1.1' | '2' {
    return this.#known?.version ?? '1.1';
  }

  get openExchanges(): number {
    return this.#known?.openExchanges ?? 0;
  }

  get idle(): boolean {
    return this.#known ? this.#known.idle : this.#first === undefined;
  }

  drain(): void {
    if (this.#known) this.#known.drain();
    else this.#transport.end();
  }

  destroy(): void {
    if (this.#known) this.#known.destroy();
    else this.#transport.destroy();
  }

  /** @internal */
  onBytes(bytes: Buffer): void {
    const first = this.#first ? Buffer.concat([this.#first, bytes]) : bytes;
    const protocol = sniffProtocol(first);
    if (protocol !== undefined) {
      this.#become(protocol, first);
      return;
    }
    const { deadlines, headerTimeoutMs } = this.#options.http1;
    if (!this.#first) this.deadlineMs = deadlines.nowMs + headerTimeoutMs;
    this.#first = Buffer.from(first);
  }

  /** @internal */
  onIdle(): void {}

  /** @internal */
  onClosed(error: Error | undefined): void {
    this.#options.http1.deadlines.unwatch(this);
    this.#handler.onClosed?.(error);
  }

  /** @internal */
  onDeadline(): void {
    if (!this.#first) {
      this.#transport.destroy();
      return;
    }
    // The time for a head is over. One that began as a request is told so, as if it were known to be of HTTP/1.1.
    const connection = this.#becomeHttp1(this.#first);
    connection.deadlineMs = Math.min(connection.deadlineMs, this.#options.http1.deadlines.nowMs + LINGER_MS);
  }

  #become(protocol: 'http1' | 'http2' | 'tls' | 'other', first: Buffer): void {
    if (protocol !== 'http2') {
      this.#becomeHttp1(first);
      return;
    }
    this.#isKnown();
    const connection = new Http2ServerConnection(this.#transport, this.#handler, this.#options.http2);
    this.#known = connection;
    connection.session.onBytes(first);
  }

  #becomeHttp1(first: Buffer): Http1ServerConnection {
    this.#isKnown();
    const connection = new Http1ServerConnection(this.#transport, this.#handler, this.#options.http1);
    this.#known = connection;
    this.#transport.start(connection);
    connection.onBytes(first);
    return connection;
  }

  #isKnown(): void {
    this.#first = undefined;
    this.#options.http1.deadlines.unwatch(this);
  }
}
