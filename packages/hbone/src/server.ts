/**
 * Accepts tunnels at 15008: TLS with the workload's certificate, the client's proof, then streams.
 *
 * No server name is looked at: whose certificate is shown follows from the listener. A connection is bounded from its
 * first byte on: handshakes at a time, their duration, tunnels of one peer.
 */
import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { MeshError, messageOf } from '@ambit/core/errors';
import type { Endpoint } from '@ambit/core/ip';
import { handshakeProblem, type MeshTlsOptions, type PeerVerdict } from '@ambit/identity/tls-context';
import { TunnelTlsError } from './errors.ts';
import { H2ConnectionError, HpackError } from '@ambit/http/errors';
import { H2Session, type SessionOptions } from '@ambit/http/h2/session';
import type { H2Stream, StreamHandler } from '@ambit/http/h2/stream';
import type { HeaderFields } from '@ambit/http/header-fields';
import * as limits from './limits.ts';
import type { QueueBudget } from './queue-budget.ts';
import { type AddressInfo, socketOptions, type TcpHandle } from '@ambit/http/transport/native';
import { canonicalIp } from '@ambit/http/transport/plain-socket';
import { TlsTransport } from '@ambit/http/transport/tls-transport';

/** One client's tunnel. */
export interface ServerTunnel {
  readonly session: H2Session;
  readonly peer: Endpoint;
  /** Where the client connected to. */
  readonly local: Endpoint;
  /** What the client proved to be. */
  readonly identity: string;
}

export interface TunnelServerOptions {
  readonly session: SessionOptions;
  readonly budget: QueueBudget;
  /** The workload's certificate as TLS options, for each handshake anew. */
  tls(): Promise<MeshTlsOptions>;
  verify(socket: TLSSocket): PeerVerdict;
  /** Before the handshake: what the socket still needs. */
  onConnection?(fd: number, peer: Endpoint): void;
  onStream(tunnel: ServerTunnel, stream: H2Stream, fields: HeaderFields): StreamHandler;
  /** A connection that came to nothing (no certificate of our own, handshake failed, peer refused, a limit) or broke HTTP/2. */
  onRefused(peer: Endpoint, local: Endpoint, error: MeshError): void;
  /** A tunnel opened (+1) or ended (-1), for gauges. */
  onTunnels?(change: 1 | -1): void;
  /** TLS handshakes at a time; further connections are closed. */
  readonly maxHandshakes?: number;
  /** Tunnels that one address may hold open. */
  readonly maxTunnelsPerPeer?: number;
}

/** A bound of ours was reached; the connection was closed before it cost anything. */
export class TunnelLimitError extends MeshError {
  readonly code = 'TUNNEL_LIMIT';
  readonly side = 'downstream';

  constructor(what: string, limit: number) {
    super(`${what}: at most ${limit}`);
  }
}

/** Our own certificate could not be had. */
export class OwnCertificateError extends MeshError {
  readonly code = 'OWN_CERTIFICATE';
  readonly side = 'internal';

  constructor(cause: unknown) {
    super(`own certificate unavailable: ${messageOf(cause)}`, { cause });
  }
}

export class TunnelServer {
  readonly #options: TunnelServerOptions;
  readonly #sessions = new Set<H2Session>();
  readonly #tunnelsByPeer = new Map<string, number>();
  readonly #handshakes = new Set<Socket>();
  readonly #budgetChange: Disposable;
  #draining = false;
  #onDrained: (() => void) | undefined;

  constructor(options: TunnelServerOptions) {
    this.#options = options;
    this.#budgetChange = options.budget.onChange(() => this.#fitWindows());
  }

  /** Under way. */
  get handshakes(): number {
    return this.#handshakes.size;
  }

  get openTunnels(): number {
    return this.#sessions.size;
  }

