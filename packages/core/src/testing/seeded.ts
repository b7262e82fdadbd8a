/**
 * Chance that can be repeated: the same seed makes the same inputs.
 *
 * A fuzz suite has a seed of its own, so that each run of the tests is the same. `npm run fuzz` adds to it by
 * AMBIT_FUZZ_SEED, another number each time, and says which one failed.
 */

const ADDED = Number(process.env['AMBIT_FUZZ_SEED'] ?? 0);
if (!Number.isSafeInteger(ADDED) || ADDED < 0) throw new RangeError('AMBIT_FUZZ_SEED is a whole number');
/** What sets of seeds are apart, so that no two of one run of `npm run fuzz` are the same. */
const STRIDE = 7_919;

/** @param own - The suite's. */
export function fuzzing(own: number): Seeded {
  return new Seeded(own + ADDED * STRIDE);
}

export class Seeded {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer in [0, count). */
  below(count: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return (this.#state >>> 8) % count;
  }

  /** A number in [0, 1). */
  fraction(): number {
    return this.below(1 << 24) / (1 << 24);
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.below(from.length)];
    if (picked === undefined) throw new Error('nothing to pick from');
    return picked;
  }

  /** `bytes` in pieces, most of them small. */
  cut(bytes: Buffer): Buffer[] {
    const pieces: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const to = at + 1 + this.below(this.below(3) === 0 ? 200 : 8);
      pieces.push(bytes.subarray(at, to));
      at = to;
    }
    return pieces;
  }

  /** `bytes` with one to three octets changed, and in one of eight times cut off. */
  damage(bytes: Uint8Array): Uint8Array {
    const damaged = Uint8Array.from(bytes);
    for (let flips = 1 + this.below(3); flips > 0 && damaged.length > 0; flips--)
      damaged[this.below(damaged.length)] = this.below(256);
    return damaged.subarray(0, this.below(8) === 0 ? this.below(damaged.length + 1) : damaged.length);
  }

  /** `bytes` with a few changes: octets, pieces of `dictionary`, copies and cuts of lines. */
  mutate(bytes: Buffer, dictionary: readonly string[]): Buffer {
    let text = bytes.toString('latin1');
    for (let changes = 1 + this.below(3); changes > 0; changes--) {
      const at = this.below(text.length + 1);
      const rest = text.slice(at);
      const lineEnd = rest.indexOf('\n') + 1;
      switch (this.below(6)) {
        case 0:
          text = text.slice(0, at) + String.fromCharCode(this.below(256)) + text.slice(at + 1);
          break;
        case 1:
          text = text.slice(0, at) + this.pick(dictionary) + rest;
          break;
        case 2:
          text = text.slice(0, at) + this.pick(dictionary) + text.slice(at + 1 + this.below(8));
          break;
        case 3:
          text = text.slice(0, at) + rest.slice(0, lineEnd) + rest;
          break;
        case 4:
          text = text.slice(0, at) + rest.slice(lineEnd);
          break;
        default:
          text = text.slice(0, at) + text.slice(at + 1);
      }
    }
    return Buffer.from(text, 'latin1');
  }
}
