/**
 * A transport whose first bytes are looked at before anybody takes it.
 *
 * What was looked at is delivered again, first, to whoever starts it. Until then its sender has no credit for it.
 */
import type { Transport, TransportEvents } from '@ambit/http/transport/transport';

export interface Peeker {
  /** All bytes so far. */
  onPeeked(bytes: Buffer): void;
  /** No more bytes will come. */
  onPeekedEnd(): void;
}

export class PeekedTransport implements Transport, TransportEvents {
  readonly #inner: Transport;
  #peeker: Peeker | undefined;
  #events: TransportEvents | undefined;
  #bytes: Buffer = Buffer.alloc(0);
  #ended = false;
  #closed = false;
  #error: Error | undefined;

  constructor(inner: Transport) {
    this.#inner = inner;
  }

  get peer(): string {
    return this.#inner.peer;
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
    this.#inner.start(this);
  }

  start(events: TransportEvents): void {
    this.#events = events;
    if (!this.#peeker) {
      this.#inner.start(events);
      return;
    }
    this.#peeker = undefined;
    const bytes = this.#bytes;
    this.#bytes = Buffer.alloc(0);
    if (bytes.length > 0) events.onBytes(bytes);
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

  destroy(): void {
    this.#inner.destroy();
  }

  /** @internal */
  onBytes(bytes: Buffer): void {
    if (this.#events) {
      this.#events.onBytes(bytes);
      return;
    }
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    this.#peeker?.onPeeked(this.#bytes);
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
