/**
 * Consistent hashing on a ring: each endpoint stands on it in as many places as its weight gives it, and a request goes to
 * the first at or behind its hash. An endpoint that goes takes only its own requests with it.
 */
import { hashText } from './hash-text.ts';
import type { Picker, PickContext, Weighted } from './picker.ts';

/** Of a ring, whatever the weights. */
const MAX_RING_SIZE = 1_048_576;

/**
 * How often each endpoint stands on the ring. The lightest stands there a power of two times, so that the number seldom
 * changes with the number of endpoints: if it did, all of them would lose requests whenever one came or went.
 */
function placesOf(entries: readonly Weighted<unknown>[], size: number): readonly number[] {
  const weights = entries.map((entry) => entry.weight);
  const total = weights.reduce((sum, one) => sum + one, 0);
  const least = weights.reduce((found, one) => Math.min(found, one));
  const wanted = 2 ** Math.ceil(Math.log2(Math.max(1, (size * least) / total)));
  const ofLeast = Math.min(wanted, (MAX_RING_SIZE * least) / total);
  return weights.map((weight) => Math.max(1, Math.round((ofLeast * weight) / least)));
}

export class RingHashPicker<E extends { readonly key: string }> implements Picker<E> {
  readonly #entries: readonly Weighted<E>[];
  /** In order; the endpoint at each, beside. */
  readonly #hashes: Uint32Array;
  readonly #owners: Uint32Array;

  /**
   * @param entries - At least one.
   * @param size - The least number of places; the lightest endpoint has at least one.
   */
  constructor(entries: readonly Weighted<E>[], size: number) {
    this.#entries = entries;
    const counts = placesOf(entries, size);
    const places = entries.flatMap(({ endpoint }, owner) =>
      Array.from({ length: counts[owner] ?? 0 }, (_, i) => ({
        hash: hashText(`${endpoint.key}_${i}`),
        owner,
      })),
    );
    const keyOf = (owner: number) => entries[owner]?.endpoint.key ?? '';
    // Where two stand in one place the key decides, so that the order of the list does not matter.
    places.sort((a, b) => a.hash - b.hash || (keyOf(a.owner) < keyOf(b.owner) ? -1 : 1));
    this.#hashes = Uint32Array.from(places, ({ hash }) => hash);
    this.#owners = Uint32Array.from(places, ({ owner }) => owner);
  }

  /** A further attempt goes on along the ring, to the next endpoint that is another one. */
  pick({ hash, random }: PickContext, attempt: number): E {
    let at = this.#search(hash ?? Math.floor(random() * 2 ** 32));
    for (let left = attempt; left > 0; left--) at = this.#nextOther(at);
    const entry = this.#entries[this.#owners[at] ?? 0];
    if (entry === undefined) throw new RangeError('a picker without endpoints');
    return entry.endpoint;
  }

  /** Where the first hash is that is not below; behind the last, the ring begins again. */
  #search(hash: number): number {
    let low = 0;
    for (let high = this.#hashes.length; low < high; ) {
      const middle = (low + high) >> 1;
      if ((this.#hashes[middle] ?? 0) >= hash) high = middle;
      else low = middle + 1;
    }
    return low % this.#hashes.length;
  }

  #nextOther(from: number): number {
    const size = this.#owners.length;
    for (let step = 1; step < size; step++) {
      const at = (from + step) % size;
      if (this.#owners[at] !== this.#owners[from]) return at;
    }
    return from;
  }
}
