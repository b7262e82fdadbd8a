/**
 * Makes connections to endpoints: in a tunnel to the endpoint's node, or in clear; TLS on them where a policy asks for it;
 * and HTTP.
 *
 * What is handed over is connected with the application; until then disposing of what is returned gives it up.
 */
import { connect as connectTcp } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { Clock, Timer } from '@ambit/core/clock';
import { connectHttp1 } from '@ambit/http/h1/client';
import { connectHttp2 } from '@ambit/http/h2/client';
import type { H2Stream } from '@ambit/http/h2/stream';
import { StreamDuplex } from '@ambit/http/h2/stream-duplex';
import type { Http1Options, Http2ClientOptions } from '@ambit/http/options';
import { DuplexTransport } from '@ambit/http/transport/duplex-transport';
import { localAddressOf } from '@ambit/http/transport/local-address';
import { PlainTransport } from '@ambit/http/transport/plain-transport';
import { StreamTransport } from '@ambit/http/transport/stream-transport';
import type { Transport } from '@ambit/http/transport/transport';
import type { UpstreamEndpoint } from './endpoint.ts';
import { connectError, type UpstreamError, type UpstreamReason } from './errors.ts';
import type { ConnectWaiter, HttpVersion } from './http-pool.ts';
import { originateTls, type TlsOrigination } from './originate-tls.ts';
import type { UpstreamSettings } from './settings.ts';
import type { TlsMaterials } from './tls-materials.ts';
import type { Tunnels } from './tunnels.ts';

export interface TransportWaiter {
  /** Start it within the call. */
  onTransport(transport: Transport): void;
  onFailed(error: UpstreamError): void;
}

export interface DuplexWaiter {
  /** @param localAddress - Our end of the connection that carries it, as a transport has it. */
  onDuplex(duplex: Duplex, localAddress: string): void;
  onFailed(error: UpstreamError): void;
}

export interface ConnectAbout {
  /** The service that is called; for the endpoint's reports. */
  readonly hostname: string | undefined;
  readonly settings: UpstreamSettings;
  readonly tls: TlsOrigination | undefined;
  /** Goes first, in clear: the PROXY protocol. */
  readonly preamble: Uint8Array | undefined;
}

