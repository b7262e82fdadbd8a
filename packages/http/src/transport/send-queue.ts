/**
 * Bytes on their way into a transport, in chunks of memory that is used again.
 *
 * What is put here is copied, and the caller's again on return. A chunk goes back to the thread's spares when the
 * transport is done with it; a connection with nothing to send owns none.
 */
import type { Transport } from './transport.ts';

const CHUNK_BYTES = 64 * 1024;
const SPARE_CHUNKS = 16;

const spares: Buffer[] = [];

interface Chunk {
  readonly bytes: Buffer;
  length: number;
}

export class SendQueue {
  readonly #transport: Transport;
  readonly #chunks: Chunk[] = [];
  /** In the write that the transport has yet to finish. */
  #lent: Buffer | undefined;
  #queuedBytes = 0;
  /** In the last write, if the transport has not finished it. */
  #writingBytes = 0;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** The memory of what is queued, or in a write that the transport has yet to finish: whole chunks. */
  get heldBytes(): number {
    let bytes = this.#transport.idle ? 0 : (this.#lent?.length ?? this.#writingBytes);
    for (const chunk of this.#chunks) bytes += chunk.bytes.length;
    return bytes;
  }

  append(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      const chunk = this.#chunkFor(1);
      const to = Math.min(bytes.length, at + CHUNK_BYTES - chunk.length);
      chunk.bytes.set(at === 0 && to === bytes.length ? bytes : bytes.subarray(at, to), chunk.length);
      chunk.length += to - at;
      at = to;
    }
    this.#queuedBytes += bytes.length;
  }

  /**
   * Appends Latin-1 text, unless it has not as many lines as it should.
   *
   * @param linesIn - How many lines the octets are; -1 when they are not.
   * @returns Whether it has; if not, nothing was appended.
   */
  appendText(
    text: string,
    lines: number,
    linesIn: (bytes: Buffer, from: number, to: number) => number,
  ): boolean {
    const chunk = this.#chunkFor(text.length);
    const from = chunk.length;
    const to = from + chunk.bytes.write(text, from, 'latin1');
    if (linesIn(chunk.bytes, from, to) !== lines) return false;
    chunk.length = to;
    this.#queuedBytes += to - from;
    return true;
  }

  /** Writes what is queued, as long as the transport takes it. */
  flush(): void {
    if (!this.#transport.idle) return;
    if (this.#lent) this.#giveBackLent();
    while (this.#transport.idle) {
      const chunk = this.#chunks.shift();
      if (!chunk) return;
      this.#queuedBytes -= chunk.length;
      this.#writingBytes = chunk.length;
      this.#transport.write(chunk.bytes.subarray(0, chunk.length));
      if (this.#transport.lends && !this.#transport.idle) this.#lent = chunk.bytes;
      else giveBack(chunk.bytes);
    }
  }

  /** The connection is gone. What the transport still holds is not used again. */
  clear(): void {
    for (const chunk of this.#chunks) giveBack(chunk.bytes);
    this.#chunks.length = 0;
    this.#lent = undefined;
    this.#queuedBytes = 0;
    this.#writingBytes = 0;
  }

  #giveBackLent(): void {
    if (this.#lent) giveBack(this.#lent);
    this.#lent = undefined;
  }

  #chunkFor(bytes: number): Chunk {
    const last = this.#chunks.at(-1);
    if (last && last.bytes.length - last.length >= bytes) return last;
    const memory =
      bytes > CHUNK_BYTES
        ? Buffer.allocUnsafeSlow(bytes)
        : (spares.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES));
    const chunk = { bytes: memory, length: 0 };
    this.#chunks.push(chunk);
    return chunk;
  }
}

function giveBack(chunk: Buffer): void {
  if (spares.length < SPARE_CHUNKS && chunk.length === CHUNK_BYTES) spares.push(chunk);
}
