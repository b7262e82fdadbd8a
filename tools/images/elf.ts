/** What a program asks of its system, read from its ELF headers: libraries by name, and the loader that finds them. */

export interface ElfNeeds {
  /** Names such as `libc.so.6`, in the file's order. */
  readonly libraries: readonly string[];
  /** The loader's path; a library has none. */
  readonly interpreter: string | undefined;
}

const MAGIC = 0x7f454c46;
const PROGRAM_HEADER = { load: 1, dynamic: 2, interpreter: 3 } as const;
const DYNAMIC_TAG = { end: 0, needed: 1, stringTable: 5 } as const;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly sizeBytes: number;
}

/** @returns `undefined` for what is no 64-bit little-endian ELF file, such as a script. */
export function elfNeeds(file: Buffer): ElfNeeds | undefined {
  if (file.length < 64 || file.readUInt32BE(0) !== MAGIC || file[4] !== 2 || file[5] !== 1) return undefined;
  const segments = segmentsOf(file);
  const interpreter = segments.find(({ type }) => type === PROGRAM_HEADER.interpreter);
  return {
    libraries: neededBy(file, segments),
    interpreter: interpreter && textAt(file, interpreter.offset),
  };
}

function segmentsOf(file: Buffer): readonly Segment[] {
  const start = Number(file.readBigUInt64LE(32));
  const entrySize = file.readUInt16LE(54);
  return Array.from({ length: file.readUInt16LE(56) }, (_, index) => {
    const at = start + index * entrySize;
    return {
      type: file.readUInt32LE(at),
      offset: Number(file.readBigUInt64LE(at + 8)),
      address: Number(file.readBigUInt64LE(at + 16)),
      sizeBytes: Number(file.readBigUInt64LE(at + 32)),
    };
  });
}

function neededBy(file: Buffer, segments: readonly Segment[]): readonly string[] {
  const dynamic = segments.find(({ type }) => type === PROGRAM_HEADER.dynamic);
  if (!dynamic) return [];
  const names: number[] = [];
  let strings = 0;
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.sizeBytes; at += 16) {
    const tag = Number(file.readBigUInt64LE(at));
    const value = Number(file.readBigUInt64LE(at + 8));
    if (tag === DYNAMIC_TAG.end) break;
    if (tag === DYNAMIC_TAG.needed) names.push(value);
    if (tag === DYNAMIC_TAG.stringTable) strings = value;
  }
  const loaded = segments.find(
    ({ type, address, sizeBytes }) =>
      type === PROGRAM_HEADER.load && strings >= address && strings < address + sizeBytes,
  );
  if (!loaded) return [];
  return names.map((name) => textAt(file, strings - loaded.address + loaded.offset + name));
}

function textAt(file: Buffer, offset: number): string {
  return file.toString('latin1', offset, file.indexOf(0, offset));
}
