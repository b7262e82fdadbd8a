/**
 * One HTTP/2 stream, seen by whoever owns it.
 *
 * Data goes out through `write`, which takes everything it is given: what the windows do not permit is copied and
 * sent later, and the answer `false` asks the owner to stop until `onWritable`. Data comes in through `onData`; the
 * owner says `credit` when the bytes have left its hands, and until then the peer cannot replace them.
 */
import type { StreamResetError } from '../errors.ts';
import type { HeaderFields } from '../header-fields.ts';
import type { HeaderField } from '../hpack/encoder.ts';
import { memoryBytes, type Pending } from './pending.ts';
import { FRAME_HEADER_BYTES, H2 } from './protocol.ts';
import type { H2Session } from './session.ts';

/** The stream's owner. After `onReset` nothing more is called; after both ends finished, nothing either. */
export interface StreamHandler {
  /** The response, or a trailing section; `endStream`: `onEnd` follows at once. */
  onHeaders(stream: H2Stream, fields: HeaderFields, endStream: boolean): void;
  /** Client: a response of 1xx. */
  onInformational?(stream: H2Stream, fields: HeaderFields): void;
  /** So many octets are about to come in one frame: what must not come can be refused before any of it is passed on. */
  onDataSize?(stream: H2Stream, bytes: number): void;
  /** `bytes` are valid during the call, or for good after `stream.keep()`. */
  onData(stream: H2Stream, bytes: Buffer): void;
  /** The peer will send no more. */
  onEnd(stream: H2Stream): void;
  onReset(stream: H2Stream, error: StreamResetError): void;
  onWritable(stream: H2Stream): void;
  /** Our side has ended, and what was pending is out; after a reset that is never told. */
  onSent?(stream: H2Stream): void;
}

export class H2Stream {
  readonly id: number;
  readonly session: H2Session;
  handler: StreamHandler;

  /** @internal Kept by the session. */
  sendWindow: number;
  /** @internal */
  receiveWindow: number;
  /** @internal Taken by the owner and not yet told to the peer. */
  unannounced = 0;
  /** @internal Data that may not go out yet, in order. */
  readonly pending: Pending[] = [];
  /** @internal Goes out instead of an empty DATA frame at the end. */
  trailers: HeaderFields | undefined;
  /** @internal `end` was called; END_STREAM went out. */
  ending = false;
  /** @internal */
  localEnded = false;
  /** @internal */
  remoteEnded = false;
  /** @internal Reset, or finished both ways: the session no longer knows it. */
  closed = false;
  /** @internal The final response went out or came in. */
  answered = false;
  /** @internal Server: the response that waits for what follows it. */
  lateAnswer: readonly HeaderField[] | undefined;
  /** @internal Octets of data that came, as flow control counts them. */
  receivedBytes = 0;
  /** @internal Server: what comes within that turn was sent before an answer can have been seen. */
  openedInTurn = -1;
  /** @internal The owner was told to stop and waits for `onWritable`. */
  stopped = false;

  constructor(
    session: H2Session,
    id: number,
    handler: StreamHandler,
    sendWindow: number,
    receiveWindow: number,
  ) {
    this.session = session;
    this.id = id;
    this.handler = handler;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
  }

  /** Whether the peer has ended or reset, and we have too. */
  get isClosed(): boolean {
    return this.closed;
  }

  get hasRemoteEnded(): boolean {
    return this.remoteEnded;
  }

  /** The memory of what `write` took and could not send yet: 0 if there is nothing. */
  get pendingBytes(): number {
    let bytes = 0;
    for (const piece of this.pending) bytes += memoryBytes(piece);
    return bytes;
  }

  /** How much the peer takes of this stream before it gives more credit; may be negative. */
  get windowBytes(): number {
    return this.sendWindow;
  }

  /** Sends the response; with `endStream` nothing may follow. */
  respond(fields: readonly HeaderField[], endStream: boolean): void {
    this.session.sendHeaders(this, fields, endStream);
  }

  /** As {@link respond}, together with what follows if the client does not wait for it (late-answers.ts). */
  respondLate(fields: readonly HeaderField[]): void {
    this.session.respondLate(this, fields);
  }

  /** As {@link respond}, of plain fields; `informational` ones are followed by others. */
  respondFields(fields: HeaderFields, endStream: boolean, informational = false): void {
    this.session.sendFields(this, fields, endStream, informational);
  }

  /**
   * Sends `buffer[from..to)`, overwriting the nine octets before `from` (so `from` is at least 9) with a header.
   *
   * @returns Whether more may follow at once; if not, `onWritable` comes.
   */
  writeInPlace(buffer: Buffer, from: number, to: number): boolean {
    return this.session.sendData(this, buffer, from, to);
  }

  /** As {@link writeInPlace}, for bytes without room in front of them. */
  write(bytes: Uint8Array): boolean {
    const { length } = bytes;
    if (length > SCRATCH_BYTES)
      return this.writeInPlace(withRoom(bytes), FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + length);
    const buffer = scratch ?? Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + SCRATCH_BYTES);
    scratch = undefined;
    buffer.set(bytes, FRAME_HEADER_BYTES);
    const more = this.writeInPlace(buffer, FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + length);
    scratch = buffer;
    return more;
  }

  /** We send no more; what is pending goes out first, then the trailers if there are any. */
  end(trailers?: HeaderFields): void {
    this.session.endStream(this, trailers);
  }

  /** Both directions end at once. The handler is not called any more. */
  reset(h2Code: number = H2.cancel): void {
    this.session.reset(this, h2Code, false);
  }

  /**
   * As {@link reset}, since the peer broke a rule: it may do so only so often.
   *
   * @throws {@link H2ConnectionError} It did so too often; the session ends then. For use in calls of the handler alone.
   */
  breach(h2Code: number): void {
    this.session.breach(this, h2Code);
  }

  /** The owner is done with this many bytes of `onData`. */
  credit(bytes: number): void {
    this.session.creditStream(this, bytes);
  }

  /** Within `onData`: its bytes are the owner's for good. */
  keep(): void {
    this.session.keep();
  }
}

/** Where smaller writes get room in front; the session copies what it cannot send at once. */
const SCRATCH_BYTES = 64 * 1024;
let scratch: Buffer | undefined;

/** A copy with room for a frame header in front. */
export function withRoom(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafe(FRAME_HEADER_BYTES + bytes.length);
  copy.set(bytes, FRAME_HEADER_BYTES);
  return copy;
}

/** @internal Of a stream between its opening and its owner's answer. */
export const UNOWNED: StreamHandler = {
  onHeaders() {},
  onData() {},
  onEnd() {},
  onReset() {},
  onWritable() {},
};
