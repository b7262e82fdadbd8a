/**
 * Who may send data, and when: flow control, frames no larger than the peer takes, turns among streams.
 *
 * Data that may go goes at once, header in front of it and uncopied. The rest is copied and waits with its stream:
 * in `#ready` for the connection (its window, or the transport), or for its own window, which brings it there.
 */
import { H2ConnectionError, H2StreamError } from '../errors.ts';
import { GATHER_BELOW_BYTES } from '../limits.ts';
import { writeFrameHeader } from './frame-writer.ts';
import type { Outbox } from './outbox.ts';
import { DEFAULT_WINDOW_BYTES, FRAME, FRAME_HEADER_BYTES, H2, LARGEST_WINDOW_BYTES } from './protocol.ts';
import type { PeerSettings } from './settings.ts';
import { pendingCopy, release } from './pending.ts';
import type { H2Stream } from './stream.ts';
import type { Transport } from '../transport/transport.ts';

export class Sender {
  readonly #transport: Transport;
  readonly #outbox: Outbox;
  readonly #peer: PeerSettings;
  /** Sends END_STREAM. */
  readonly #finish: (stream: H2Stream) => void;
  /** Streams with pending data and window, in turn. */
  readonly #ready = new Set<H2Stream>();
  /** Streams whose owner was told to stop. */
  readonly #stopped = new Set<H2Stream>();
  #window = DEFAULT_WINDOW_BYTES;

  constructor(transport: Transport, outbox: Outbox, peer: PeerSettings, finish: (stream: H2Stream) => void) {
    this.#transport = transport;
    this.#outbox = outbox;
    this.#peer = peer;
    this.#finish = finish;
  }

  /** Sends or keeps `buffer[from..to)`, whose nine octets in front are free; whether more may follow now. */
  send(stream: H2Stream, buffer: Buffer, from: number, to: number): boolean {
    let at = from;
    if (stream.pending.length === 0) {
      while (at < to && !this.#outbox.congested) {
        const sent = this.#sendFrame(stream, buffer, at, to - at);
        if (sent === 0) break;
        at += sent;
      }
      if (at === to && (to - from < GATHER_BELOW_BYTES || this.#transport.idle) && !this.#outbox.congested)
        return true;
    }
    if (at < to) {
      stream.pending.push(pendingCopy(buffer, at, to));
      if (stream.sendWindow > 0) this.#ready.add(stream);
    }
    stream.stopped = true;
    this.#stopped.add(stream);
    return false;
  }

  /** Sends END_STREAM now or after what is pending. */
  sendEnd(stream: H2Stream): void {
    if (stream.pending.length === 0) this.#finish(stream);
  }

  forget(stream: H2Stream): void {
    for (const piece of stream.pending.splice(0)) release(piece);
    this.#ready.delete(stream);
    this.#stopped.delete(stream);
  }

  /** WINDOW_UPDATE for a stream. */
  widenStream(stream: H2Stream, bytes: number): void {
    if (stream.sendWindow + bytes > LARGEST_WINDOW_BYTES) {
      throw new H2StreamError(H2.flowControlError, 'stream window too large');
    }
    stream.sendWindow += bytes;
    if (stream.sendWindow > 0 && stream.pending.length > 0) this.#ready.add(stream);
  }

  /** The peer changed its initial window, which moves every stream's, below zero too. */
  shiftStream(stream: H2Stream, bytes: number): void {
    if (stream.sendWindow + bytes > LARGEST_WINDOW_BYTES) {
      throw new H2ConnectionError(H2.flowControlError, 'INITIAL_WINDOW_SIZE makes a window too large');
    }
    this.widenStream(stream, bytes);
  }

  widenConnection(bytes: number): void {
    if (this.#window + bytes > LARGEST_WINDOW_BYTES) {
      throw new H2ConnectionError(H2.flowControlError, 'connection window too large');
    }
    this.#window += bytes;
  }

  /** Sends what may go now, one chunk a stream in turn, then lets owners go on. */
  resume(): void {
    if (this.#ready.size === 0 && this.#stopped.size === 0) return;
    while (this.#transport.idle && this.#window > 0 && !this.#outbox.congested) {
      const stream = this.#nextReady();
      if (!stream) break;
      this.#sendPending(stream);
    }
    if (this.#outbox.congested) return;
    for (const stream of this.#stopped) {
      if (stream.pending.length > 0) continue;
      this.#stopped.delete(stream);
      stream.stopped = false;
      if (!stream.ending) stream.handler.onWritable(stream);
    }
  }

  #nextReady(): H2Stream | undefined {
    for (const stream of this.#ready) {
      this.#ready.delete(stream);
      return stream;
    }
    return undefined;
  }

  #sendPending(stream: H2Stream): void {
    const piece = stream.pending[0];
    if (!piece) return;
    piece.from += this.#sendFrame(stream, piece.memory, piece.from, piece.to - piece.from);
    if (piece.from === piece.to) {
      stream.pending.shift();
      release(piece);
    }
    if (stream.closed) return;
    if (stream.pending.length > 0) {
      if (stream.sendWindow > 0) this.#ready.add(stream);
    } else if (stream.ending) this.sendEnd(stream);
  }

  /** Sends as much of `buffer[at..at + length)` as one frame may carry; how much that is. */
  #sendFrame(stream: H2Stream, buffer: Buffer, at: number, length: number): number {
    const bytes = Math.min(length, stream.sendWindow, this.#window, this.#peer.maxFrameBytes);
    if (bytes <= 0) return 0;
    stream.sendWindow -= bytes;
    this.#window -= bytes;
    const start = at - FRAME_HEADER_BYTES;
    writeFrameHeader(buffer, start, bytes, FRAME.data, 0, stream.id);
    this.#outbox.put(buffer.subarray(start, at + bytes));
    return bytes;
  }
}
