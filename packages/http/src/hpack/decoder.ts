/**
 * Turns HPACK header blocks into header fields (RFC 7541), keeping the table that the peer's encoder writes to.
 *
 * A block is always read to its end, even when its fields are too many to keep: the table must stay in step. What a
 * block costs is bounded by its encoded length, since dropped fields are never copied. An invalid block leaves the
 * table useless: the connection must end.
 */
import { HpackError } from '../errors.ts';
import type { HeaderFields } from '../header-fields.ts';
import { DynamicTable, fieldBytes } from './dynamic-table.ts';
import { decodeHuffman } from './huffman.ts';
import { DYNAMIC_BASE, STATIC_NAMES, STATIC_VALUES } from './static-table.ts';

export interface DecodedHeaders {
  readonly fields: HeaderFields;
  /** The fields were more than the limit allows, and those above it are missing. */
  readonly tooLarge: boolean;
}

const MAX_INTEGER = 0x0fff_ffff;

export class HpackDecoder {
  readonly #table: DynamicTable;
  /** What our SETTINGS_HEADER_TABLE_SIZE allows the peer. */
  readonly #tableLimitBytes: number;
  readonly #listLimitBytes: number;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(tableLimitBytes: number, listLimitBytes: number) {
    this.#table = new DynamicTable(tableLimitBytes);
    this.#tableLimitBytes = tableLimitBytes;
    this.#listLimitBytes = listLimitBytes;
  }

  /** @throws {@link HpackError} The block is not valid HPACK. */
  decode(block: Buffer): DecodedHeaders {
    this.#bytes = block;
    this.#at = 0;
    const fields: string[] = [];
    let listBytes = 0;
    let first = true;
    while (this.#at < block.length) {
      const octet = block[this.#at] ?? 0;
      if ((octet & 0xe0) === 0x20) {
        if (!first) throw new HpackError('table size update after a field');
        this.#resize(this.#integer(5));
        continue;
      }
      first = false;
      let name: string;
      let value: string;
      if (octet & 0x80) {
        const index = this.#integer(7);
        name = this.#nameAt(index);
        value = this.#valueAt(index);
      } else {
        const keeps = (octet & 0x40) !== 0;
        const index = this.#integer(keeps ? 6 : 4);
        name = index === 0 ? this.#text() : this.#nameAt(index);
        value = this.#text();
        if (keeps) this.#table.add(name, value);
      }
      listBytes += fieldBytes(name, value);
      if (listBytes <= this.#listLimitBytes) fields.push(name, value);
    }
    this.#bytes = EMPTY;
    return { fields, tooLarge: listBytes > this.#listLimitBytes };
  }

  #resize(bytes: number): void {
    if (bytes > this.#tableLimitBytes) {
      throw new HpackError(`table size ${bytes} above the announced ${this.#tableLimitBytes}`);
    }
    this.#table.resize(bytes);
  }

  #nameAt(index: number): string {
    this.#checkIndex(index);
    return index < DYNAMIC_BASE ? (STATIC_NAMES[index] ?? '') : this.#table.nameAt(index - DYNAMIC_BASE);
  }

  #valueAt(index: number): string {
    return index < DYNAMIC_BASE ? (STATIC_VALUES[index] ?? '') : this.#table.valueAt(index - DYNAMIC_BASE);
  }

  #checkIndex(index: number): void {
    if (index === 0 || index >= DYNAMIC_BASE + this.#table.length)
      throw new HpackError(`no field has index ${index}`);
  }

  /** RFC 7541 §5.1, with a bound that no legal value of ours comes near. */
  #integer(prefixBits: number): number {
    const prefix = (1 << prefixBits) - 1;
    const value = (this.#bytes[this.#at++] ?? 0) & prefix;
    return value < prefix ? value : this.#longInteger(prefix);
  }

  #longInteger(prefix: number): number {
    let value = prefix;
    for (let shift = 0; shift < 28; shift += 7) {
      const octet = this.#bytes[this.#at++];
      if (octet === undefined) throw new HpackError('block ends within an integer');
      value += (octet & 0x7f) << shift;
      if (value > MAX_INTEGER) break;
      if ((octet & 0x80) === 0) return value;
    }
    throw new HpackError('integer too large');
  }

  #text(): string {
    const octet = this.#bytes[this.#at];
    if (octet === undefined) throw new HpackError('block ends before a string');
    const length = this.#integer(7);
    const from = this.#at;
    const to = from + length;
    if (to > this.#bytes.length) throw new HpackError('string is longer than its block');
    this.#at = to;
    if ((octet & 0x80) === 0) return this.#bytes.toString('latin1', from, to);
    const text = decodeHuffman(this.#bytes, from, to);
    if (text === undefined) throw new HpackError('string is not valid Huffman code');
    return text;
  }
}

const EMPTY = Buffer.alloc(0);
