/**
 * A stream as Node's Duplex, with half-close: for what is not the hot path, such as TLS inside a tunnel, or a protocol that
 * a request switched to.
 *
 * Ending the writable side ends our direction alone; destroying it resets the stream.
 */
import { Duplex } from 'node:stream';
import { type HeldBudget, HeldBytes } from '../held-bytes.ts';
import { StreamResetError } from '../errors.ts';
import { H2 } from './protocol.ts';
import type { H2Stream, StreamHandler } from './stream.ts';

/** Pieces handed to the reader that it has not taken; credit for them is held back. */
const READ_AHEAD_BYTES = 64 * 1024;

export class StreamDuplex extends Duplex implements StreamHandler {
  readonly #stream: H2Stream;
  #waiting: ((error?: Error | null) => void) | undefined;
  /** Received, and not yet credited to the peer. */
  #uncredited = 0;
  #remoteReset = false;
  readonly #held: HeldBytes | undefined;

  /** Takes the stream, whose headers are through. */
  constructor(stream: H2Stream, budget?: HeldBudget) {
    super({ allowHalfOpen: true, readableHighWaterMark: READ_AHEAD_BYTES, emitClose: true });
    this.#stream = stream;
    if (budget) this.#held = new HeldBytes(budget, () => this.destroy());
    stream.handler = this;
  }

  /** The tunnel's, as a transport has it. */
  get localAddress(): string {
    return this.#stream.session.localAddress;
  }

  /** Trailers mean nothing here. */
  onHeaders(): void {}

  onData(stream: H2Stream, bytes: Buffer): void {
    this.#uncredited += bytes.length;
    if (this.push(Buffer.from(bytes))) this.#credit(stream);
    this.#countHeld();
  }

  onEnd(): void {
    this.push(null);
  }

  onReset(_stream: H2Stream, error: StreamResetError): void {
    this.#remoteReset = true;
    if (!error.isClean) {
      this.destroy(error);
      return;
    }
    this.push(null);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting) waiting(error);
    else this.end();
  }

  onWritable(): void {
    this.#countHeld();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }

  override _read(): void {
    this.#credit(this.#stream);
    this.#countHeld();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#remoteReset) {
      done(new StreamResetError(H2.streamClosed, 'peer'));
      return;
    }
    if (this.#stream.write(chunk)) done();
    else this.#waiting = done;
    this.#countHeld();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#stream.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#waiting = undefined;
    this.#held?.set(0);
    if (!this.#stream.isClosed) this.#stream.reset(error ? H2.internalError : H2.cancel);
    done(error);
  }

  /** What neither side has taken. */
  #countHeld(): void {
    this.#held?.set(this.destroyed ? 0 : this.#uncredited + this.#stream.pendingBytes);
  }

  #credit(stream: H2Stream): void {
    const bytes = this.#uncredited;
    if (bytes === 0) return;
    this.#uncredited = 0;
    stream.credit(bytes);
  }
}
