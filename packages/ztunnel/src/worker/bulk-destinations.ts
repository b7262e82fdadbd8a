/**
 * Destinations whose connections move much at a time: backups, images, iperf.
 *
 * Both ends of a tunnel within the node are one thread's, since waking another one costs more than most connections ask
 * for. One that takes all it can get is bound by that thread, while the next one idles. Which connection that will be is
 * not known when it opens, and it cannot move later; but what the last ones to the same place did is known.
 *
 * A table of scores without the names, in memory that all workers share: destinations may share a place, and two threads
 * that write to it at once may lose one of two counts. Either costs a wake-up at worst.
 */
import { BULK_CONNECTION_BYTES, BULK_TABLE_BYTES } from './limits.ts';

/** What a connection that moved much counts for, in connections that did not: most protocols have some of both. */
const WEIGHT = 2;
const MAX_SCORE = 8;

/** FNV-1a. */
const OFFSET_BASIS = 0x811c_9dc5;
const PRIME = 0x0100_0193;

export class BulkDestinations {
  /** An octet each. */
  readonly #scores: Uint8Array;

  /** @param table - Of all workers of the process, {@link BULK_TABLE_BYTES} of zeros at first; by itself without. */
  constructor(table: SharedArrayBuffer | undefined) {
    this.#scores = new Uint8Array(table ?? new ArrayBuffer(BULK_TABLE_BYTES));
  }

  /** Whether a connection to `destination`, as its CONNECT names it, may well move much. */
  expects(destination: string): boolean {
    return this.#scoreAt(this.#placeOf(destination)) > 0;
  }

  /** A connection ended that had moved `bytes`, both ways together. */
  ended(destination: string, bytes: number): void {
    const place = this.#placeOf(destination);
    const score = this.#scoreAt(place);
    if (bytes >= BULK_CONNECTION_BYTES) this.#scores[place] = Math.min(MAX_SCORE, score + WEIGHT);
    else if (score > 0) this.#scores[place] = score - 1;
  }

  #scoreAt(place: number): number {
    return this.#scores[place] ?? 0;
  }

  #placeOf(destination: string): number {
    let hash = OFFSET_BASIS;
    for (let i = 0; i < destination.length; i++)
      hash = Math.imul(hash ^ destination.charCodeAt(i), PRIME) >>> 0;
    return hash % this.#scores.length;
  }
}
