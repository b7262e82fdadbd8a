/** A body as it arrives, however it is framed: by length, in chunks, or until the connection ends. */
import type { HeaderFields } from '../header-fields.ts';
import { type BodySink, ChunkedReader, type TrailerLimits } from './chunked.ts';
import { CHUNKED, UNTIL_CLOSE } from './response-head.ts';

export class IncomingBody {
  /** Still to come; `Infinity` until close. */
  #left: number;
  readonly #chunks: ChunkedReader | undefined;

  /** @param bodyBytes - More than 0, or `CHUNKED`, or `UNTIL_CLOSE`. */
  constructor(bodyBytes: number, limits: TrailerLimits) {
    this.#chunks = bodyBytes === CHUNKED ? new ChunkedReader(limits) : undefined;
    this.#left = bodyBytes === UNTIL_CLOSE ? Number.POSITIVE_INFINITY : bodyBytes;
  }

  /** What is still to come, if that is known. */
  get leftBytes(): number {
    return this.#chunks ? Number.POSITIVE_INFINITY : this.#left;
  }

  /** The end of the connection is its end. */
  get endsWithConnection(): boolean {
    return this.#left === Number.POSITIVE_INFINITY;
  }

  /** After the end, if there were any. */
  get trailers(): HeaderFields | undefined {
    return this.#chunks?.trailers;
  }

  /** Reads `bytes[from..)`; where the body ended, or -1 if it goes on. */
  read(bytes: Buffer, from: number, sink: BodySink): number {
    if (this.#chunks) return this.#chunks.read(bytes, from, sink);
    const to = Math.min(bytes.length, from + this.#left);
    this.#left -= to - from;
    const isLast = this.#left === 0;
    if (to > from) sink.onBodyData(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to));
    return isLast ? to : -1;
  }
}
