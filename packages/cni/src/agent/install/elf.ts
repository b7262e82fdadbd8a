/**
 * What a program for Linux asks of its system, and how to make it look for libraries beside itself first. Pure: reads
 * through `read`, and says which bytes to write where.
 *
 * The search path takes the place of two things that a running program does not need: the entry that a debugger looks at,
 * and the name of one exported function, which nothing can find any more afterwards.
 */
import { MeshError } from '@ambit/core/errors';

/** The program is none that can be made to bring its libraries. */
export class ElfError extends MeshError {
  readonly code = 'CNI_ELF';
  readonly side = 'internal';
}

/** As `pread`: may return less at the end of the file. */
export type ReadAt = (offset: number, length: number) => Buffer;

export interface ElfNeeds {
  /** Names such as `libc.so.6`; the loader's own name is among them for most programs. */
  readonly libraries: readonly string[];
  /** The loader's path, such as `/lib64/ld-linux-x86-64.so.2`. */
  readonly loader: string;
  /** Makes the program look for libraries in its own folder first. */
  readonly edits: readonly { readonly offset: number; readonly bytes: Buffer }[];
}

const HEADER_BYTES = 64;
const MAGIC = 0x7f454c46;
const SEGMENT = { load: 1, dynamic: 2, interpreter: 3 } as const;
const TAG = { end: 0, needed: 1, strings: 5, stringsSize: 10, searchPath: 15, debug: 21 } as const;
const ENTRY_BYTES = 16;
/** Far more than a Node has. */
const STRINGS_MAX_BYTES = 64 * 1024 * 1024;
const OWN_FOLDER = '$ORIGIN\0';
/** Functions of Node's engine: no library that a program loads can want one of them. */
const DISPENSABLE = '\0_ZN2v8';

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly sizeBytes: number;
}

/** @throws {@link ElfError} */
export function elfNeeds(read: ReadAt): ElfNeeds {
  const segments = segmentsOf(read);
  const interpreter = segments.find(({ type }) => type === SEGMENT.interpreter);
  const dynamic = segments.find(({ type }) => type === SEGMENT.dynamic);
  if (!interpreter || !dynamic)
    throw new ElfError('a program that asks for no loader brings all that it needs');
  const entries = read(dynamic.offset, dynamic.sizeBytes);
  const needed: number[] = [];
  const values = new Map<number, number>();
  let debugOffset: number | undefined;
  for (let at = 0; at + ENTRY_BYTES <= entries.length; at += ENTRY_BYTES) {
    const tag = Number(entries.readBigUInt64LE(at));
    const value = Number(entries.readBigUInt64LE(at + 8));
    if (tag === TAG.end) break;
    if (tag === TAG.needed) needed.push(value);
    if (tag === TAG.debug) debugOffset = dynamic.offset + at;
    values.set(tag, value);
  }
  const stringsOffset = fileOffset(segments, values.get(TAG.strings) ?? 0);
  const stringsBytes = values.get(TAG.stringsSize) ?? 0;
  if (stringsBytes > STRINGS_MAX_BYTES) throw new ElfError(`names of ${stringsBytes} bytes`);
  const strings = read(stringsOffset, stringsBytes);
  const place = strings.indexOf(DISPENSABLE) + 1;
  if (debugOffset === undefined || place === 0)
    throw new ElfError('there is no room for a search path: no entry for debuggers, or no name to take');
  const entry = Buffer.alloc(ENTRY_BYTES);
  entry.writeBigUInt64LE(BigInt(TAG.searchPath), 0);
  entry.writeBigUInt64LE(BigInt(place), 8);
  return {
    libraries: needed.map((at) => textAt(strings, at)),
    loader: textAt(read(interpreter.offset, interpreter.sizeBytes), 0),
    edits: [
      { offset: stringsOffset + place, bytes: Buffer.from(OWN_FOLDER, 'latin1') },
      { offset: debugOffset, bytes: entry },
    ],
  };
}

function segmentsOf(read: ReadAt): readonly Segment[] {
  const header = read(0, HEADER_BYTES);
  // 64 bits, little-endian: all that Node runs on under Linux here.
  if (header.length < HEADER_BYTES || header.readUInt32BE(0) !== MAGIC || header[4] !== 2 || header[5] !== 1)
    throw new ElfError('not a program for 64-bit Linux');
  const entryBytes = header.readUInt16LE(54);
  const count = header.readUInt16LE(56);
  const table = read(Number(header.readBigUInt64LE(32)), entryBytes * count);
  if (entryBytes < 56 || table.length < entryBytes * count)
    throw new ElfError('its table of segments is cut off');
  return Array.from({ length: count }, (_, index) => {
    const at = index * entryBytes;
    return {
      type: table.readUInt32LE(at),
      offset: Number(table.readBigUInt64LE(at + 8)),
      address: Number(table.readBigUInt64LE(at + 16)),
      sizeBytes: Number(table.readBigUInt64LE(at + 32)),
    };
  });
}

function fileOffset(segments: readonly Segment[], address: number): number {
  const loaded = segments.find(
    (one) => one.type === SEGMENT.load && address >= one.address && address < one.address + one.sizeBytes,
  );
  if (!loaded) throw new ElfError('its names are not in the file');
  return address - loaded.address + loaded.offset;
}

function textAt(strings: Buffer, offset: number): string {
  const end = strings.indexOf(0, offset);
  return strings.toString('latin1', offset, end < 0 ? strings.length : end);
}
