/** Bytes that arrived before they can be read: they grow in place, so that a head that trickles in is copied but once. */

const INITIAL_BYTES = 1024;
const NOTHING = Buffer.alloc(0);

export class Stash {
  #memory = NOTHING;
  #length = 0;
  /** So many octets were searched for the end of a head, in vain. */
  searched = 0;

  get length(): number {
    return this.#length;
  }

  /** What is here; valid until it changes. */
  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }

  append(bytes: Buffer): void {
    const length = this.#length + bytes.length;
    if (length > this.#memory.length) {
      const memory = Buffer.allocUnsafeSlow(Math.max(INITIAL_BYTES, length, 2 * this.#memory.length));
      this.#memory.copy(memory, 0, 0, this.#length);
      this.#memory = memory;
    }
    bytes.copy(this.#memory, this.#length);
    this.#length = length;
  }

  /** Drops the first `bytes` octets, and the memory with the last. */
  drop(bytes: number): void {
    this.searched = 0;
    this.#length -= bytes;
    if (this.#length === 0) this.#memory = NOTHING;
    else if (bytes > 0) this.#memory.copyWithin(0, bytes, bytes + this.#length);
  }
}
