/** Any Duplex as a session's transport: the inner TLS connection of double HBONE, and tests. Copies what it writes. */
import type { Duplex } from 'node:stream';
import { type Transport, type TransportEvents, UNCREDITED_BYTES } from './transport.ts';

export class DuplexTransport implements Transport {
  readonly peer: string;
  readonly lends = false;
  readonly #duplex: Duplex;
  #events: TransportEvents | undefined;
  #error: Error | undefined;
  #uncredited = 0;

  constructor(duplex: Duplex, peer: string) {
    this.#duplex = duplex;
    this.peer = peer;
  }

  get idle(): boolean {
    return !this.#duplex.writableNeedDrain && !this.#duplex.destroyed;
  }

  start(events: TransportEvents): void {
    this.#events = events;
    this.#duplex
      .on('data', (chunk: Buffer) => {
        this.#uncredited += chunk.length;
        if (this.#uncredited >= UNCREDITED_BYTES) this.#duplex.pause();
        this.#events?.onBytes(chunk);
      })
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
    if (this.#duplex.writable) this.#duplex.write(Buffer.from(bytes));
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

  destroy(): void {
    this.#duplex.destroy();
  }
}
