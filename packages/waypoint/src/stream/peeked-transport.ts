/**
 * A transport whose first bytes are looked at before anybody takes it.
 *
 * What was looked at is delivered again, first, to whoever starts it. Until then its sender has no credit for it.
 */
import type { Transport, TransportEvents } from '@ambit/http/transport/transport';
import { KeptBytes } from '../exchange/kept-bytes.ts';

export interface Peeker {
  /** More came: so many bytes in all, which `bytes` copies. */
  onPeeked(count: number, bytes: () => Buffer): void;
  /** No more bytes will come. */
  onPeekedEnd(): void;
}

export class PeekedTransport implements Transport, TransportEvents {
  readonly #inner: Transport;
  #peeker: Peeker | undefined;
  #events: TransportEvents | undefined;
  #isPeeked = false;
  readonly #kept = new KeptBytes();
  #ended = false;
  #closed = false;
  #error: Error | undefined;

  constructor(inner: Transport) {
    this.#inner = inner;
  }

  get peer(): string {
    return this.#inner.peer;
  }

  get localAddress(): string {
    return this.#inner.localAddress;
  }

  get idle(): boolean {
    return this.#inner.idle;
  }

  get lends(): boolean {
    return this.#inner.lends;
  }

  /** Looks at what comes from now on, until it is started. */
  peek(peeker: Peeker): void {
    this.#peeker = peeker;
    this.#isPeeked = true;
    this.#inner.start(this);
  }

  /** Enough was seen: what comes is kept for whoever starts it. */
  endPeek(): void {
    this.#peeker = undefined;
  }

  start(events: TransportEvents): void {
    this.#events = events;
    if (!this.#isPeeked) {
      this.#inner.start(events);
      return;
    }
    this.#peeker = undefined;
    for (let bytes = this.#kept.read(); bytes; bytes = this.#kept.read()) events.onBytes(bytes);
    this.#kept.clear();
    if (this.#closed) queueMicrotask(() => events.onClosed(this.#error));
    else if (this.#ended) this.#tellEnd(events);
  }

  write(bytes: Uint8Array): void {
    this.#inner.write(bytes);
  }

  keep(): void {
    this.#inner.keep();
  }

  credit(bytes: number): void {
    this.#inner.credit(bytes);
  }

  end(): void {
    this.#inner.end();
  }

  leave(): void {
    this.#inner.leave();
  }

  destroy(): void {
    this.#inner.destroy();
  }

  /** @internal */
  onBytes(bytes: Buffer): void {
    if (this.#events) {
      this.#events.onBytes(bytes);
      return;
    }
    this.#kept.push(bytes);
    this.#peeker?.onPeeked(this.#kept.unreadBytes, () => Buffer.concat([...this.#kept.all()]));
  }

  /** @internal */
  onIdle(): void {
    this.#events?.onIdle();
  }

  /** @internal */
  onEnd(): void {
    this.#ended = true;
    if (this.#events) this.#tellEnd(this.#events);
    else this.#peeker?.onPeekedEnd();
  }

  /** @internal */
  onClosed(error: Error | undefined): void {
    this.#closed = true;
    this.#error = error;
    if (this.#events) this.#events.onClosed(error);
    else this.#peeker?.onPeekedEnd();
  }

  #tellEnd(events: TransportEvents): void {
    if (events.onEnd) events.onEnd();
    else this.#inner.end();
  }
}
