/**
 * Consistent hashing by Maglev's table: one look-up for each request, shares that follow the weights closely, and few
 * changes when an endpoint comes or goes (a little more than a ring's).
 */
import { hashText, mix } from './hash-text.ts';
import type { Picker, PickContext, Weighted } from './picker.ts';

interface Candidate {
  readonly index: number;
  readonly offset: number;
  readonly skip: number;
  readonly weight: number;
  /** Of its own order of the table's places. */
  next: number;
  /** How far its share of the turns has come. */
  target: number;
}

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

function tableOf<E extends { readonly key: string }>(
  entries: readonly Weighted<E>[],
  size: number,
): Uint32Array {
  const table = new Uint32Array(size).fill(EMPTY);
  const heaviest = entries.reduce((found, { weight }) => Math.max(found, weight), 0);
  const candidates: Candidate[] = entries.map(({ endpoint, weight }, index) => ({
    index,
    offset: hashText(endpoint.key, OFFSET_SEED) % size,
    skip: (hashText(endpoint.key, SKIP_SEED) % (size - 1)) + 1,
    weight,
    next: 0,
    target: 0,
  }));
  let filled = 0;
  for (let turn = 1; filled < size; turn++) {
    for (const candidate of candidates) {
      if (filled >= size) break;
      // A lighter one waits until its weight has grown to a turn of the heaviest.
      if (turn * candidate.weight < candidate.target) continue;
      candidate.target += heaviest;
      table[freePlace(candidate, table)] = candidate.index;
      filled += 1;
    }
  }
  return table;
}

function freePlace(candidate: Candidate, table: Uint32Array): number {
  for (;;) {
    const place = (candidate.offset + candidate.skip * candidate.next) % table.length;
    candidate.next += 1;
    if (table[place] === EMPTY) return place;
  }
}
