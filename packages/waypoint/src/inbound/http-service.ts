/** HTTP of clients: each connection served, each request proxied, all of them ended in an orderly way. */
import type { HttpServerConnection } from '@ambit/http/exchange';
import { type HttpServerOptions, serveHttp } from '@ambit/http/serve';
import type { Transport } from '@ambit/http/transport/transport';
import type { ExchangeContext } from '../exchange/context.ts';
import type { Downstream } from '../exchange/downstream.ts';
import { ProxiedRequest } from '../exchange/proxied-request.ts';
import { reportRefused } from '../exchange/refused-request.ts';

export interface HttpServiceOptions {
  readonly context: ExchangeContext;
  readonly http: HttpServerOptions;
}

export class HttpService {
  readonly #options: HttpServiceOptions;
  readonly #connections = new Set<HttpServerConnection>();
  #draining = false;
  #whenEmpty: (() => void) | undefined;

  constructor(options: HttpServiceOptions) {
    this.#options = options;
  }

  get openConnections(): number {
    return this.#connections.size;
  }

  /** @param onClosed - Exactly once. */
  serve(downstream: Downstream, transport: Transport, onClosed: () => void): void {
    const { context, http } = this.#options;
    let connection: HttpServerConnection | undefined;
    const opened = serveHttp(
      transport,
      {
        onRequest: (exchange) => {
          const request = new ProxiedRequest(context, downstream, exchange).start();
          // The answer says that the connection ends: the client's next request finds another waypoint.
          if (this.#draining) connection?.drain();
          return request;
        },
        onRefused: (error, version) => reportRefused(context, downstream, error, version),
        onClosed: () => {
          if (connection) this.#connections.delete(connection);
          onClosed();
          if (this.#connections.size === 0) this.#whenEmpty?.();
        },
      },
      http,
    );
    connection = opened;
    this.#connections.add(opened);
  }

  /**
   * From now on answers end their connections. An idle one of HTTP/1.1 stays until {@link endIdle}, as a request may be on
   * its way; HTTP/2 can say that it ends without losing one.
   */
  drain(): void {
    this.#draining = true;
    for (const connection of this.#connections)
      if (!connection.idle || connection.version === '2') connection.drain();
  }

  /** Resolves when no connection is open, which the next may change. */
  empty(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenEmpty = resolve;
      if (this.#connections.size === 0) resolve();
    });
  }

  /** Ends those that are idle now. */
  endIdle(): void {
    for (const connection of [...this.#connections]) if (connection.idle) connection.drain();
  }

  destroy(): void {
    this.#draining = true;
    for (const connection of [...this.#connections]) connection.destroy();
  }
}
