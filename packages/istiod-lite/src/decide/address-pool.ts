/**
 * Addresses of one block, handed out in order and not a second time while others are left: a client may hold one for as
 * long as it remembers an answer of DNS.
 *
 * The block is gone through once. After that only what has become free is handed out again, that which was free for
 * longest first; so whoever takes must tell what is free again, and a full block costs nothing to ask.
 */
import { bytesOfIp, type Cidr, formatCidr, formatIp } from '@ambit/core/ip';
import { MAX_REMEMBERED_ADDRESSES } from '../limits.ts';

export class AddressPool {
  readonly #block: Cidr;
  readonly #first: bigint;
  readonly #last: bigint;
  /** Nothing from here on was handed out. */
  #fresh: bigint;
  /** What nobody has any more, of those before {@link #fresh}; the first in it is the next. */
  readonly #free = new Set<string>();
  /** What nobody has heard of; the last in it is the next. */
  readonly #unheard: string[] = [];

  constructor(block: Cidr) {
    const bits = BigInt(block.bytes.length * 8);
    const size = 1n << (bits - BigInt(block.length));
    const network = (numberOf(block.bytes) / size) * size;
    this.#block = block;
    // The first address of a block is the network's own name.
    this.#first = network + 1n;
    this.#last = network + size - 1n;
    this.#fresh = this.#first;
  }

  toString(): string {
    return formatCidr(this.#block);
  }

  /** An address that is not taken; `undefined` when all are. */
  take(isTaken: (ip: string) => boolean): string | undefined {
    for (let ip = this.#unheard.pop(); ip !== undefined; ip = this.#unheard.pop())
      if (!isTaken(ip)) return ip;
    while (this.#fresh <= this.#last) {
      const ip = this.#format(this.#fresh);
      this.#fresh += 1n;
      if (!isTaken(ip)) return ip;
    }
    for (const ip of this.#free) {
      this.#free.delete(ip);
      if (!isTaken(ip)) return ip;
    }
    return undefined;
  }

  /** One that was taken, and that nobody has heard of: it may be the next. */
  giveBack(ip: string): void {
    if (this.#isUsed(ip)) this.#unheard.push(ip);
  }

  /** Nobody has the address any more; anything may be told. */
  release(ip: string): void {
    if (!this.#isUsed(ip)) return;
    this.#free.delete(ip);
    this.#free.add(ip);
    for (const oldest of this.#free) {
      if (this.#free.size <= MAX_REMEMBERED_ADDRESSES) break;
      this.#free.delete(oldest);
    }
  }

  /** Of this block, and gone past. */
  #isUsed(ip: string): boolean {
    const bytes = bytesOfIp(ip);
    if (bytes?.length !== this.#block.bytes.length) return false;
    const value = numberOf(bytes);
    return value >= this.#first && value < this.#fresh;
  }

  #format(value: bigint): string {
    const { length } = this.#block.bytes;
    const bytes = Uint8Array.from({ length }, (_, i) =>
      Number((value >> BigInt(8 * (length - 1 - i))) & 0xffn),
    );
    return formatIp(bytes) ?? '';
  }
}

function numberOf(bytes: Uint8Array): bigint {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}
