/**
 * A tunnel's TLS connection as a session's transport, taken from the `TLSSocket` that made the handshake.
 *
 * The socket keeps its handle's life (errors, close); data goes past it. Each transport reads into buffers of its
 * own (landing.ts), so whoever keeps a piece just keeps it. Writes: the TLS handle encrypts or copies before `write`
 * returns, and bears one at a time (see native.ts).
 */
import type { TLSSocket } from 'node:tls';
import { formatHostPort } from '@ambit/core/ip';
import { type Transport, type TransportEvents, UNCREDITED_BYTES } from './transport.ts';
import { Landing } from './landing.ts';
import { handleOf, own, type StreamHandle, type StreamOwner, UV_EOF, write } from './native.ts';
import { localAddressOf } from './local-address.ts';
import { canonicalIp } from './plain-socket.ts';

export class TlsTransport implements Transport, StreamOwner {
  readonly peer: string;
  readonly lends = false;
  readonly #socket: TLSSocket;
  readonly #handle: StreamHandle | undefined;
  #events: TransportEvents | undefined;
  #local: string | undefined;
  readonly #landing = new Landing((bytes) => this.#deliver(bytes));
  #inFlight = false;
  #uncredited = 0;
  #stopped = false;
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
    if (this.#handle) own(this.#handle, this, this.#landing.first);
  }

  get localAddress(): string {
    this.#local ??= localAddressOf(this.#socket);
    return this.#local;
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
    this.#landing.keep();
  }

  credit(bytes: number): void {
    this.#uncredited -= bytes;
    if (!this.#stopped || this.#uncredited >= UNCREDITED_BYTES || this.#closed) return;
    this.#stopped = false;
    this.#handle?.readStart();
  }

  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    if (!this.#inFlight) this.#socket.destroySoon();
  }

  /** What was written is the kernel's by now. */
  leave(): void {
    this.#socket.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** @internal */
  onRead(count: number): Uint8Array | undefined {
    return this.#landing.landed(count);
  }

  /** @internal */
  onReadEnd(status: number): void {
    this.#landing.flush();
    if (status !== UV_EOF) this.#socket.destroy();
    else if (this.#events?.onEnd) this.#events.onEnd();
    else this.#socket.destroySoon();
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

  #deliver(bytes: Buffer): void {
    this.#uncredited += bytes.length;
    this.#events?.onBytes(bytes);
    if (this.#uncredited < UNCREDITED_BYTES || this.#stopped || this.#closed) return;
    this.#stopped = true;
    this.#handle?.readStop();
  }

  #onClosed(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#landing.close();
    if (this.#handle) this.#handle.owner = undefined;
    this.#events?.onClosed(this.#error);
  }
}
