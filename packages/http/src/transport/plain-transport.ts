/**
 * A plain TCP connection as a transport.
 *
 * Reads land in the thread's shared buffer, so nothing can be kept; writes may be held by the kernel's backlog, so they
 * are lent. Both rules are those of plain-socket.ts.
 */
import { MeshError } from '@ambit/core/errors';
import { formatHostPort } from '@ambit/core/ip';
import type { TcpHandle } from './native.ts';
import { type Connect, PlainSocket, type PlainSocketEvents } from './plain-socket.ts';
import { type Transport, type TransportEvents, UNCREDITED_BYTES } from './transport.ts';

/** A plain connection broke, or could not be made. */
export class PlainConnectionError extends MeshError {
  readonly code = 'PLAIN_CONNECTION';
  readonly side = 'upstream';
  /** `ECONNREFUSED`, `ECONNRESET`… */
  readonly errno: string;
  /** The connection was never made. */
  override readonly retryable: boolean;

  constructor(peer: string, errno: string, wasConnected: boolean) {
    super(`${wasConnected ? 'connection with' : 'could not connect to'} ${peer}: ${errno}`);
    this.errno = errno;
    this.retryable = !wasConnected;
  }
}

export class PlainTransport implements Transport, PlainSocketEvents {
  readonly peer: string;
  readonly lends = true;
  readonly #socket: PlainSocket;
  #events: TransportEvents | undefined;
  #connected: boolean;
  #local: string | undefined;
  #uncredited = 0;
  #ending = false;
  #peerEnded = false;
  #closed = false;
  #onConnected: ((error: PlainConnectionError | undefined) => void) | undefined;

  /** Adopts an accepted connection; or makes one, and says how it went before it is started. */
  constructor(handle: TcpHandle);
  constructor(connect: Connect, onConnected: (error: PlainConnectionError | undefined) => void);
  constructor(from: TcpHandle | Connect, onConnected?: (error: PlainConnectionError | undefined) => void) {
    this.#socket = new PlainSocket(from, this);
    this.#connected = !('to' in from);
    this.#onConnected = onConnected;
    const { ip, port } = 'to' in from ? from.to : this.#socket.peer();
    this.peer = formatHostPort(ip, port);
  }

  get idle(): boolean {
    return this.#connected && !this.#closed && !this.#socket.isHeld;
  }

  get localAddress(): string {
    this.#local ??= localOf(this.#socket);
    return this.#local;
  }

  start(events: TransportEvents): void {
    this.#events = events;
    if (this.#closed) queueMicrotask(() => events.onClosed(undefined));
    else this.#socket.resume();
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  keep(): void {
    throw new Error('a plain connection reads into memory that its thread shares');
  }

  credit(bytes: number): void {
    this.#uncredited -= bytes;
    if (this.#uncredited < UNCREDITED_BYTES && !this.#closed && !this.#peerEnded) this.#socket.resume();
  }

  end(): void {
    if (this.#ending || this.#closed) return;
    this.#ending = true;
    if (this.#peerEnded && !this.#socket.isHeld) this.#close(undefined);
    else this.#socket.end();
  }

  /** The kernel goes on sending what it has. */
  leave(): void {
    this.#close(undefined);
  }

  destroy(): void {
    if (this.#closed) return;
    this.#socket.reset();
    this.#close(undefined);
  }

  /** @internal */
  onPlainData(buffer: Buffer, from: number, to: number): void {
    this.#uncredited += to - from;
    this.#events?.onBytes(buffer.subarray(from, to));
    if (this.#uncredited >= UNCREDITED_BYTES) this.#socket.pause();
  }

  /** @internal */
  onPlainEnd(): void {
    this.#peerEnded = true;
    if (this.#events?.onEnd) this.#events.onEnd();
    else this.end();
    if (this.#ending && !this.#socket.isHeld) this.#close(undefined);
  }

  /** @internal */
  onPlainWritten(): void {
    if (this.#ending && this.#peerEnded) this.#close(undefined);
    else this.#events?.onIdle();
  }

  /** @internal */
  onPlainError(errno: string): void {
    this.#close(new PlainConnectionError(this.peer, errno, this.#connected));
  }

  /** @internal */
  onPlainConnected(): void {
    this.#connected = true;
    const told = this.#onConnected;
    this.#onConnected = undefined;
    told?.(undefined);
  }

  #close(error: PlainConnectionError | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
    const told = this.#onConnected;
    this.#onConnected = undefined;
    told?.(error);
    const events = this.#events;
    if (events) queueMicrotask(() => events.onClosed(error));
  }
}

function localOf(socket: PlainSocket): string {
  const { ip, port } = socket.local();
  return ip === '' ? '' : formatHostPort(ip, port);
}
