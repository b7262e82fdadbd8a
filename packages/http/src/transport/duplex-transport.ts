/** Any Duplex as a session's transport: the inner TLS connection of double HBONE, and tests. Copies what it writes. */
import type { Duplex } from 'node:stream';
import type { Transport, TransportEvents } from './transport.ts';

export class DuplexTransport implements Transport {
  readonly peer: string;
  readonly #duplex: Duplex;
  #events: TransportEvents | undefined;
  #error: Error | undefined;

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
      .on('data', (chunk: Buffer) => this.#events?.onBytes(chunk))
      .on('drain', () => this.#events?.onIdle())
      .on('end', () => this.#duplex.end())
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

  end(): void {
    if (!this.#duplex.destroyed) this.#duplex.end(() => this.#duplex.destroy());
  }

  destroy(): void {
    this.#duplex.destroy();
  }
}
