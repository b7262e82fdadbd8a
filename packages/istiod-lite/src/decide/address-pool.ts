/**
 * Addresses of one block, handed out in order and not a second time while others are left: a client may hold one for as
 * long as it remembers an answer of DNS.
 */
import { bytesOfIp, type Cidr, formatCidr, formatIp } from '@ambit/core/ip';
import { MAX_REMEMBERED_ADDRESSES } from '../limits.ts';

export class AddressPool {
  readonly #block: Cidr;
  readonly #first: bigint;
  readonly #last: bigint;
  #next: bigint;
  /** What was handed out here, oldest first, whether or not anybody has it still. */
  readonly #given = new Set<string>();

  constructor(block: Cidr) {
    const bits = BigInt(block.bytes.length * 8);
    const size = 1n << (bits - BigInt(block.length));
    const network = (numberOf(block.bytes) / size) * size;
    this.#block = block;
    // The first address of a block is the network's own name.
    this.#first = network + 1n;
    this.#last = network + size - 1n;
    this.#next = this.#first;
  }

  toString(): string {
    return formatCidr(this.#block);
  }

  /** An address that is not taken; `undefined` when all are. */
  take(isTaken: (ip: string) => boolean): string | undefined {
    const found = this.#find((ip) => this.#given.has(ip) || isTaken(ip)) ?? this.#find(isTaken);
    if (found === undefined) return undefined;
    this.#given.delete(found);
    this.#given.add(found);
    if (this.#given.size > MAX_REMEMBERED_ADDRESSES) this.#forgetOldest();
    return found;
  }

  /** Nobody has heard of the address, so it may be the next. */
  giveBack(ip: string): void {
    if (!this.#given.delete(ip)) return;
    const bytes = bytesOfIp(ip);
    if (bytes) this.#next = numberOf(bytes);
  }

  #find(isTaken: (ip: string) => boolean): string | undefined {
    const start = this.#next;
    let at = start;
    do {
      const ip = this.#format(at);
      at = at === this.#last ? this.#first : at + 1n;
      if (isTaken(ip)) continue;
      this.#next = at;
      return ip;
    } while (at !== start);
    return undefined;
  }

  #format(value: bigint): string {
    const { length } = this.#block.bytes;
    const bytes = Uint8Array.from({ length }, (_, i) =>
      Number((value >> BigInt(8 * (length - 1 - i))) & 0xffn),
    );
    return formatIp(bytes) ?? '';
  }

  #forgetOldest(): void {
    for (const ip of this.#given) {
      this.#given.delete(ip);
      return;
    }
  }
}

function numberOf(bytes: Uint8Array): bigint {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}
