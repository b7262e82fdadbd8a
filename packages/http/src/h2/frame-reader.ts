/**
 * Cuts a byte stream into HTTP/2 frames.
 *
 * DATA is passed on piece by piece as it arrives and never gathered; every other frame is passed whole. All buffers
 * that the sink gets are valid during the call only. Anything longer than a limit is refused before it is stored.
 */
import { H2ConnectionError } from '../errors.ts';
import { CONTROL_FRAME_BYTES } from '../limits.ts';
import { headerBlockBytes } from './header-block.ts';
import { FLAG, FRAME, FRAME_HEADER_BYTES, H2, PREFACE } from './protocol.ts';

export interface FrameSink {
  /** A DATA frame begins; `length` is what flow control counts, padding included. */
  onDataBegin(streamId: number, length: number): void;
  /** How many octets the frame has without padding, before the first of them; not told where there are none. */
  onDataSize(bytes: number): void;
  onDataBytes(bytes: Buffer): void;
  /** Octets of the frame that are padding, with the octet that says how much. */
  onPadding(bytes: number): void;
  onDataEnd(endStream: boolean): void;
  onFrame(type: number, flags: number, streamId: number, payload: Buffer): void;
}

/** What the next octets are. */
const PHASE = { preface: 0, header: 1, payload: 2, padLength: 3, data: 4, padding: 5, skip: 6 } as const;
type Phase = (typeof PHASE)[keyof typeof PHASE];

export class FrameReader {
  readonly #sink: FrameSink;
  readonly #maxFrameBytes: number;
  readonly #maxBlockBytes: number;
  readonly #header = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
  #phase: Phase;
  /** Octets of the preface, the header or `#payload` that are there. */
  #have = 0;
  /** Octets of the frame that are still to come, in the phases data, padding and skip. */
  #left = 0;
  #padding = 0;
  #payload: Buffer | undefined;
  #type = 0;
  #flags = 0;
  #streamId = 0;
  #stopped = false;

  constructor(
    sink: FrameSink,
    limits: { readonly maxFrameBytes: number; readonly headerListBytes: number },
    expectsPreface: boolean,
  ) {
    this.#sink = sink;
    this.#maxFrameBytes = limits.maxFrameBytes;
    this.#maxBlockBytes = headerBlockBytes(limits.headerListBytes);
    this.#phase = expectsPreface ? PHASE.preface : PHASE.header;
  }

  /** Ignores everything from here on, also the rest of a chunk being read. */
  stop(): void {
    this.#stopped = true;
    this.#payload = undefined;
  }

