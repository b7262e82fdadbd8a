/**
 * Writes HPACK header blocks (RFC 7541), compactly for what a tunnel says again and again.
 *
 * A field marked `indexed` goes into the peer's table, so that the next request names it in one or two octets and
 * the peer need not even decode it; the others (a trace id, a client's port) go as literals, so that they evict nothing.
 */
import { HttpError } from '../errors.ts';
import { FRAME_HEADER_BYTES } from '../h2/protocol.ts';
import { type HeaderFields, isFieldValue } from '../header-fields.ts';
import { DynamicTable, fieldBytes } from './dynamic-table.ts';
import { DYNAMIC_BASE, STATIC_INDEX_OF_NAME, STATIC_NAMES, STATIC_VALUES } from './static-table.ts';

export interface HeaderField {
  readonly name: string;
  /** Latin-1. */
  readonly value: string;
  /** Likely to be sent again on this connection. */
  readonly indexed: boolean;
}

/** What to do with a field by its name. */
const KIND = {
  /** Goes into the table. */
  indexed: 0,
  /** Nearly never comes twice with the same value, and would only drive out what does. */
  varying: 1,
  /** A secret: kept out of every table on the way, so that nobody finds it out by the size of blocks (RFC 7541 §7.1). */
  secret: 2,
} as const;

type Kind = (typeof KIND)[keyof typeof KIND];

const VARYING =
  ':path age baggage content-length content-range etag expires grpc-timeout if-modified-since if-none-match if-range ' +
  'if-unmodified-since last-modified location range sec-websocket-accept sec-websocket-key traceparent tracestate ' +
  'x-b3-spanid x-b3-traceid x-envoy-upstream-service-time x-forwarded-for x-request-id';
const SECRET = 'authorization cookie proxy-authorization set-cookie';

interface NameInfo {
  readonly kind: Kind;
  /** 0: not in the static table. */
  readonly staticIndex: number;
  /** Static indices by value, if the table has any. */
  readonly staticValues: ReadonlyMap<string, number> | undefined;
}

const UNKNOWN: NameInfo = { kind: KIND.indexed, staticIndex: 0, staticValues: undefined };
const INFO: ReadonlyMap<string, NameInfo> = nameInfo();

const NAME = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;

/** Our table, whatever more the peer would allow. */
const TABLE_BYTES = 4_096;
const INITIAL_SCRATCH_BYTES = 4_096;
/** Up to this, a loop is faster than a call out of JavaScript. */
const SHORT_TEXT = 32;
/** Free octets in front of a block: a frame's header. */
export const ENCODER_HEADROOM = FRAME_HEADER_BYTES;
/** Room for the index, the lengths and a table size update or two. */
const INTEGER_BYTES = 24;

export class HpackEncoder {
  /** Numbers (see `DynamicTable.added`) of the fields in the table, by name and value. */
  readonly #numbers = new Map<string, Map<string, number>>();
  readonly #table = new DynamicTable(TABLE_BYTES, (name, value) => this.#forget(name, value));
  #scratch = Buffer.allocUnsafeSlow(INITIAL_SCRATCH_BYTES);
  #at = 0;
  /** The smallest size since the last block, then the size now (§4.2). */
  #pendingResize: { smallest: number; last: number } | undefined;

  /** Where the last block lies, behind `ENCODER_HEADROOM` octets that are free. */
  get memory(): Buffer {
    return this.#scratch;
  }

