/**
 * Bytes kept in the order they came, however small the pieces: little ones are gathered, so that memory is about as much as
 * what is kept, and every step costs as much as the bytes it moves.
 */
import { GATHERED_BYTES, KEPT_CHUNK_OVERHEAD_BYTES, SMALLEST_GATHERING_BYTES } from '../limits.ts';

interface Chunk {
  readonly memory: Buffer;
  length: number;
}

export class KeptBytes {
  #chunks: Chunk[] = [];
  /** Where reading goes on. */
  #chunk = 0;
  #offset = 0;
  #unreadBytes = 0;
  #memoryBytes = 0;

  get unreadBytes(): number {
    return this.#unreadBytes;
  }

  /** What is kept costs so much memory. */
  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  /** Copies the bytes. */
  push(bytes: Uint8Array): void {
    this.#unreadBytes += bytes.length;
    const last = this.#chunks.at(-1);
    const room = last ? last.memory.length - last.length : 0;
    const gathered = Math.min(room, bytes.length);
    if (last && gathered > 0) {
      last.memory.set(bytes.subarray(0, gathered), last.length);
      last.length += gathered;
    }
    const rest = bytes.subarray(gathered);
    if (rest.length === 0) return;
    const memory = Buffer.allocUnsafe(Math.max(rest.length, roomAfter(last)));
    memory.set(rest);
    this.#chunks.push({ memory, length: rest.length });
    this.#memoryBytes += costOf(memory);
  }

  /** The next unread bytes, as many as lie together; valid until anything is forgotten. `undefined`: all are read. */
  read(): Buffer | undefined {
    for (let chunk = this.#chunks[this.#chunk]; chunk; chunk = this.#chunks[this.#chunk]) {
      const from = this.#offset;
      if (from < chunk.length) {
        this.#offset = chunk.length;
        this.#unreadBytes -= chunk.length - from;
        return chunk.memory.subarray(from, chunk.length);
      }
      if (this.#chunk === this.#chunks.length - 1) return undefined;
      this.#chunk += 1;
      this.#offset = 0;
    }
    return undefined;
  }

  /** Reading begins again with the first byte that is kept. */
  rewind(): void {
    this.#chunk = 0;
    this.#offset = 0;
    this.#unreadBytes = this.#chunks.reduce((sum, { length }) => sum + length, 0);
  }

  /** All that is kept, read or not. */
  *all(): Generator<Buffer> {
    for (const { memory, length } of this.#chunks) yield memory.subarray(0, length);
  }

  /** Something was read since the beginning, or the last `rewind`. */
  get hasRead(): boolean {
    return this.#chunk > 0 || this.#offset > 0;
  }

  /** Lets go of what was read, but for a rest that lies in one piece with what was not. */
  forgetRead(): void {
    const isThrough = this.#offset === this.#chunks[this.#chunk]?.length;
    const read = isThrough ? this.#chunk + 1 : this.#chunk;
    if (isThrough) this.#offset = 0;
    this.#chunk = 0;
    if (read === 0) return;
    for (const { memory } of this.#chunks.splice(0, read)) this.#memoryBytes -= costOf(memory);
  }

  clear(): void {
    this.#chunks = [];
    this.#chunk = 0;
    this.#offset = 0;
    this.#unreadBytes = 0;
    this.#memoryBytes = 0;
  }
}

/** A first piece is often the only one: room is made for more from the second on, and twice as much each time. */
function roomAfter(last: Chunk | undefined): number {
  if (!last) return 0;
  return Math.min(GATHERED_BYTES, Math.max(SMALLEST_GATHERING_BYTES, last.memory.length * 2));
}

function costOf(memory: Buffer): number {
  return memory.length + KEPT_CHUNK_OVERHEAD_BYTES;
}
