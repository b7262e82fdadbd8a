/** A transport whose other end is the test: it delivers what it is told, and keeps what is written. */
import type { Transport, TransportEvents } from '../transport/transport.ts';

export class MemoryTransport implements Transport {
  readonly peer = 'memory';
  readonly localAddress = '';
  readonly lends: boolean;
  readonly #written: Buffer[] = [];
  #events: TransportEvents | undefined;
  /** Whether writes go out at once; else they wait for `drain`. */
  reads = true;
  /** Delivered and not credited. */
  uncredited = 0;
  ended = false;
  destroyed = false;
  left = false;

  /** @param lends - As {@link Transport.lends}: what was written is looked at when it is drained. */
  constructor(lends = false) {
    this.lends = lends;
  }

  get idle(): boolean {
    return this.reads && !this.destroyed;
  }

  /** Everything written so far. */
  get written(): Buffer {
    return Buffer.concat(this.#written);
  }

  start(events: TransportEvents): void {
    this.#events = events;
  }

  write(bytes: Uint8Array): void {
    if (!this.idle) throw new Error('written to while not idle');
    if (!this.destroyed && !this.ended) this.#written.push(Buffer.from(bytes));
  }

  keep(): void {}

  credit(bytes: number): void {
    this.uncredited -= bytes;
  }

  end(): void {
    this.ended = true;
  }

  leave(): void {
    this.left = true;
    this.destroy();
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    queueMicrotask(() => this.#events?.onClosed(undefined));
  }

  /** The peer says this, in memory that is overwritten afterwards. */
  deliver(bytes: Uint8Array): void {
    if (this.destroyed) return;
    const borrowed = Buffer.from(bytes);
    this.uncredited += bytes.length;
    this.#events?.onBytes(borrowed);
    borrowed.fill(0xee);
  }

  /** The peer reads again. */
  drain(): void {
    this.reads = true;
    this.#events?.onIdle();
  }

  /** The peer ends its side. */
  deliverEnd(): void {
    if (this.destroyed) return;
    if (this.#events?.onEnd) this.#events.onEnd();
    else this.end();
  }

  /** The connection is gone. */
  close(): void {
    this.destroyed = true;
    this.#events?.onClosed(undefined);
  }
}
