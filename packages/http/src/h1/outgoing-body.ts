/** A body as it goes out, in the framing that its head announced. */
import type { HeaderFields } from '../header-fields.ts';
import type { SendQueue } from '../transport/send-queue.ts';
import { type Framing, writeChunkSize, writeLastChunk } from './head-writer.ts';

const CRLF = Buffer.from('\r\n', 'latin1');

export class OutgoingBody {
  readonly #queue: SendQueue;
  readonly #isChunked: boolean;
  /** Still to go; `Infinity` in chunks and until close. */
  #left: number;

  constructor(queue: SendQueue, framing: Framing) {
    this.#queue = queue;
    this.#isChunked = framing === 'chunked';
    this.#left = typeof framing === 'number' ? framing : Number.POSITIVE_INFINITY;
  }

  /** Whether so many octets still fit; if so, they are queued. */
  write(bytes: Uint8Array): boolean {
    if (bytes.length > this.#left) return false;
    if (bytes.length === 0) return true;
    this.#left -= bytes.length;
    if (!this.#isChunked) {
      this.#queue.append(bytes);
      return true;
    }
    writeChunkSize(this.#queue, bytes.length);
    this.#queue.append(bytes);
    this.#queue.append(CRLF);
    return true;
  }

  /** Whether the body is as long as announced; if so, its end is queued. */
  end(trailers: HeaderFields | undefined): boolean {
    if (this.#isChunked) writeLastChunk(this.#queue, trailers);
    return this.#isChunked || this.#left === 0 || this.#left === Number.POSITIVE_INFINITY;
  }
}
