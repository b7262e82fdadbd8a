/**
 * A TCP connection to an application.
 *
 * All of a thread's connections read into one buffer: what `onPlainData` gets must be used up within the call, and never
 * be passed to `write` of another plain socket, which may keep pointing into it. An idle connection owns no buffer.
 * What `write` is given stays lent until it says `done`, or until `onPlainWritten`.
 */
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import type { Endpoint } from '@ambit/core/ip';
import { PLAIN_READ_BYTES } from '../limits.ts';
import { FRAME_HEADER_BYTES } from '../h2/protocol.ts';
import {
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

/** A connection to make. Without `fd` the kernel chooses everything; with it, that unconnected socket is adopted. */
export interface Connect {
  readonly fd: number | undefined;
  readonly to: Endpoint;
  /**
   * Another socket to try with when one before it finds no free local port (a port, or a range, may have been all it could
   * use); called with 1, 2 and so on. `undefined`: that was all.
   */
  readonly otherFd?: (attempt: number) => number | undefined;
}

export class PlainSocket implements StreamOwner {
  readonly #handle: TcpHandle | undefined;
  #events: PlainSocketEvents;
  #reading = false;
  #held = false;
  #closed = false;
  /** What the handle reads into: the shared buffer, or less of it. */
  #landing = landing;
  #shutdown: 'no' | 'wanted' | 'done' = 'no';

  /** Adopts an accepted handle, or an unconnected socket that connects to `to`: then `onPlainConnected` or `onPlainError`. */
  constructor(from: TcpHandle | Connect, events: PlainSocketEvents) {
    this.#events = events;
    if (!('to' in from)) {
      this.#handle = from;
      this.#adopt(from);
      return;
    }
    let handle = connectTcp(from.fd, this, from.to.ip, from.to.port);
    for (let attempt = 1; handle === -constants.errno.EADDRNOTAVAIL; attempt += 1) {
      const fd = from.otherFd?.(attempt);
      if (fd === undefined) break;
      handle = connectTcp(fd, this, from.to.ip, from.to.port);
    }
    if (typeof handle === 'number') {
      const status = handle;
      this.#closed = true;
      queueMicrotask(() => this.#events.onPlainError(nameOf(status)));
      return;
    }
    this.#handle = handle;
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
    this.#handle.setNoDelay(true);
    this.#adopt(this.#handle);
    this.#events.onPlainConnected?.();
  }

  #adopt(handle: TcpHandle): void {
    own(handle, this, this.#landing);
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
