/**
 * A TCP connection to an application.
 *
 * All of a thread's connections read into one buffer: what `onPlainData` gets must be used up within the call, and never
 * be passed to `write` of another plain socket, which may keep pointing into it. An idle connection owns no buffer.
 * What `write` is given stays lent until it says `done`, or until `onPlainWritten`.
 */
import { getSystemErrorName } from 'node:util';
import type { Endpoint } from '@ambit/core/ip';
import { PLAIN_READ_BYTES } from '../limits.ts';
import { FRAME_HEADER_BYTES } from '../h2/protocol.ts';
import {
  adoptConnecting,
  type AddressInfo,
  connectTcp,
  own,
  shutdown,
  type StreamOwner,
  type TcpHandle,
  UV_EOF,
  write,
} from './native.ts';

/** Reads land behind room for a frame header, which a tunnel writes in place. */
const shared = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + PLAIN_READ_BYTES);
const landing = shared.subarray(FRAME_HEADER_BYTES);

/** A read is never limited to less. */
const SMALLEST_READ_BYTES = 16 * 1024;

export interface PlainSocketEvents {
  /** `buffer[from..to)`, with nine octets to spare in front; gone when this returns. */
  onPlainData(buffer: Buffer, from: number, to: number): void;
  onPlainEnd(): void;
  /** The write that was `held` is through. */
  onPlainWritten(): void;
  /** The connection broke (`ECONNRESET`), or could not be made. It is closed. */
  onPlainError(code: string): void;
  onPlainConnected?(): void;
}

/** A connection to make, of which the kernel chooses all but where to. */
export interface Connect {
  readonly to: Endpoint;
}

/** A connection that is being made. */
export interface Connecting {
  /** A socket, owned from then on; or what kept it from connecting, as a negative errno. */
  readonly connecting: number;
}

/** Reads what is there already: how many bytes, 0 for none or the end, or a negative errno. */
export type ReceiveWaiting = (fd: number, into: Uint8Array) => number;

export class PlainSocket implements StreamOwner {
  readonly #handle: TcpHandle | undefined;
  #events: PlainSocketEvents;
  #reading = false;
  #held = false;
  #closed = false;
  /** What the handle reads into: the shared buffer, or less of it. */
  #landing = landing;
  #shutdown: 'no' | 'wanted' | 'done' = 'no';
  #connected = false;

  /**
   * Adopts an accepted handle, or makes a connection: then `onPlainConnected` or `onPlainError` follows, never from within
   * this call. Neither follows for one that {@link isConnected} when this returns.
   */
  constructor(from: TcpHandle | Connect | Connecting, events: PlainSocketEvents) {
    this.#events = events;
    if ('to' in from) this.#handle = this.#orFail(connectTcp(this, from.to.ip, from.to.port));
    else if ('connecting' in from) this.#handle = this.#adoptConnecting(from.connecting);
    else {
      this.#handle = from;
      this.#adopt(from);
    }
  }

