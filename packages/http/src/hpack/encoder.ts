/**
 * Writes HPACK header blocks (RFC 7541), compactly for what a tunnel says again and again.
 *
 * A field marked `indexed` goes into the peer's table, so that the next request names it in one or two octets and
 * the peer need not even decode it; the others (a trace id, a client's port) go as literals, so that they evict nothing.
 */
import { DynamicTable, fieldBytes } from './dynamic-table.ts';
import { DYNAMIC_BASE, STATIC_INDEX_OF_FIELD, STATIC_INDEX_OF_NAME } from './static-table.ts';

export interface HeaderField {
  readonly name: string;
  /** Latin-1. */
  readonly value: string;
  /** Likely to be sent again on this connection. */
  readonly indexed: boolean;
}

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
    this.#at = 0;
    const resize = this.#pendingResize;
    if (resize) {
      if (resize.smallest < resize.last) this.#integer(0x20, 5, resize.smallest);
      this.#integer(0x20, 5, resize.last);
      this.#pendingResize = undefined;
    }
    for (const field of fields) this.#field(field);
    return this.#scratch.subarray(0, this.#at);
  }

  #field({ name, value, indexed }: HeaderField): void {
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
    const keeps = indexed && fieldBytes(name, value) <= this.#table.maxBytes;
    const nameIndex = STATIC_INDEX_OF_NAME.get(name) ?? 0;
    if (keeps) this.#integer(0x40, 6, nameIndex);
    else this.#integer(0x00, 4, nameIndex);
    if (nameIndex === 0) this.#text(name);
    this.#text(value);
    if (!keeps) return;
    this.#numbers.set(key, this.#table.added);
    this.#table.add(name, value);
    this.#forgetEvicted();
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