export interface ConnectorOptions {
  readonly tunnels: Tunnels;
  readonly materials: TlsMaterials;
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
    version: HttpVersion,
    about: ConnectAbout,
    waiter: ConnectWaiter,
  ): Disposable {
    const { http1, http2 } = this.#options;
    return this.transport(endpoint, about, {
      onTransport: (transport) =>
        waiter.onConnected((handler) =>
          version === '2' ? connectHttp2(transport, handler, http2) : connectHttp1(transport, handler, http1),
        ),
      onFailed: (error) => waiter.onFailed(error),
    });
  }

  /** A connection that carries bytes. */
  transport(endpoint: UpstreamEndpoint, about: ConnectAbout, waiter: TransportWaiter): Disposable {
    const attempt = new Connecting<Transport>(this.#target(endpoint, about), {
      onConnected: (transport) => waiter.onTransport(transport),
      onFailed: (error) => waiter.onFailed(error),
    });
    const { tls, preamble } = about;
    const send = (transport: Transport) => {
      if (preamble) transport.write(preamble);
      attempt.done(transport, () => transport.destroy());
    };
    if (tls)
      this.#secured(
        endpoint,
        about,
        tls,
        attempt,
        (socket, local) => new DuplexTransport(socket, endpoint.key, local),
      );
    else if (endpoint.facts.tunnelled)
      this.#stream(endpoint, about, attempt, (stream) => send(new StreamTransport(stream, endpoint.key)));
    else this.#plain(endpoint, attempt, send);
    return attempt;
  }

  /** The same as a Duplex of Node's, for what speaks through one. */
  duplex(endpoint: UpstreamEndpoint, about: ConnectAbout, waiter: DuplexWaiter): Disposable {
    const attempt = new Connecting<Carrier>(this.#target(endpoint, about), {
      onConnected: ({ duplex, localAddress }) => waiter.onDuplex(duplex, localAddress),
      onFailed: (error) => waiter.onFailed(error),
    });
    const { tls } = about;
    if (tls)
      this.#secured(endpoint, about, tls, attempt, (duplex, localAddress) => ({ duplex, localAddress }));
    else
      this.#anyDuplex(endpoint, about, attempt, (duplex, localAddress) =>
        attempt.done({ duplex, localAddress }, () => duplex.destroy()),
      );
    return attempt;
  }

  #target({ key }: UpstreamEndpoint, { settings }: ConnectAbout): ConnectTarget {
    return { address: key, timeoutMs: settings.connectTimeoutMs, clock: this.#options.clock };
  }

  #stream(
    { facts }: UpstreamEndpoint,
    { hostname, settings }: ConnectAbout,
    attempt: Connecting<unknown>,
    onStream: (stream: H2Stream) => void,
  ): void {
    const { tunnels, hbonePort } = this.#options;
    const target = { to: facts.to, identities: facts.identities, host: hostname, hbonePort };
    const opening = tunnels.open(target, settings.connectTimeoutMs, {
      onStream,
      onFailed: (error) => attempt.failed(error),
    });
    attempt.onGivenUp(() => opening[Symbol.dispose]());
  }

  #plain(
    { facts: { to } }: UpstreamEndpoint,
    attempt: Connecting<unknown>,
    onTransport: (transport: Transport) => void,
  ): void {
    const transport = new PlainTransport({ to }, (error) => {
      if (error) attempt.broke('connection_failure', error);
      else onTransport(transport);
    });
    attempt.onGivenUp(() => transport.destroy());
  }

  #anyDuplex(
    endpoint: UpstreamEndpoint,
    about: ConnectAbout,
    attempt: Connecting<unknown>,
    onDuplex: (duplex: Duplex, localAddress: string) => void,
  ): void {
    const { preamble } = about;
    const send = (duplex: Duplex, localAddress: string) => {
      if (preamble) duplex.write(preamble);
      onDuplex(duplex, localAddress);
    };
    if (endpoint.facts.tunnelled) {
      this.#stream(endpoint, about, attempt, (stream) => {
        const duplex = new StreamDuplex(stream);
        send(duplex, duplex.localAddress);
      });
      return;
    }
    const { ip: host, port } = endpoint.facts.to;
    const socket = connectTcp({ host, port, allowHalfOpen: true, noDelay: true });
    const onError = (error: Error) => attempt.broke('connection_failure', error);
    socket.once('error', onError);
    socket.once('connect', () => {
      socket.off('error', onError).on('error', () => undefined);
      send(socket, localAddressOf(socket));
    });
    attempt.onGivenUp(() => socket.destroy());
  }

  /** What it is made of comes first: nobody is connected with in vain. */
  #secured<T>(
    endpoint: UpstreamEndpoint,
    about: ConnectAbout,
    tls: TlsOrigination,
    attempt: Connecting<T>,
    resultOf: (socket: TLSSocket, localAddress: string) => T,
  ): void {
    const begin = (context: SecureContext) => {
      if (attempt.isOver) return;
      this.#anyDuplex(endpoint, about, attempt, (duplex, localAddress) => {
        attempt.onGivenUp(() => duplex.destroy());
        try {
          originateTls(duplex, tls, context, {
            onSecured: (socket) => attempt.done(resultOf(socket, localAddress), () => socket.destroy()),
            onFailed: (error) => attempt.broke('tls_failure', error),
          });
        } catch (error) {
          attempt.broke('tls_failure', error);
        }
      });
    };
    const lacking = (error: unknown) => attempt.broke('tls_material_unusable', error);
    try {
      const context = this.#options.materials.contextOf(tls.policy);
      if (context instanceof Promise) context.then(begin).catch(lacking);
      else begin(context);
    } catch (error) {
      // As connections are, also where nothing was waited for: whoever asked has the attempt by then.
      queueMicrotask(() => lacking(error));
    }
  }
}

interface Carrier {
  readonly duplex: Duplex;
  readonly localAddress: string;
}

interface ConnectTarget {
  /** For messages. */
  readonly address: string;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

interface Connected<T> {
  onConnected(result: T): void;
  onFailed(error: UpstreamError): void;
}

/** One attempt: it ends once, with a connection or with an error, or is given up. */
class Connecting<T> implements Disposable {
  readonly #address: string;
  readonly #waiter: Connected<T>;
  readonly #timer: Timer;
  readonly #undo = new DisposableStack();
  #over = false;

  constructor({ address, timeoutMs, clock }: ConnectTarget, waiter: Connected<T>) {
    this.#address = address;
    this.#waiter = waiter;
    this.#timer = clock.after(timeoutMs, () =>
      this.broke('connection_timeout', new Error(`not connected within ${timeoutMs} ms`)),
    );
  }

  get isOver(): boolean {
    return this.#over;
  }

  /** Called when nobody wants the connection any more, or it cannot be had. */
  onGivenUp(undo: () => void): void {
    if (!this.#over) this.#undo.defer(undo);
  }

  /** @param discard - If nobody wants it any more. */
  done(result: T, discard: () => void): void {
    if (this.#over) {
      discard();
      return;
    }
    this.#over = true;
    this.#timer.cancel();
    this.#waiter.onConnected(result);
  }

  broke(reason: UpstreamReason, error: unknown): void {
    this.failed(connectError(reason, this.#address, error));
  }

  failed(error: UpstreamError): void {
    if (this.#over) return;
    this[Symbol.dispose]();
    this.#waiter.onFailed(error);
  }

  [Symbol.dispose](): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer.cancel();
    this.#undo.dispose();
  }
}