  /** Follows the peer's SETTINGS_HEADER_TABLE_SIZE. */
  limitTable(peerBytes: number): void {
    const bytes = Math.min(peerBytes, TABLE_BYTES);
    if (bytes === this.#table.maxBytes && !this.#pendingResize) return;
    this.#table.resize(bytes);
    const smallest = Math.min(bytes, this.#pendingResize?.smallest ?? bytes);
    this.#pendingResize = { smallest, last: bytes };
  }

  /** The block for these fields, in order, whose names and values are known to be right. Valid until the next call. */
  encode(fields: readonly HeaderField[]): Buffer {
    this.#begin();
    for (const { name, value, indexed } of fields) {
      this.#field(name, value, INFO.get(name) ?? UNKNOWN, indexed ? KIND.indexed : KIND.varying, false);
    }
    return this.#scratch.subarray(ENCODER_HEADROOM, this.#at);
  }

  /**
   * As {@link encode}, of fields as they are; what is worth a place in the table goes by the name.
   *
   * @throws {@link HttpError} A name or value that may not be there. The table is emptied then.
   */
  encodeFields(fields: HeaderFields): Buffer {
    this.#begin();
    for (let i = 0; i < fields.length; i += 2) {
      const name = fields[i] ?? '';
      const info = INFO.get(name) ?? UNKNOWN;
      this.#field(name, fields[i + 1] ?? '', info, info.kind, true);
    }
    return this.#scratch.subarray(ENCODER_HEADROOM, this.#at);
  }

  #begin(): void {
    this.#at = ENCODER_HEADROOM;
    const resize = this.#pendingResize;
    if (!resize) return;
    if (resize.smallest < resize.last) this.#integer(0x20, 5, resize.smallest);
    this.#integer(0x20, 5, resize.last);
    this.#pendingResize = undefined;
  }

  #field(name: string, value: string, info: NameInfo, kind: Kind, mustCheck: boolean): void {
    this.#reserve(name.length + value.length + INTEGER_BYTES);
    const staticIndex = info.staticValues?.get(value);
    if (staticIndex !== undefined) {
      this.#integer(0x80, 7, staticIndex);
      return;
    }
    let keeps = kind === KIND.indexed;
    if (keeps) {
      const number = this.#numbers.get(name)?.get(value);
      if (number !== undefined) {
        this.#integer(0x80, 7, DYNAMIC_BASE + this.#table.added - 1 - number);
        return;
      }
      keeps = fieldBytes(name, value) <= this.#table.maxBytes;
    }
    if (mustCheck && ((info === UNKNOWN && !NAME.test(name)) || !isFieldValue(value))) throw this.#illegal();
    if (keeps) this.#integer(0x40, 6, info.staticIndex);
    else this.#integer(kind === KIND.secret ? 0x10 : 0x00, 4, info.staticIndex);
    if (info.staticIndex === 0) this.#text(name);
    this.#text(value);
    if (keeps) this.#keep(name, value);
  }

  #keep(name: string, value: string): void {
    const number = this.#table.added;
    this.#table.add(name, value);
    let values = this.#numbers.get(name);
    if (!values) {
      values = new Map();
      this.#numbers.set(name, values);
    }
    values.set(value, number);
  }

  #forget(name: string, value: string): void {
    const values = this.#numbers.get(name);
    values?.delete(value);
    if (values?.size === 0) this.#numbers.delete(name);
  }

  /** The block goes nowhere, and what it added to our table is not in the peer's: both begin anew. */
  #illegal(): HttpError {
    const { maxBytes } = this.#table;
    this.#table.resize(0);
    this.#table.resize(maxBytes);
    this.#pendingResize = { smallest: 0, last: maxBytes };
    return illegal();
  }

  #text(text: string): void {
    const { length } = text;
    this.#integer(0x00, 7, length);
    if (length > SHORT_TEXT) {
      this.#at += this.#scratch.write(text, this.#at, 'latin1');
      return;
    }
    const scratch = this.#scratch;
    let at = this.#at;
    for (let i = 0; i < length; i++) scratch[at++] = text.charCodeAt(i);
    this.#at = at;
  }

  #integer(pattern: number, prefixBits: number, value: number): void {
    const prefix = (1 << prefixBits) - 1;
    if (value < prefix) {
      this.#scratch[this.#at++] = pattern | value;
      return;
    }
    this.#scratch[this.#at++] = pattern | prefix;
    let rest = value - prefix;
    while (rest > 0x7f) {
      this.#scratch[this.#at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#scratch[this.#at++] = rest;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#scratch.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#scratch.length * 2, this.#at + bytes));
    this.#scratch.copy(larger, 0, 0, this.#at);
    this.#scratch = larger;
  }
}

/** @throws {@link HttpError} as {@link HpackEncoder.encodeFields}, before anything is encoded. */
export function checkFields(fields: HeaderFields): void {
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if ((!INFO.has(name) && !NAME.test(name)) || !isFieldValue(fields[i + 1] ?? '')) throw illegal();
  }
}

function illegal(): HttpError {
  return new HttpError('protocol', 'illegal-outgoing-field');
}

function nameInfo(): Map<string, NameInfo> {
  const kinds = new Map<string, Kind>();
  for (const name of VARYING.split(' ')) kinds.set(name, KIND.varying);
  for (const name of SECRET.split(' ')) kinds.set(name, KIND.secret);
  const info = new Map<string, NameInfo>();
  for (const name of [...kinds.keys(), ...STATIC_INDEX_OF_NAME.keys()]) {
    const values = STATIC_NAMES.flatMap((other, index) => {
      const value = STATIC_VALUES[index] ?? '';
      return other === name && value !== '' ? [[value, index] as const] : [];
    });
    info.set(name, {
      kind: kinds.get(name) ?? KIND.indexed,
      staticIndex: STATIC_INDEX_OF_NAME.get(name) ?? 0,
      staticValues: values.length > 0 ? new Map(values) : undefined,
    });
  }
  return info;
}
