/** Gathers HEADERS and its CONTINUATION frames into one block, within bounds (RFC 9113 §6.2, §6.10). */
import { H2ConnectionError } from '../errors.ts';
import { HEADER_BLOCK_BYTES, HEADER_BLOCK_FRAMES } from '../limits.ts';
import { DEFAULT_MAX_FRAME_BYTES, FLAG, H2 } from './protocol.ts';

export interface CompleteBlock {
  readonly streamId: number;
  readonly endStream: boolean;
  /** Valid until the next frame is read. */
  readonly block: Buffer;
}

/** How much the encoded form of a section of `headerListBytes` may take. */
export function headerBlockBytes(headerListBytes: number): number {
  return Math.max(HEADER_BLOCK_BYTES, headerListBytes + headerListBytes / 4);
}

export class HeaderBlock {
  readonly #maxBytes: number;
  readonly #maxFrames: number;
  #streamId = 0;
  #endStream = false;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(headerListBytes: number) {
    this.#maxBytes = headerBlockBytes(headerListBytes);
    this.#maxFrames = Math.max(HEADER_BLOCK_FRAMES, 3 * Math.ceil(this.#maxBytes / DEFAULT_MAX_FRAME_BYTES));
  }

  /** The stream whose block is unfinished; 0 when none is. */
  get unfinished(): number {
    return this.#streamId;
  }

  /** A HEADERS frame: the block if it is whole. */
  begin(streamId: number, flags: number, payload: Buffer): CompleteBlock | undefined {
    if (streamId === 0) throw new H2ConnectionError(H2.protocolError, 'HEADERS on stream 0');
    const fragment = fragmentOf(streamId, flags, payload);
    const endStream = (flags & FLAG.endStream) !== 0;
    if (flags & FLAG.endHeaders) return { streamId, endStream, block: fragment };
    this.#streamId = streamId;
    this.#endStream = endStream;
    this.#parts = [Buffer.from(fragment)];
    this.#bytes = fragment.length;
    return undefined;
  }

  /** A CONTINUATION frame: the block if this ends it. */
  continue(streamId: number, flags: number, payload: Buffer): CompleteBlock | undefined {
    if (streamId === 0 || streamId !== this.#streamId) {
      throw new H2ConnectionError(H2.protocolError, 'CONTINUATION without HEADERS');
    }
    this.#parts.push(Buffer.from(payload));
    this.#bytes += payload.length;
    if (this.#bytes > this.#maxBytes || this.#parts.length > this.#maxFrames) {
      throw new H2ConnectionError(H2.enhanceYourCalm, 'header block too large');
    }
    if ((flags & FLAG.endHeaders) === 0) return undefined;
    const block = Buffer.concat(this.#parts, this.#bytes);
    this.#parts = [];
    this.#streamId = 0;
    return { streamId, endStream: this.#endStream, block };
  }
}

/** The fragment without padding and priority. */
function fragmentOf(streamId: number, flags: number, payload: Buffer): Buffer {
  let from = 0;
  let to = payload.length;
  if (flags & FLAG.padded) {
    to -= payload[0] ?? 0;
    from = 1;
  }
  if (flags & FLAG.priority) {
    if (payload.length < from + 5)
      throw new H2ConnectionError(H2.frameSizeError, 'HEADERS too short for its priority');
    if ((payload.readUInt32BE(from) & 0x7fff_ffff) === streamId) {
      throw new H2ConnectionError(H2.protocolError, 'stream depends on itself');
    }
    from += 5;
  }
  if (from > to) throw new H2ConnectionError(H2.protocolError, 'more padding than frame');
  return payload.subarray(from, to);
}
