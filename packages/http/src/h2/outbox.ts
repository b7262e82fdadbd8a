/**
 * Frames waiting to be written to a transport.
 *
 * While a connection is busy, the small frames of one turn of the event loop are gathered into one write, however many
 * streams they belong to; else the first goes out at once, which is sooner. A large one goes out by itself, uncopied, when
 * nothing is ahead of it. A connection with nothing to send owns no buffer.
 */
import { GATHER_BELOW_BYTES, OUTBOX_HARD_BYTES, OUTBOX_SOFT_BYTES } from '../limits.ts';
import type { Transport } from '../transport/transport.ts';

const CHUNK_BYTES = 64 * 1024;
const SPARE_CHUNKS = 16;

const spares: Buffer[] = [];
const dirty: Outbox[] = [];

interface Chunk {
  readonly bytes: Buffer;
  length: number;
}

export class Outbox {
  readonly #transport: Transport;
  readonly #chunks: Chunk[] = [];
  #queuedBytes = 0;
  /** Puts since the last flush that had to be gathered. */
  #gathered = 0;
  /** The last turn brought several frames, so this one may too. */
  #busy = false;
  #scheduled = false;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Streams should keep their data back. */
  get congested(): boolean {
    return this.#queuedBytes >= OUTBOX_SOFT_BYTES;
  }

  /** The peer has us answer more than it reads. */
  get overflowing(): boolean {
    return this.#queuedBytes >= OUTBOX_HARD_BYTES;
  }

  get empty(): boolean {
    return this.#queuedBytes === 0;
  }

  /** Takes `bytes` (a whole number of frames); they are the caller's again on return. */
  put(bytes: Buffer): void {
    const isFirst = this.#queuedBytes === 0 && this.#transport.idle;
    if (isFirst && (!this.#busy || bytes.length >= GATHER_BELOW_BYTES)) {
      this.#transport.write(bytes);
      return;
    }
    this.#append(bytes);
    this.#gathered++;
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (dirty.push(this) === 1) setImmediate(flushAll);
  }

  /** The loop's turn is over: nothing more comes that could be gathered. */
  endTurn(): void {
    this.#scheduled = false;
    this.#busy = this.#gathered > 1;
    this.#gathered = 0;
    this.flush();
  }

  /** Writes what is gathered, as long as the transport takes it. */
  flush(): void {
    while (this.#transport.idle) {
      const chunk = this.#chunks.shift();
      if (!chunk) return;
      this.#queuedBytes -= chunk.length;
      this.#transport.write(chunk.bytes.subarray(0, chunk.length));
      giveBack(chunk.bytes);
    }
  }

  clear(): void {
    for (const chunk of this.#chunks) giveBack(chunk.bytes);
    this.#chunks.length = 0;
    this.#queuedBytes = 0;
  }

  #append(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      let last = this.#chunks.at(-1);
      if (!last || last.length === CHUNK_BYTES) {
        last = { bytes: spares.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES), length: 0 };
        this.#chunks.push(last);
      }
      const to = Math.min(bytes.length, at + CHUNK_BYTES - last.length);
      bytes.copy(last.bytes, last.length, at, to);
      last.length += to - at;
      at = to;
    }
    this.#queuedBytes += bytes.length;
  }
}

function flushAll(): void {
  const outboxes = dirty.splice(0);
  for (const outbox of outboxes) outbox.endTurn();
}

function giveBack(chunk: Buffer): void {
  if (spares.length < SPARE_CHUNKS) spares.push(chunk);
}
