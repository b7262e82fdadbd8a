/**
 * Makes connections to endpoints: in a tunnel to the endpoint's node, or in clear, and HTTP on them.
 *
 * What is handed over is connected with the application; until then disposing of what is returned gives it up.
 */
import type { Clock, Timer } from '@ambit/core/clock';
import { formatHostPort } from '@ambit/core/ip';
import { connectHttp1 } from '@ambit/http/h1/client';
import { connectHttp2 } from '@ambit/http/h2/client';
import type { Http1Options, Http2ClientOptions } from '@ambit/http/options';
import { PlainTransport } from '@ambit/http/transport/plain-transport';
import { StreamTransport } from '@ambit/http/transport/stream-transport';
import type { Transport } from '@ambit/http/transport/transport';
import type { UpstreamEndpoint } from './endpoint.ts';
import { connectError, type UpstreamError } from './errors.ts';
import type { ConnectWaiter, HttpVersion } from './http-pool.ts';
import type { UpstreamSettings } from './settings.ts';
import type { Tunnels } from './tunnels.ts';

export interface TransportWaiter {
  /** Start it within the call. */
  onTransport(transport: Transport): void;
  onFailed(error: UpstreamError): void;
}

export interface ConnectAbout {
  /** The service that is called; for the endpoint's reports. */
  readonly hostname: string | undefined;
  readonly settings: UpstreamSettings;
}

export interface ConnectorOptions {
  readonly tunnels: Tunnels;
  readonly clock: Clock;
  readonly http1: Http1Options;
  readonly http2: Http2ClientOptions;
  /** Where endpoints take tunnels, if not at 15008: for tests. */
  readonly hbonePort?: number | undefined;
}

export class Connector {
  readonly #options: ConnectorOptions;

  constructor(options: ConnectorOptions) {
    this.#options = options;
  }

  /** A connection that speaks HTTP. */
  http(
    endpoint: UpstreamEndpoint,
    about: ConnectAbout & { readonly version: HttpVersion },
    waiter: ConnectWaiter,
  ): Disposable {
    return this.transport(endpoint, about, {
      onTransport: (transport) => {
        const { http1, http2 } = this.#options;
        waiter.onConnected((handler) =>
          about.version === '2'
            ? connectHttp2(transport, handler, http2)
            : connectHttp1(transport, handler, http1),
        );
      },
      onFailed: (error) => waiter.onFailed(error),
    });
  }

  /** A connection that carries bytes. */
  transport(endpoint: UpstreamEndpoint, about: ConnectAbout, waiter: TransportWaiter): Disposable {
    return endpoint.facts.tunnelled
      ? this.#tunnelled(endpoint, about, waiter)
      : this.#plain(endpoint, about, waiter);
  }

  #tunnelled(
    { facts, key }: UpstreamEndpoint,
    { hostname, settings }: ConnectAbout,
    waiter: TransportWaiter,
  ): Disposable {
    const { tunnels, hbonePort } = this.#options;
    const target = { to: facts.to, identities: facts.identities, host: hostname, hbonePort };
    return tunnels.open(target, settings.connectTimeoutMs, {
      onStream: (stream) => waiter.onTransport(new StreamTransport(stream, key)),
      onFailed: (error) => waiter.onFailed(error),
    });
  }

  #plain(
    { facts: { to } }: UpstreamEndpoint,
    { settings }: ConnectAbout,
    waiter: TransportWaiter,
  ): Disposable {
    const address = formatHostPort(to.ip, to.port);
    const { connectTimeoutMs } = settings;
    let timer: Timer | undefined;
    let over = false;
    const transport = new PlainTransport({ fd: undefined, to }, (error) => {
      if (over) return;
      over = true;
      timer?.cancel();
      if (error) waiter.onFailed(connectError('connection_failure', address, error));
      else waiter.onTransport(transport);
    });
    const giveUp = () => {
      over = true;
      timer?.cancel();
      transport.destroy();
    };
    timer = this.#options.clock.after(connectTimeoutMs, () => {
      if (over) return;
      giveUp();
      const late = new Error(`not connected within ${connectTimeoutMs} ms`);
      waiter.onFailed(connectError('connection_timeout', address, late));
    });
    return {
      [Symbol.dispose]: () => {
        if (!over) giveUp();
      },
    };
  }
}
