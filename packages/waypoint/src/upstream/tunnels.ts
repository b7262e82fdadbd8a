/**
 * Tunnels from this waypoint to the endpoints of services, shared by all connections to one endpoint.
 *
 * A tunnel leads to one workload's own address and was opened to it with its identity proved; streams in it lead to that
 * workload's ports alone.
 */
import type { TLSSocket } from 'node:tls';
import type { Timer } from '@ambit/core/clock';
import { type Endpoint, formatHostPort } from '@ambit/core/ip';
import { openTunnel, type Tunnel } from '@ambit/hbone/client';
import { connectFields } from '@ambit/hbone/headers';
import { poolKey, TunnelPool } from '@ambit/hbone/pool';
import type { QueueBudget } from '@ambit/hbone/queue-budget';
import { newTraceparent } from '@ambit/hbone/trace-context';
import { H2ClosedError, type StreamResetError } from '@ambit/http/errors';
import { H2 } from '@ambit/http/h2/protocol';
import type { SessionOptions } from '@ambit/http/h2/session';
import type { H2Stream, StreamHandler } from '@ambit/http/h2/stream';
import { fieldValue, type HeaderFields } from '@ambit/http/header-fields';
import { HBONE_PORT } from '@ambit/model/decide/route';
import type { OwnCertificate } from '../control/own-certificate.ts';
import { MAX_STREAM_ATTEMPTS } from '../limits.ts';
import { connectError, type UpstreamError } from './errors.ts';

/** Whom a stream in a tunnel leads to. */
export interface TunnelTarget {
  /** The endpoint's address, and its port there. */
  readonly to: Endpoint;
  /** Where it takes tunnels: 15008, but in tests. */
  readonly hbonePort?: number | undefined;
  /** Identities of which it must prove one. */
  readonly identities: readonly string[];
  /** The service that is called; for the endpoint's reports. */
  readonly host: string | undefined;
}

export interface StreamWaiter {
  /** Answered with 200. Whoever it is for sets its handler within the call. */
  onStream(stream: H2Stream): void;
  onFailed(error: UpstreamError): void;
}

export interface TunnelsOptions {
  readonly certificate: OwnCertificate;
  readonly session: SessionOptions;
  readonly maxStreams: number;
  readonly unusedReleaseMs: number;
  /** What this waypoint says of itself. */
  readonly baggage: () => string;
  readonly budget: QueueBudget;
}

export class Tunnels implements Disposable {
  readonly #options: TunnelsOptions;
  readonly #pool: TunnelPool;

  constructor(options: TunnelsOptions) {
    this.#options = options;
    this.#pool = new TunnelPool({
      clock: options.session.clock,
      maxStreams: options.maxStreams,
      unusedReleaseMs: options.unusedReleaseMs,
      budget: options.budget,
      streamWindowBytes: options.session.streamWindowBytes,
    });
  }

  get openTunnels(): number {
    return this.#pool.openTunnels;
  }

  /**
   * Opens a stream; disposing of what is returned gives it up, as long as it has not been handed over.
   *
   * @param connectTimeoutMs - Until the endpoint's proxy says that it has connected.
   */
  open(target: TunnelTarget, connectTimeoutMs: number, waiter: StreamWaiter): Disposable {
    return new Opening(this, target, connectTimeoutMs, waiter).start();
  }

  /** @internal */
  take(target: TunnelTarget): Tunnel | undefined {
    return this.#pool.take(this.#key(target));
  }

  /** @internal A tunnel with room is there when this resolves. */
  async make(target: TunnelTarget): Promise<void> {
    const { certificate, session } = this.#options;
    await this.#pool.get(this.#key(target), async (handler) =>
      openTunnel(
        {
          to: { ip: target.to.ip, port: target.hbonePort ?? HBONE_PORT },
          fd: undefined,
          tls: await certificate.clientTls(),
          verify: (socket: TLSSocket) => certificate.verifyServer(socket, target.identities),
          session,
        },
        handler,
      ),
    );
  }

  /** @internal */
  get baggage(): string {
    return this.#options.baggage();
  }

  /** @internal */
  get clock(): SessionOptions['clock'] {
    return this.#options.session.clock;
  }

  /** Takes no more streams; those that are open may end. */
  drain(): void {
    this.#pool.close('drain');
  }

  [Symbol.dispose](): void {
    this.#pool.close('destroy');
  }

  #key({ to, identities, hbonePort = HBONE_PORT }: TunnelTarget): string {
    return poolKey(this.#options.certificate.identity, identities, formatHostPort(to.ip, hbonePort), '');
  }
}

