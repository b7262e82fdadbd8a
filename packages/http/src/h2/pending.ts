/**
 * Copies of data that may not go out yet, in memory that is used again: fresh memory of this size costs more to map than
 * to fill.
 */
import { FRAME_HEADER_BYTES } from './protocol.ts';

/** Sizes that are kept, smallest first, and how many of each a thread keeps. */
const SIZES_BYTES = [64 * 1024, 256 * 1024] as const;
const KEPT_EACH = 12;
/** Smaller copies get memory of their own: a share of Node's pool would keep all of that alive, and be counted by nobody. */
const SMALLEST_KEPT_BYTES = 24 * 1024;

const kept = new Map<number, Buffer[]>(SIZES_BYTES.map((bytes) => [FRAME_HEADER_BYTES + bytes, []]));

/** `memory[from..to)` is to be sent, with room for a frame header in front of `from`. */
export interface Pending {
  readonly memory: Buffer;
  from: number;
  readonly to: number;
}

export function pendingCopy(bytes: Buffer, from: number, to: number): Pending {
  const length = to - from;
  const memory = memoryFor(length);
  bytes.copy(memory, FRAME_HEADER_BYTES, from, to);
  return { memory, from: FRAME_HEADER_BYTES, to: FRAME_HEADER_BYTES + length };
}

/** The memory behind it, which may be several times what is to be sent. */
export function memoryBytes({ memory }: Pending): number {
  return memory.length;
}

/** Nothing points into it any more. */
export function release({ memory }: Pending): void {
  const spares = kept.get(memory.length);
  if (spares && spares.length < KEPT_EACH) spares.push(memory);
}

function memoryFor(length: number): Buffer {
  const size = length < SMALLEST_KEPT_BYTES ? undefined : SIZES_BYTES.find((bytes) => bytes >= length);
  if (size === undefined) return Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + length);
  return kept.get(FRAME_HEADER_BYTES + size)?.pop() ?? Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + size);
}