  /** Takes a TCP connection. Handshakes above the limit are refused, so that a flood of them cannot starve the rest. */
  accept(handle: TcpHandle): void {
    const peer = addressOf(handle, 'getpeername');
    const local = addressOf(handle, 'getsockname');
    const socket = new Socket(socketOptions(handle));
    socket.setNoDelay(true);
    const refused = this.#refusal(peer);
    if (refused || this.#draining) {
      socket.destroy();
      if (refused) this.#options.onRefused(peer, local, refused);
      return;
    }
    this.#options.onConnection?.(handle.fd, peer);
    this.#count(peer, 1);
    this.#handshakes.add(socket);
    this.#shake(socket, peer, local).catch((error: unknown) => {
      this.#handshakes.delete(socket);
      socket.destroy();
      this.#count(peer, -1);
      this.#options.onRefused(
        peer,
        local,
        error instanceof MeshError ? error : new TunnelTlsError(messageOf(error)),
      );
      this.#checkDrained();
    });
  }

  /**
   * Takes no more connections, tells peers to go elsewhere, resolves when the last stream has ended. A handshake under way
   * may be completed, for a moment, and is told the same: who dials while listeners close one after another may have met
   * one of the last.
   */
  drain(): Promise<void> {
    this.#draining = true;
    this.#options.session.clock.after(limits.DRAIN_HANDSHAKE_MS, () => {
      for (const socket of this.#handshakes) socket.destroy();
    });
    for (const session of [...this.#sessions]) session.drain();
    return new Promise((resolve) => {
      this.#onDrained = resolve;
      this.#checkDrained();
    });
  }

  /** Tells every peer to open its next streams elsewhere; new tunnels are still taken. */
  goAway(): void {
    for (const session of [...this.#sessions]) session.drain();
  }

  /** Cuts every tunnel. */
  destroy(): void {
    this.#draining = true;
    this.#budgetChange[Symbol.dispose]();
    for (const socket of this.#handshakes) socket.destroy();
    for (const session of [...this.#sessions]) session.destroy();
  }

  #refusal(peer: Endpoint): TunnelLimitError | undefined {
    const { maxHandshakes = limits.HANDSHAKES_IN_FLIGHT, maxTunnelsPerPeer = limits.TUNNELS_PER_PEER } =
      this.#options;
    if (this.#handshakes.size >= maxHandshakes) {
      return new TunnelLimitError('TLS handshakes at a time', maxHandshakes);
    }
    if ((this.#tunnelsByPeer.get(peer.ip) ?? 0) >= maxTunnelsPerPeer) {
      return new TunnelLimitError(`tunnels from ${peer.ip}`, maxTunnelsPerPeer);
    }
    return undefined;
  }

  async #shake(socket: Socket, peer: Endpoint, local: Endpoint): Promise<void> {
    const cancelled = new Promise<never>((_, reject) => {
      socket.once('error', (error) => reject(new TunnelTlsError(messageOf(error))));
      socket.once('close', () =>
        reject(new TunnelTlsError('the connection was closed during the handshake')),
      );
    });
    let isLate = false;
    const timer = this.#options.session.clock.after(limits.HANDSHAKE_TIMEOUT_MS, () => {
      isLate = true;
      socket.destroy();
    });
    try {
      const options = await Promise.race([this.#ownCertificate(), cancelled]);
      await Promise.race([this.#secure(socket, options, peer, local), cancelled]);
    } catch (error) {
      throw isLate ? new TunnelTlsError(`no handshake within ${limits.HANDSHAKE_TIMEOUT_MS} ms`) : error;
    } finally {
      timer.cancel();
    }
  }

  async #ownCertificate(): Promise<MeshTlsOptions> {
    try {
      return await this.#options.tls();
    } catch (error) {
      throw new OwnCertificateError(error);
    }
  }

  /** Serves from within the event that ends the handshake: the first frames follow it at once. */
  #secure(socket: Socket, options: MeshTlsOptions, peer: Endpoint, local: Endpoint): Promise<void> {
    return new Promise((resolve, reject) => {
      const tls = new TLSSocket(socket, { isServer: true, ...options });
      tls.once('error', (error) => reject(new TunnelTlsError(handshakeProblem(error), { cause: error })));
      tls.once('secure', () => {
        const verdict = this.#options.verify(tls);
        if (verdict.ok) {
          this.#handshakes.delete(socket);
          this.#serve(tls, { peer, local, identity: verdict.identity });
          resolve();
        } else {
          reject(new TunnelTlsError(verdict.reason));
        }
      });
    });
  }

  #serve(tls: TLSSocket, about: Omit<ServerTunnel, 'session'>): void {
    const server = this.#options;
    const session = new H2Session(
      'server',
      new TlsTransport(tls),
      {
        onStream: (stream, fields) => server.onStream(tunnel, stream, fields),
        onClosed: (error) => {
          this.#sessions.delete(session);
          this.#count(about.peer, -1);
          if (error instanceof H2ConnectionError || error instanceof HpackError)
            server.onRefused(about.peer, about.local, error);
          server.onTunnels?.(-1);
          this.#checkDrained();
        },
      },
      server.session,
    );
    const tunnel: ServerTunnel = { session, ...about };
    this.#sessions.add(session);
    server.onTunnels?.(1);
    session.limitStreamWindow(server.budget.windowFor(server.session.streamWindowBytes));
    if (this.#draining) session.drain();
  }

  #fitWindows(): void {
    const { budget, session: options } = this.#options;
    const window = budget.windowFor(options.streamWindowBytes);
    for (const session of this.#sessions) session.limitStreamWindow(window);
  }

  #count(peer: Endpoint, change: 1 | -1): void {
    const count = (this.#tunnelsByPeer.get(peer.ip) ?? 0) + change;
    if (count > 0) this.#tunnelsByPeer.set(peer.ip, count);
    else this.#tunnelsByPeer.delete(peer.ip);
  }

  #checkDrained(): void {
    if (!this.#draining || this.#sessions.size > 0 || this.#handshakes.size > 0) return;
    this.#budgetChange[Symbol.dispose]();
    this.#onDrained?.();
  }
}

/** Answers a request with nothing but a status; what the client may still send is dropped. */
export function refuseStream(stream: H2Stream, status: number): void {
  stream.handler = REFUSED;
  stream.respond([{ name: ':status', value: String(status), indexed: true }], true);
}

const REFUSED: StreamHandler = {
  onHeaders() {},
  onData: (stream, bytes) => stream.credit(bytes.length),
  onEnd() {},
  onReset() {},
  onWritable() {},
};

function addressOf(handle: TcpHandle, of: 'getpeername' | 'getsockname'): Endpoint {
  const info: AddressInfo = {};
  handle[of](info);
  return { ip: canonicalIp(info.address ?? ''), port: info.port ?? 0 };
}
