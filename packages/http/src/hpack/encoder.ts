/**
 * Writes HPACK header blocks (RFC 7541), compactly for what a tunnel says again and again.
 *
 * A field marked `indexed` goes into the peer's table, so that the next request names it in one or two octets and
 * the peer need not even decode it; the others (a trace id, a client's port) go as literals, so that they evict nothing.
 */
import { HttpError } from '../errors.ts';
import type { HeaderFields } from '../header-fields.ts';
import { DynamicTable, fieldBytes } from './dynamic-table.ts';
import { DYNAMIC_BASE, STATIC_INDEX_OF_FIELD, STATIC_INDEX_OF_NAME } from './static-table.ts';

export interface HeaderField {
  readonly name: string;
  /** Latin-1. */
  readonly value: string;
  /** Likely to be sent again on this connection. */
  readonly indexed: boolean;
}

/** Values that nearly never come twice, and would only drive out what does. */
const VARYING: ReadonlySet<string> = new Set([
  ':path',
  'age',
  'baggage',
  'content-length',
  'content-range',
  'etag',
  'expires',
  'grpc-timeout',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'range',
  'sec-websocket-accept',
  'sec-websocket-key',
  'traceparent',
  'tracestate',
  'x-b3-spanid',
  'x-b3-traceid',
  'x-envoy-upstream-service-time',
  'x-forwarded-for',
  'x-request-id',
]);

/** Secrets: kept out of every table on the way, so that nobody can find one out by the size of blocks (RFC 7541 §7.1). */
const SECRET: ReadonlySet<string> = new Set(['authorization', 'cookie', 'proxy-authorization', 'set-cookie']);

const NAME = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** What no value may have. */
const CONTROL = /[^\t\x20-\x7e\x80-\xff]/;

/** Our table, whatever more the peer would allow. */
const TABLE_BYTES = 4_096;
const INITIAL_SCRATCH_BYTES = 4_096;
/** Room for the index, the lengths and a table size update or two. */
const INTEGER_BYTES = 24;

export class HpackEncoder {
  readonly #table = new DynamicTable(TABLE_BYTES);
  /** Number (see `DynamicTable.added`) of the fields in the table, keyed `name\0value`. */
  readonly #numbers = new Map<string, number>();
  #scratch = Buffer.allocUnsafeSlow(INITIAL_SCRATCH_BYTES);
  #at = 0;
  /** The smallest size since the last block, then the size now (§4.2). */
  #pendingResize: { smallest: number; last: number } | undefined;

  /** Follows the peer's SETTINGS_HEADER_TABLE_SIZE. */
  limitTable(peerBytes: number): void {
    const bytes = Math.min(peerBytes, TABLE_BYTES);
    if (bytes === this.#table.maxBytes && !this.#pendingResize) return;
    this.#table.resize(bytes);
    this.#forgetEvicted();
    const smallest = Math.min(bytes, this.#pendingResize?.smallest ?? bytes);
    this.#pendingResize = { smallest, last: bytes };
  }

  /** The block for these fields, in order. Valid until the next call. */
  encode(fields: readonly HeaderField[]): Buffer {
    this.#begin();
    for (const { name, value, indexed } of fields) this.#field(name, value, indexed, false);
    return this.#scratch.subarray(0, this.#at);
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
      const isSecret = SECRET.has(name);
      this.#field(name, fields[i + 1] ?? '', !isSecret && !VARYING.has(name), isSecret, true);
    }
    return this.#scratch.subarray(0, this.#at);
  }

  #begin(): void {
    this.#at = 0;
    const resize = this.#pendingResize;
    if (!resize) return;
    if (resize.smallest < resize.last) this.#integer(0x20, 5, resize.smallest);
    this.#integer(0x20, 5, resize.last);
    this.#pendingResize = undefined;
  }

  #field(name: string, value: string, indexed: boolean, isSecret: boolean, mustCheck = false): void {
    this.#reserve(name.length + value.length + INTEGER_BYTES);
    const key = `${name}\0${value}`;
    const staticIndex = STATIC_INDEX_OF_FIELD.get(key);
    if (staticIndex !== undefined) {
      this.#integer(0x80, 7, staticIndex);
      return;
    }
    const number = indexed ? this.#numbers.get(key) : undefined;
    if (number !== undefined) {
      this.#integer(0x80, 7, DYNAMIC_BASE + this.#table.added - 1 - number);
      return;
    }
    if (mustCheck && (!NAME.test(name) || CONTROL.test(value))) throw this.#illegal();
    const keeps = indexed && fieldBytes(name, value) <= this.#table.maxBytes;
    const nameIndex = STATIC_INDEX_OF_NAME.get(name) ?? 0;
    if (keeps) this.#integer(0x40, 6, nameIndex);
    else this.#integer(isSecret ? 0x10 : 0x00, 4, nameIndex);
    if (nameIndex === 0) this.#text(name);
    this.#text(value);
    if (!keeps) return;
    this.#numbers.set(key, this.#table.added);
    this.#table.add(name, value);
    this.#forgetEvicted();
  }

  /** The block goes nowhere, and what it added to our table is not in the peer's: both begin anew. */
  #illegal(): HttpError {
    const { maxBytes } = this.#table;
    this.#table.resize(0);
    this.#table.resize(maxBytes);
    this.#numbers.clear();
    this.#pendingResize = { smallest: 0, last: maxBytes };
    return new HttpError('protocol', 'illegal-outgoing-field');
  }

  #forgetEvicted(): void {
    const oldest = this.#table.added - this.#table.length;
    for (const [key, number] of this.#numbers) {
      if (number >= oldest) return;
      this.#numbers.delete(key);
    }
  }

  #text(text: string): void {
    this.#integer(0x00, 7, text.length);
    this.#at += this.#scratch.write(text, this.#at, 'latin1');
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
