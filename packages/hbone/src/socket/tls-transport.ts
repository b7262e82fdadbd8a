/**
 * A tunnel's TLS connection as a session's transport, taken from the `TLSSocket` that made the handshake.
 *
 * The socket keeps its handle's life (errors, close); data goes past it. Each transport reads into a small buffer of
 * its own, so whoever keeps a piece just takes the buffer. Writes: the TLS handle encrypts or copies before `write`
 * returns, and bears one at a time (see native.ts).
 */
import type { TLSSocket } from 'node:tls';
import { formatHostPort } from '@ambit/core/ip';
import type { Transport, TransportEvents } from '../h2/transport.ts';
import { TUNNEL_READ_BYTES } from '../limits.ts';
import { handleOf, own, type StreamHandle, type StreamOwner, UV_EOF, write } from './native.ts';
import { canonicalIp } from './plain-socket.ts';

export class TlsTransport implements Transport, StreamOwner {
  readonly peer: string;
  readonly #socket: TLSSocket;
  readonly #handle: StreamHandle | undefined;
  #events: TransportEvents | undefined;
  #buffer = Buffer.allocUnsafeSlow(TUNNEL_READ_BYTES);
  #kept = false;
  #inFlight = false;
  #ending = false;
  #closed = false;
  #error: Error | undefined;

  /** @param socket - Just secured: nothing was read from it yet. */
  constructor(socket: TLSSocket) {
    this.#socket = socket;
    this.#handle = handleOf(socket);
    this.peer = formatHostPort(canonicalIp(socket.remoteAddress ?? ''), socket.remotePort ?? 0);
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    socket.once('close', () => this.#onClosed());
    if (this.#handle) own(this.#handle, this, this.#buffer);
  }

  get idle(): boolean {
    return !this.#inFlight && !this.#closed;
  }

  start(events: TransportEvents): void {
    this.#events = events;
    if (this.#handle && !this.#socket.destroyed) this.#handle.readStart();
    else queueMicrotask(() => this.#onClosed());
  }

  write(bytes: Uint8Array): void {
    if (!this.#handle || this.#closed || this.#socket.destroyed) return;
    const outcome = write(this.#handle, this, bytes);
    if (outcome === 'held') this.#inFlight = true;
    else if (outcome !== 'done') this.#socket.destroy();
  }

  keep(): void {
    this.#kept = true;
  }

  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    if (!this.#inFlight) this.#socket.destroySoon();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** @internal */
  onRead(count: number): Uint8Array | undefined {
    const buffer = this.#buffer;
    this.#events?.onBytes(buffer.subarray(0, count));
    if (!this.#kept) return undefined;
    this.#kept = false;
    this.#buffer = Buffer.allocUnsafeSlow(TUNNEL_READ_BYTES);
    return this.#buffer;
  }

  /** @internal */
  onReadEnd(status: number): void {
    if (status === UV_EOF) this.#socket.destroySoon();
    else this.#socket.destroy();
  }

  /** @internal */
  onWritten(status: number): void {
    this.#inFlight = false;
    if (this.#closed) return;
    if (status !== 0) this.#socket.destroy();
    else if (this.#ending) this.#socket.destroySoon();
    else this.#events?.onIdle();
  }

  /** @internal A tunnel is connected before its handshake. */
  onConnected(): void {}

  #onClosed(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#handle) this.#handle.owner = undefined;
    this.#events?.onClosed(this.#error);
  }
}
