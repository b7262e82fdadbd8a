/**
 * Just enough DER to find values in a certificate by position: definite lengths, single-byte tags, no copies.
 *
 * Everything read here comes from a peer: each length is checked against the value that contains it, and anything
 * unexpected yields `undefined`, never an exception and never a value outside its parent.
 */

export interface DerValue {
  /** The identifier octet: class, constructed bit and number together. */
  readonly tag: number;
  readonly content: Uint8Array;
}

export const SEQUENCE = 0x30;
export const OCTET_STRING = 0x04;
export const OBJECT_IDENTIFIER = 0x06;
export const BOOLEAN = 0x01;
export const INTEGER = 0x02;
export const BIT_STRING = 0x03;

/** The values that stand one after another in `bytes`; `undefined` unless they fill it exactly. At most `limit`. */
export function derValues(bytes: Uint8Array, limit: number): readonly DerValue[] | undefined {
  const values: DerValue[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    if (values.length === limit) return undefined;
    const header = headerAt(bytes, offset);
    if (!header) return undefined;
    const end = header.start + header.length;
    if (end > bytes.length) return undefined;
    values.push({ tag: header.tag, content: bytes.subarray(header.start, end) });
    offset = end;
  }
  return values;
}

/** The content of the one value that `bytes` is, if its tag is `tag`. */
export function derContent(bytes: Uint8Array, tag: number): Uint8Array | undefined {
  const values = derValues(bytes, 1);
  const only = values?.[0];
  return only?.tag === tag ? only.content : undefined;
}

function headerAt(
  bytes: Uint8Array,
  offset: number,
): { tag: number; start: number; length: number } | undefined {
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) return undefined;
  if (first < 0x80) return { tag, start: offset + 2, length: first };
  const count = first & 0x7f;
  if (count === 0 || count > 4 || offset + 2 + count > bytes.length) return undefined;
  let length = 0;
  for (let i = 0; i < count; i++) length = length * 256 + (bytes[offset + 2 + i] ?? 0);
  const shortest = length >= 0x80 && length >= 256 ** (count - 1);
  return shortest ? { tag, start: offset + 2 + count, length } : undefined;
}

/** One value: `tag`, the shortest length, and what it holds, one after another. */
export function derOf(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(contents);
  return Buffer.concat([Uint8Array.of(tag), lengthOf(content.length), content]);
}

function lengthOf(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Uint8Array.of(0x80 | bytes.length, ...bytes);
}