/** One stream that is being opened. */
class Opening implements StreamHandler, Disposable {
  readonly #tunnels: Tunnels;
  readonly #target: TunnelTarget;
  readonly #waiter: StreamWaiter;
  readonly #address: string;
  #timer: Timer | undefined;
  #stream: H2Stream | undefined;
  #attempts = 0;
  #over = false;

  constructor(tunnels: Tunnels, target: TunnelTarget, connectTimeoutMs: number, waiter: StreamWaiter) {
    this.#tunnels = tunnels;
    this.#target = target;
    this.#waiter = waiter;
    this.#address = formatHostPort(target.to.ip, target.to.port);
    this.#timer = tunnels.clock.after(connectTimeoutMs, () =>
      this.#fail('connection_timeout', new Error(`not connected within ${connectTimeoutMs} ms`)),
    );
  }

  start(): this {
    const tunnel = this.#tunnels.take(this.#target);
    if (tunnel) {
      this.#request(tunnel);
      return this;
    }
    this.#tunnels
      .make(this.#target)
      .then(() => {
        if (!this.#over) this.start();
      })
      .catch((error: unknown) => this.#fail(reasonOf(error), error));
    return this;
  }

  [Symbol.dispose](): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.cancel();
    this.#stream?.reset(H2.cancel);
  }

  onHeaders(stream: H2Stream, fields: HeaderFields): void {
    const status = fieldValue(fields, ':status') ?? '';
    if (status !== '200') {
      stream.reset(H2.cancel);
      this.#stream = undefined;
      this.#fail('connect_refused_by_peer', new Error(`the endpoint's proxy answered ${status}`));
      return;
    }
    this.#over = true;
    this.#timer?.cancel();
    this.#waiter.onStream(stream);
  }

  onData(stream: H2Stream): void {
    stream.reset(H2.protocolError);
    this.#stream = undefined;
    this.#fail('protocol_error', new Error("the endpoint's proxy sent data before its answer"));
  }

  onWritable(): void {}

  onEnd(stream: H2Stream): void {
    stream.reset(H2.cancel);
    this.#stream = undefined;
    this.#fail('connection_failure', new Error('the stream ended before it was answered'));
  }

  onReset(_stream: H2Stream, error: StreamResetError): void {
    this.#stream = undefined;
    if (error.h2Code === H2.refusedStream && this.#attempts < MAX_STREAM_ATTEMPTS) this.start();
    else this.#fail('connection_failure', error);
  }

  #request({ session }: Tunnel): void {
    this.#attempts += 1;
    const fields = connectFields({
      authority: this.#address,
      baggage: this.#tunnels.baggage,
      client: undefined,
      host: this.#target.host,
      traceparent: newTraceparent(),
      sourceNetwork: undefined,
    });
    try {
      this.#stream = session.request(fields, this);
    } catch (error) {
      if (error instanceof H2ClosedError && this.#attempts < MAX_STREAM_ATTEMPTS) this.start();
      else this.#fail('connection_failure', error);
    }
  }

  #fail(reason: UpstreamError['reason'], cause: unknown): void {
    if (this.#over) return;
    this[Symbol.dispose]();
    this.#waiter.onFailed(connectError(reason, this.#address, cause));
  }
}

function reasonOf(error: unknown): UpstreamError['reason'] {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'TUNNEL_TLS' || code === 'OWN_CERTIFICATE') return 'tls_failure';
  return code === 'TUNNEL_CONNECT_TIMEOUT' ? 'connection_timeout' : 'connection_failure';
}
