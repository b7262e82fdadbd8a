/** Random, and least request: of two endpoints drawn by weight, the one with fewer requests for its weight. */
import type { Picker, PickContext, Warmth, Weighted } from './picker.ts';

/** An endpoint that warms up is drawn by its full weight and then turned down so often; this bounds the draws. */
const MAX_DRAWS = 16;

export class RandomPicker<E> implements Picker<E> {
  readonly #entries: readonly Weighted<E>[];
  /** Of each and all before it; `undefined` when all weigh the same. */
  readonly #sums: readonly number[] | undefined;
  readonly #total: number;
  readonly #warmth: Warmth<E> | undefined;

  /** @param entries - At least one. */
  constructor(entries: readonly Weighted<E>[], warmth: Warmth<E> | undefined) {
    this.#entries = entries;
    const sums: number[] = [];
    let total = 0;
    for (const { weight } of entries) {
      total += weight;
      sums.push(total);
    }
    this.#total = total;
    this.#sums = entries.every(({ weight }) => weight === entries[0]?.weight) ? undefined : sums;
    this.#warmth = warmth;
  }

  pick({ random, nowMs }: PickContext): E {
    return this.draw(random, nowMs).endpoint;
  }

  draw(random: PickContext['random'], nowMs: number): Weighted<E> {
    let entry = this.#drawn(random);
    if (this.#warmth === undefined) return entry;
    for (let draws = 1; draws < MAX_DRAWS; draws++) {
      const warmth = this.#warmth(entry.endpoint, nowMs);
      if (warmth >= 1 || random() < warmth) break;
      entry = this.#drawn(random);
    }
    return entry;
  }

  #drawn(random: PickContext['random']): Weighted<E> {
    const index = this.#sums
      ? search(this.#sums, random() * this.#total)
      : Math.floor(random() * this.#entries.length);
    const entry = this.#entries[Math.min(index, this.#entries.length - 1)];
    if (entry === undefined) throw new RangeError('a picker without endpoints');
    return entry;
  }
}

/** The first sum above `value`. */
function search(sums: readonly number[], value: number): number {
  let low = 0;
  for (let high = sums.length; low < high; ) {
    const middle = (low + high) >> 1;
    if ((sums[middle] ?? 0) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

export class LeastRequestPicker<E extends { readonly activeRequests: number }> implements Picker<E> {
  readonly #draw: RandomPicker<E>;

  /** @param entries - At least one. */
  constructor(entries: readonly Weighted<E>[], warmth: Warmth<E> | undefined) {
    this.#draw = new RandomPicker(entries, warmth);
  }

  pick({ random, nowMs }: PickContext): E {
    const one = this.#draw.draw(random, nowMs);
    const other = this.#draw.draw(random, nowMs);
    return load(other) < load(one) ? other.endpoint : one.endpoint;
  }
}

function load<E extends { readonly activeRequests: number }>({ endpoint, weight }: Weighted<E>): number {
  return (endpoint.activeRequests + 1) / weight;
}