  get isConnected(): boolean {
    return this.#connected;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Whether a write is held: none may follow before `onWritten`. */
  get isHeld(): boolean {
    return this.#held;
  }

  /** -1 once closed. */
  get fd(): number {
    return this.#closed ? -1 : (this.#handle?.fd ?? -1);
  }

  /** Who hears of this socket from now on. */
  set events(events: PlainSocketEvents) {
    this.#events = events;
  }

  peer(): Endpoint {
    return this.#address('getpeername');
  }

  local(): Endpoint {
    return this.#address('getsockname');
  }

  resume(): void {
    if (this.#reading || this.#closed) return;
    this.#reading = true;
    this.#handle?.readStart();
  }

  pause(): void {
    if (!this.#reading || this.#closed) return;
    this.#reading = false;
    this.#handle?.readStop();
  }

  /**
   * Writes bytes that stay untouched until they are through.
   *
   * @returns `done`: through, the memory is free. `held`: lent until `onPlainWritten`. `failed`: `onPlainError` follows.
   */
  write(bytes: Uint8Array): 'done' | 'held' | 'failed' {
    if (this.#closed || !this.#handle) return 'failed';
    const outcome = write(this.#handle, this, bytes);
    if (outcome === 'done') return 'done';
    if (outcome === 'held') {
      this.#held = true;
      return 'held';
    }
    queueMicrotask(() => this.#fail(outcome));
    return 'failed';
  }

  /** FIN, after a held write. */
  end(): void {
    if (this.#closed || this.#shutdown !== 'no') return;
    this.#shutdown = 'wanted';
    if (!this.#held) this.#sendFin();
  }

  /** Closes at once; nothing is called any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#handle) return;
    this.#handle.owner = undefined;
    this.#handle.close();
  }

  /** Closes with RST, so that the peer sees an error. */
  reset(): void {
    if (this.#closed || !this.#handle) return;
    this.#closed = true;
    this.#handle.owner = undefined;
    if (this.#handle.reset() !== 0) this.#handle.close();
  }

  /** Before the first read: `onPlainData` tells what is there already, if anything is, at most `bytes`. */
  readWaiting(receive: ReceiveWaiting, bytes: number): void {
    if (this.#closed || !this.#handle) return;
    const count = receive(this.#handle.fd, landing.subarray(0, bytes));
    if (count < 0) this.#fail(count);
    if (count <= 0) return;
    const next = this.onRead(count);
    if (next && !this.#closed) this.#handle.useUserBuffer(next);
  }

  /** Before the first read: how much it may bring. {@link limitRead} says how it goes on. */
  limitFirstRead(bytes: number): void {
    this.#landing = landing.subarray(0, bytes);
    this.#handle?.useUserBuffer(this.#landing);
  }

  /** Within `onPlainData`: how much the next read may bring, at most; the least is a small piece. */
  limitRead(bytes: number): void {
    const limit = bytes >= PLAIN_READ_BYTES ? PLAIN_READ_BYTES : Math.max(bytes, SMALLEST_READ_BYTES);
    if (limit === this.#landing.length) return;
    this.#landing = limit === PLAIN_READ_BYTES ? landing : landing.subarray(0, limit);
  }

  /** @internal */
  onRead(count: number): Uint8Array | undefined {
    if (this.#closed) return undefined;
    const before = this.#landing;
    this.#events.onPlainData(shared, FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + count);
    return this.#landing === before ? undefined : this.#landing;
  }

  /** @internal */
  onReadEnd(status: number): void {
    if (this.#closed) return;
    if (status !== UV_EOF) {
      this.#fail(status);
      return;
    }
    this.#reading = false;
    this.#events.onPlainEnd();
  }

  /** @internal */
  onWritten(status: number): void {
    this.#held = false;
    if (this.#closed) return;
    if (status !== 0) {
      this.#fail(status);
      return;
    }
    if (this.#shutdown === 'wanted') this.#sendFin();
    this.#events.onPlainWritten();
  }

  /** @internal */
  onConnected(status: number): void {
    if (this.#closed || !this.#handle) return;
    if (status !== 0) {
      this.#fail(status);
      return;
    }
    this.#adoptConnected(this.#handle);
    this.#events.onPlainConnected?.();
  }

  #adopt(handle: TcpHandle): void {
    this.#connected = true;
    own(handle, this, this.#landing);
  }

  #adoptConnected(handle: TcpHandle): void {
    handle.setNoDelay(true);
    this.#adopt(handle);
  }

  #adoptConnecting(fd: number): TcpHandle | undefined {
    const begun = fd < 0 ? fd : adoptConnecting(fd, this);
    if (typeof begun === 'number') return this.#orFail(begun);
    if (begun.isConnected) this.#adoptConnected(begun.handle);
    return begun.handle;
  }

  #orFail(begun: TcpHandle | number): TcpHandle | undefined {
    if (typeof begun !== 'number') return begun;
    this.#closed = true;
    queueMicrotask(() => this.#events.onPlainError(nameOf(begun)));
    return undefined;
  }

  #sendFin(): void {
    this.#shutdown = 'done';
    if (this.#handle) shutdown(this.#handle);
  }

  #fail(status: number): void {
    if (this.#closed) return;
    this.close();
    this.#events.onPlainError(nameOf(status));
  }

  #address(of: 'getpeername' | 'getsockname'): Endpoint {
    const info: AddressInfo = {};
    if (!this.#closed) this.#handle?.[of](info);
    return { ip: canonicalIp(info.address ?? ''), port: info.port ?? 0 };
  }
}

/** An IPv4-mapped address as IPv4; the kernel's other spellings are canonical already. */
export function canonicalIp(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address;
}

function nameOf(status: number): string {
  return getSystemErrorName(status);
}