  /** @throws {@link H2ConnectionError} The bytes are not HTTP/2, or the sink refused a frame. */
  read(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.#stopped) {
      switch (this.#phase) {
        case PHASE.preface:
          at = this.#readPreface(chunk, at);
          break;
        case PHASE.header:
          at = this.#readHeader(chunk, at);
          break;
        case PHASE.payload:
          at = this.#readPayload(chunk, at);
          break;
        case PHASE.padLength:
          this.#startData(this.#left - 1, chunk[at++] ?? 0);
          break;
        case PHASE.data: {
          const to = Math.min(chunk.length, at + this.#left);
          this.#left -= to - at;
          this.#sink.onDataBytes(chunk.subarray(at, to));
          at = to;
          if (this.#left === 0) this.#afterData();
          break;
        }
        default: {
          const to = Math.min(chunk.length, at + this.#left);
          this.#left -= to - at;
          at = to;
          if (this.#left === 0) this.#afterSkipped();
        }
      }
    }
  }

  #readPreface(chunk: Buffer, at: number): number {
    const to = Math.min(chunk.length, at + PREFACE.length - this.#have);
    if (PREFACE.compare(chunk, at, to, this.#have, this.#have + to - at) !== 0) {
      throw new H2ConnectionError(H2.protocolError, 'the client does not speak HTTP/2');
    }
    this.#have += to - at;
    if (this.#have === PREFACE.length) this.#expectHeader();
    return to;
  }

  #readHeader(chunk: Buffer, at: number): number {
    if (this.#have === 0 && chunk.length - at >= FRAME_HEADER_BYTES) {
      this.#startFrame(chunk, at);
      return at + FRAME_HEADER_BYTES;
    }
    const to = Math.min(chunk.length, at + FRAME_HEADER_BYTES - this.#have);
    chunk.copy(this.#header, this.#have, at, to);
    this.#have += to - at;
    if (this.#have === FRAME_HEADER_BYTES) this.#startFrame(this.#header, 0);
    return to;
  }

  #startFrame(bytes: Buffer, at: number): void {
    const length = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    this.#type = bytes[at + 3] ?? 0;
    this.#flags = bytes[at + 4] ?? 0;
    this.#streamId = bytes.readUInt32BE(at + 5) & 0x7fff_ffff;
    this.#have = 0;
    if (length > this.#maxFrameBytes) {
      throw new H2ConnectionError(
        H2.frameSizeError,
        `frame of ${length} bytes, at most ${this.#maxFrameBytes} allowed`,
      );
    }
    if (this.#type === FRAME.data) {
      this.#startDataFrame(length);
      return;
    }
    const isHeaders = this.#type === FRAME.headers || this.#type === FRAME.continuation;
    if (length > (isHeaders ? this.#maxBlockBytes : CONTROL_FRAME_BYTES)) {
      if (this.#type > FRAME.continuation) {
        this.#skip(length);
        return;
      }
      throw new H2ConnectionError(H2.enhanceYourCalm, `frame of type ${this.#type} with ${length} bytes`);
    }
    if (length === 0) {
      this.#phase = PHASE.header;
      this.#sink.onFrame(this.#type, this.#flags, this.#streamId, NOTHING);
      return;
    }
    this.#phase = PHASE.payload;
    this.#left = length;
  }

  #startDataFrame(length: number): void {
    const padded = (this.#flags & FLAG.padded) !== 0;
    if (padded && length === 0)
      throw new H2ConnectionError(H2.frameSizeError, 'padded DATA without pad length');
    this.#sink.onDataBegin(this.#streamId, length);
    this.#left = length;
    if (padded) this.#phase = PHASE.padLength;
    else this.#startData(length, 0);
  }

  #startData(length: number, padding: number): void {
    if (padding > length) throw new H2ConnectionError(H2.protocolError, 'more padding than frame');
    this.#left = length - padding;
    this.#padding = padding;
    if (this.#flags & FLAG.padded) this.#sink.onPadding(padding + 1);
    this.#phase = PHASE.data;
    if (this.#left === 0) this.#afterData();
    else this.#sink.onDataSize(this.#left);
  }

  #afterData(): void {
    this.#left = this.#padding;
    this.#phase = PHASE.padding;
    if (this.#left === 0) this.#afterSkipped();
  }

  #skip(length: number): void {
    this.#left = length;
    this.#phase = PHASE.skip;
  }

  #afterSkipped(): void {
    const wasData = this.#phase === PHASE.padding;
    this.#expectHeader();
    if (wasData) this.#sink.onDataEnd((this.#flags & FLAG.endStream) !== 0);
    else this.#sink.onFrame(this.#type, this.#flags, this.#streamId, NOTHING);
  }

  #readPayload(chunk: Buffer, at: number): number {
    const length = this.#left;
    if (this.#have === 0 && chunk.length - at >= length) {
      this.#phase = PHASE.header;
      this.#sink.onFrame(this.#type, this.#flags, this.#streamId, chunk.subarray(at, at + length));
      return at + length;
    }
    this.#payload ??= Buffer.allocUnsafe(length);
    const to = Math.min(chunk.length, at + length - this.#have);
    chunk.copy(this.#payload, this.#have, at, to);
    this.#have += to - at;
    if (this.#have === length) {
      const payload = this.#payload;
      this.#payload = undefined;
      this.#expectHeader();
      this.#sink.onFrame(this.#type, this.#flags, this.#streamId, payload);
    }
    return to;
  }

  #expectHeader(): void {
    this.#phase = PHASE.header;
    this.#have = 0;
  }
}

const NOTHING = Buffer.alloc(0);
