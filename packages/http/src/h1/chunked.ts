/**
 * Reads a chunked body (RFC 9112 §7.1) as it arrives, in any cuts.
 *
 * Extensions are skipped within bounds; sizes, line ends and trailers are taken literally or refused.
 */
import { HttpError } from '../errors.ts';
import { type HeaderFields, NOT_IN_TRAILERS } from '../header-fields.ts';
import { CHUNK_EXTENSION_BYTES, CHUNK_LINE_BYTES } from '../limits.ts';
import { FieldSection, malformed, readFields } from './field-section.ts';
import { CR, HEX, LF, TOKEN, VALUE } from './octets.ts';
import { Stash } from './stash.ts';

export interface BodySink {
  onBodyData(bytes: Buffer): void;
}

const STATE = {
  sizeStart: 0,
  size: 1,
  extension: 2,
  sizeLf: 3,
  data: 4,
  dataCr: 5,
  dataLf: 6,
  trailerStart: 7,
  trailer: 8,
  endLf: 9,
} as const;

const QUOTE = 0x22;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const BACKSLASH = 0x5c;
/** Sizes below 2^48: exact numbers, far above what anybody sends in one chunk. */
const SIZE_DIGITS = 12;

export interface TrailerLimits {
  readonly maxHeadBytes: number;
  readonly maxFields: number;
}

export class ChunkedReader {
  readonly #limits: TrailerLimits;
  #state: number = STATE.sizeStart;
  /** Of the chunk, still to come; or the size as read so far. */
  #left = 0;
  /** Octets of this chunk's line, and of all extensions of the body. */
  #lineBytes = 0;
  #extensionBytes = 0;
  /** Within a quoted value of an extension. */
  #isQuoted = false;
  /** The trailer section's lines so far. */
  readonly #trailers = new Stash();
  #fields: HeaderFields | undefined;

  constructor(limits: TrailerLimits) {
    this.#limits = limits;
  }

  /** After the end. */
  get trailers(): HeaderFields | undefined {
    return this.#fields;
  }

  /**
   * Reads `bytes[from..)`; where the body ended, or -1 if it goes on.
   *
   * @throws {@link HttpError}
   */
  read(bytes: Buffer, from: number, sink: BodySink): number {
    let at = from;
    while (at < bytes.length) {
      switch (this.#state) {
        case STATE.sizeStart:
        case STATE.size:
          at = this.#readSize(bytes, at);
          break;
        case STATE.extension:
          at = this.#skipExtension(bytes, at);
          break;
        case STATE.sizeLf:
          if (bytes[at++] !== LF) throw malformed('illegal-chunk-size');
          this.#state = this.#left === 0 ? STATE.trailerStart : STATE.data;
          break;
        case STATE.data: {
          const to = Math.min(bytes.length, at + this.#left);
          this.#left -= to - at;
          if (this.#left === 0) this.#state = STATE.dataCr;
          sink.onBodyData(bytes.subarray(at, to));
          at = to;
          break;
        }
        case STATE.dataCr:
          if (bytes[at++] !== CR) throw malformed('illegal-chunk-end');
          this.#state = STATE.dataLf;
          break;
        case STATE.dataLf:
          if (bytes[at++] !== LF) throw malformed('illegal-chunk-end');
          this.#state = STATE.sizeStart;
          break;
        case STATE.trailerStart:
          if (bytes[at] === CR) {
            at++;
            this.#state = STATE.endLf;
          } else this.#state = STATE.trailer;
          break;
        case STATE.trailer:
          at = this.#gatherTrailer(bytes, at);
          break;
        default:
          if (bytes[at++] !== LF) throw malformed('bare-cr');
          this.#parseTrailers();
          return at;
      }
    }
    return -1;
  }

  #readSize(bytes: Buffer, from: number): number {
    let at = from;
    for (; at < bytes.length; at++) {
      const octet = bytes[at] ?? 0;
      const digit = HEX[octet] ?? 0xff;
      if (digit !== 0xff) {
        if (this.#state === STATE.sizeStart) this.#startLine();
        if (++this.#lineBytes > SIZE_DIGITS) throw malformed('chunk-size-overflow');
        this.#left = this.#left * 16 + digit;
        continue;
      }
      if (this.#state === STATE.sizeStart) throw malformed('illegal-chunk-size');
      if (octet === CR) this.#state = STATE.sizeLf;
      else if (octet === SEMICOLON) this.#state = STATE.extension;
      else throw malformed('illegal-chunk-size');
      return at + 1;
    }
    return at;
  }

  #startLine(): void {
    this.#state = STATE.size;
    this.#left = 0;
    this.#lineBytes = 0;
  }

  #skipExtension(bytes: Buffer, from: number): number {
    let at = from;
    for (; at < bytes.length; at++) {
      const octet = bytes[at] ?? 0;
      if (octet === CR && !this.#isQuoted) {
        this.#state = STATE.sizeLf;
        return at + 1;
      }
      if (octet === QUOTE) this.#isQuoted = !this.#isQuoted;
      else if (!this.#isQuoted && TOKEN[octet] === 0 && octet !== EQUALS && octet !== SEMICOLON)
        throw malformed('illegal-chunk-extension');
      else if ((VALUE[octet] ?? 0) === 0 || octet >= 0x80 || octet === BACKSLASH)
        throw malformed('illegal-chunk-extension');
      if (++this.#lineBytes > CHUNK_LINE_BYTES || ++this.#extensionBytes > CHUNK_EXTENSION_BYTES)
        throw malformed('chunk-extension-too-long');
    }
    return at;
  }

  /** One line, or what is here of it; its end is where the next one may end the section. */
  #gatherTrailer(bytes: Buffer, from: number): number {
    const lf = bytes.indexOf(LF, from);
    const to = lf < 0 ? bytes.length : lf + 1;
    if (this.#trailers.length + to - from > this.#limits.maxHeadBytes)
      throw new HttpError('limit', 'trailers-too-large', { status: 431 });
    const before = lf > from ? bytes[lf - 1] : this.#trailers.bytes.at(-1);
    if (lf >= 0 && before !== CR) throw malformed('bare-lf');
    this.#trailers.append(bytes.subarray(from, to));
    if (lf >= 0) this.#state = STATE.trailerStart;
    return to;
  }

  #parseTrailers(): void {
    const { bytes } = this.#trailers;
    if (bytes.length === 0) return;
    const section = new FieldSection();
    readFields(section, bytes, 0, bytes.length, bytes.toString('latin1'), 0, this.#limits.maxFields);
    const { fields } = section;
    if (section.hasSpecial) throw malformed('illegal-trailer');
    for (let i = 0; i < fields.length; i += 2) {
      if (NOT_IN_TRAILERS.has(fields[i] ?? '')) throw malformed('illegal-trailer');
    }
    this.#fields = fields;
  }
}
