/**
 * Consistent hashing by Maglev's table: one look-up for each request, shares that follow the weights closely, and few
 * changes when an endpoint comes or goes (a little more than a ring's).
 */
import { hashText, mix } from './hash-text.ts';
import type { Picker, PickContext, Weighted } from './picker.ts';

export class MaglevPicker<E extends { readonly key: string }> implements Picker<E> {
  readonly #entries: readonly Weighted<E>[];
  readonly #table: Uint32Array;

  /**
   * @param entries - At least one.
   * @param size - Of the table: a prime.
   */
  constructor(entries: readonly Weighted<E>[], size: number) {
    // In one order, whatever order they came in: the table depends on whose turn is first.
    this.#entries = entries.toSorted((a, b) => (a.endpoint.key < b.endpoint.key ? -1 : 1));
    this.#table = tableOf(this.#entries, size);
  }

  /** A further attempt looks elsewhere in the table. */
  pick({ hash, random }: PickContext, attempt: number): E {
    const own = hash ?? Math.floor(random() * 2 ** 32);
    const place = (attempt === 0 ? own : mix(own ^ mix(attempt))) % this.#table.length;
    const entry = this.#entries[this.#table[place] ?? 0];
    if (entry === undefined) throw new RangeError('a picker without endpoints');
    return entry.endpoint;
  }
}

const EMPTY = 0xffffffff;
/** Any two that differ: they make two independent hashes. */
const OFFSET_SEED = 0x5bd1e995;
const SKIP_SEED = 0x1b873593;

/**
 * Each endpoint has an order of its own of the table's places, and they take turns in taking the next that is free.
 * Plain numbers in typed arrays: a table has 65,537 places, and is made anew whenever an endpoint comes or goes.
 */
function tableOf<E extends { readonly key: string }>(
  entries: readonly Weighted<E>[],
  size: number,
): Uint32Array {
  const table = new Uint32Array(size).fill(EMPTY);
  const places = Uint32Array.from(entries, ({ endpoint }) => hashText(endpoint.key, OFFSET_SEED) % size);
  const skips = Uint32Array.from(
    entries,
    ({ endpoint }) => (hashText(endpoint.key, SKIP_SEED) % (size - 1)) + 1,
  );
  const weights = Float64Array.from(entries, ({ weight }) => weight);
  const heaviest = weights.reduce((found, weight) => Math.max(found, weight), 0);
  /** How far the share of the turns has come. */
  const targets = new Float64Array(entries.length);
  let filled = 0;
  for (let turn = 1; filled < size; turn++) {
    for (let i = 0; i < weights.length && filled < size; i++) {
      // A lighter one waits until its weight has grown to a turn of the heaviest.
      if (turn * (weights[i] ?? 0) < (targets[i] ?? 0)) continue;
      targets[i] = (targets[i] ?? 0) + heaviest;
      const skip = skips[i] ?? 1;
      let place = places[i] ?? 0;
      while (table[place] !== EMPTY) {
        place += skip;
        if (place >= size) place -= size;
      }
      table[place] = i;
      places[i] = place;
      filled += 1;
    }
  }
  return table;
}
