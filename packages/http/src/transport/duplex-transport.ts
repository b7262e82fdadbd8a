/** Any Duplex as a session's transport: the inner TLS connection of double HBONE, and tests. Copies what it writes. */
import type { Duplex } from 'node:stream';
import { type Transport, type TransportEvents, UNCREDITED_BYTES } from './transport.ts';

export class DuplexTransport implements Transport {
  readonly peer: string;
  readonly localAddress: string;
  readonly lends = false;
  readonly #duplex: Duplex;
  #events: TransportEvents | undefined;
  #error: Error | undefined;
  #uncredited = 0;
  #writing = false;
  /** Came while we wrote: two ends in one process. */
  readonly #early: Buffer[] = [];

  constructor(duplex: Duplex, peer: string, localAddress = '') {
    this.#duplex = duplex;
    this.peer = peer;
    this.localAddress = localAddress;
  }

  get idle(): boolean {
    return !this.#duplex.writableNeedDrain && !this.#duplex.destroyed;
  }

  start(events: TransportEvents): void {
    const isFirst = this.#events === undefined;
    this.#events = events;
    if (!isFirst) return;
    this.#duplex
      .on('data', (chunk: Buffer) => this.#onData(chunk))
      .on('drain', () => this.#events?.onIdle())
      .on('end', () => {
        if (this.#events?.onEnd) this.#events.onEnd();
        else this.#duplex.end();
      })
      .on('error', (error: Error) => {
        this.#error ??= error;
      })
      .once('close', () => this.#events?.onClosed(this.#error));
  }

  write(bytes: Uint8Array): void {
    if (!this.#duplex.writable) return;
    this.#writing = true;
    this.#duplex.write(Buffer.from(bytes));
    this.#writing = false;
  }

  /** Every chunk is fresh memory already. */
  keep(): void {}

  credit(bytes: number): void {
    this.#uncredited -= bytes;
    if (this.#uncredited < UNCREDITED_BYTES && this.#duplex.isPaused()) this.#duplex.resume();
  }

  end(): void {
    if (!this.#duplex.destroyed) this.#duplex.end(() => this.#duplex.destroy());
  }

  leave(): void {
    this.#duplex.destroy();
  }

  destroy(): void {
    this.#duplex.destroy();
  }

  #onData(chunk: Buffer): void {
    this.#uncredited += chunk.length;
    if (this.#uncredited >= UNCREDITED_BYTES) this.#duplex.pause();
    if (!this.#writing && this.#early.length === 0) this.#events?.onBytes(chunk);
    else if (this.#early.push(chunk) === 1) process.nextTick(() => this.#deliverEarly());
  }

  #deliverEarly(): void {
    while (this.#early.length > 0) {
      const [chunk] = this.#early;
      if (chunk) this.#events?.onBytes(chunk);
      this.#early.shift();
    }
  }
}
