/**
 * Where a tunnel's decrypted bytes land, and when they are handed on.
 *
 * A quiet tunnel reads into a small buffer and hands on every read at once. One that fills it goes over to a large one
 * and hands on what came in a turn of the event loop together, so that an application gets few large writes instead of a
 * write for each TLS record. Bytes that were handed on are overwritten only if nobody kept them.
 */
import { TLS_BULK_BYTES, TLS_READ_BYTES } from '../limits.ts';

const SPARE_BUFFERS = 4;
const spares: Buffer[] = [];

export class Landing {
  readonly #deliver: (bytes: Buffer) => void;
  #buffer: Buffer = Buffer.allocUnsafeSlow(TLS_READ_BYTES);
  /** Somebody holds a part of the buffer that was handed on. */
  #kept = false;
  /** Received; and handed on, of that. */
  #filled = 0;
  #delivered = 0;
  #scheduled = false;
  #closed = false;

  constructor(deliver: (bytes: Buffer) => void) {
    this.#deliver = deliver;
  }

  /** Where the first read lands. */
  get first(): Buffer {
    return this.#buffer;
  }

  /** Within `deliver`: its bytes are the receiver's for good. */
  keep(): void {
    this.#kept = true;
  }

  /** `count` bytes have landed; the answer, if any, is where the next ones shall. */
  landed(count: number): Buffer | undefined {
    this.#filled += count;
    const isBulk = this.#buffer.length === TLS_BULK_BYTES;
    if (!isBulk) {
      this.flush();
      if (count === TLS_READ_BYTES) return this.#restart(TLS_BULK_BYTES);
      if (this.#kept) return this.#restart(TLS_READ_BYTES);
      this.#filled = 0;
      this.#delivered = 0;
      return undefined;
    }
    if (count < TLS_READ_BYTES / 2 && !this.#scheduled) {
      this.flush();
      return this.#restart(TLS_READ_BYTES);
    }
    if (this.#buffer.length - this.#filled < TLS_READ_BYTES) {
      this.flush();
      return this.#restart(TLS_BULK_BYTES);
    }
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.flush();
      });
    }
    return this.#buffer.subarray(this.#filled);
  }

  /** Hands on what has landed. */
  flush(): void {
    const from = this.#delivered;
    this.#delivered = this.#filled;
    if (this.#filled > from && !this.#closed) this.#deliver(this.#buffer.subarray(from, this.#filled));
  }

  /** Nothing is handed on any more. */
  close(): void {
    this.#closed = true;
  }

  /** Lands at the beginning again: of this buffer, or of another one. */
  #restart(bytes: number): Buffer {
    if (this.#kept || this.#buffer.length !== bytes) {
      if (!this.#kept && this.#buffer.length === TLS_BULK_BYTES && spares.length < SPARE_BUFFERS) {
        spares.push(this.#buffer);
      }
      this.#buffer = (bytes === TLS_BULK_BYTES ? spares.pop() : undefined) ?? Buffer.allocUnsafeSlow(bytes);
      this.#kept = false;
    }
    this.#filled = 0;
    this.#delivered = 0;
    return this.#buffer;
  }
}
