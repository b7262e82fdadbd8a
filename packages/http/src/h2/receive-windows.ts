/**
 * How much the peer may send: a window for the connection, one for each stream.
 *
 * The connection's is given back as data arrives, in quarters; a stream's as its owner takes the data. What streams
 * start with may shrink while others fill the memory: the peer counts with the new figure from its acknowledgement on.
 */
import { H2ConnectionError, H2StreamError } from '../errors.ts';
import { numbersFrame } from './frame-writer.ts';
import { DEFAULT_WINDOW_BYTES, FRAME, H2 } from './protocol.ts';
import type { H2Stream } from './stream.ts';

const QUARTER = 4;

export class ReceiveWindows {
  readonly #put: (frame: Buffer) => void;
  readonly #connectionBytes: number;
  #connection = DEFAULT_WINDOW_BYTES;
  #unannounced = 0;
  /** What the peer counts with, and what we told it since, in order. */
  #acknowledged = DEFAULT_WINDOW_BYTES;
  readonly #announced: number[] = [];
  #current: number;

  constructor(connectionBytes: number, streamBytes: number, put: (frame: Buffer) => void) {
    this.#connectionBytes = connectionBytes;
    this.#current = streamBytes;
    this.#put = put;
  }

  /** What a stream has when it opens, as the peer sees it. */
  get initial(): number {
    return this.#acknowledged;
  }

  /** What a stream shall have: the last value told to the peer. */
  get current(): number {
    return this.#current;
  }

  /** How many of our SETTINGS the peer has yet to acknowledge. */
  get unacknowledged(): number {
    return this.#announced.length;
  }

  /** After our SETTINGS with this initial window went out. */
  announced(streamBytes: number): void {
    this.#announced.push(streamBytes);
    this.#current = streamBytes;
  }

  /** The peer acknowledged the oldest SETTINGS that it had not. */
  acknowledged(streams: Iterable<H2Stream>): void {
    const bytes = this.#announced.shift();
    if (bytes === undefined) return;
    const change = bytes - this.#acknowledged;
    this.#acknowledged = bytes;
    if (change !== 0) for (const stream of streams) stream.receiveWindow += change;
  }

  /** Widens the connection's window to what the options say. */
  open(): void {
    const bytes = this.#connectionBytes - this.#connection;
    if (bytes <= 0) return;
    this.#connection += bytes;
    this.#put(numbersFrame(FRAME.windowUpdate, 0, bytes));
  }

  receivedOnConnection(bytes: number): void {
    this.#connection -= bytes;
    if (this.#connection < 0) throw new H2ConnectionError(H2.flowControlError, 'connection window exceeded');
    this.#unannounced += bytes;
    if (this.#unannounced < this.#connectionBytes / QUARTER) return;
    this.#connection += this.#unannounced;
    this.#put(numbersFrame(FRAME.windowUpdate, 0, this.#unannounced));
    this.#unannounced = 0;
  }

  receivedOnStream(stream: H2Stream, bytes: number): void {
    stream.receiveWindow -= bytes;
    const growing = Math.max(0, ...this.#announced) - this.#acknowledged;
    if (stream.receiveWindow + Math.max(0, growing) < 0) {
      throw new H2StreamError(H2.flowControlError, 'stream window exceeded');
    }
  }

  /** The owner took this much; the peer hears of it by and by. */
  taken(stream: H2Stream, bytes: number): void {
    stream.unannounced += bytes;
    if (stream.unannounced < this.#current / QUARTER) return;
    stream.receiveWindow += stream.unannounced;
    this.#put(numbersFrame(FRAME.windowUpdate, stream.id, stream.unannounced));
    stream.unannounced = 0;
  }
}
