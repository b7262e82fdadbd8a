/**
 * Destinations whose connections are bound by a thread: backups, images, iperf.
 *
 * Both ends of a tunnel within the node are one thread's, since waking another one costs more than most connections ask
 * for. One that takes all it can get is bound by that thread, while the next one idles. Which connection that will be is
 * not known when it opens, and it cannot move later; but what the last ones to the same place did is known.
 *
 * A table of scores without the names, in memory that all workers share: destinations may share a slot, and two threads
 * that write to it at once may lose one of two counts. Who has two threads without need pays a wake-up for each message,
 * and a tunnel of its own for each pod that comes; who has one without need is as slow as before.
 */
import { hashOf } from '@ambit/model/roll/hash-table';
import { BULK_TABLE_BYTES } from '../threads/worker-options.ts';
import { BULK_BYTES_PER_MS, BULK_CONNECTION_BYTES, BULK_TABLE_HALVED_EVERY } from './limits.ts';

/** Whose the far end of a tunnel within the process is, told by its near end's worker. */
export type FarEnd = 'own' | 'next';

/** What a connection moved, both ways together, over its life. */
export interface Moved {
  readonly bytes: number;
  readonly ms: number;
}

/** What a bulk connection counts for, in connections that were none: most protocols have some of both. */
const WEIGHT = 2;
const MAX_SCORE = 8;

export class BulkDestinations {
  /** An octet each. */
  readonly #scores: Uint8Array;
  #ended = 0;

  /** @param table - Of all workers of the process, {@link BULK_TABLE_BYTES} of zeros at first; by itself without. */
  constructor(table: SharedArrayBuffer | undefined) {
    this.#scores = new Uint8Array(table ?? new ArrayBuffer(BULK_TABLE_BYTES));
  }

  /** Whether a thread may well bound a connection to `destination`, as its CONNECT names it. */
  expects(destination: string): boolean {
    return this.#scoreAt(this.#slotOf(destination)) > 0;
  }

  /** A connection ended that had been established. */
  ended(destination: string, { bytes, ms }: Moved): void {
    const slot = this.#slotOf(destination);
    const score = this.#scoreAt(slot);
    const isBulk = bytes >= BULK_CONNECTION_BYTES && bytes >= ms * BULK_BYTES_PER_MS;
    if (isBulk) this.#scores[slot] = Math.min(MAX_SCORE, score + WEIGHT);
    else if (score > 0) this.#scores[slot] = score - 1;
    this.#ended += 1;
    if (this.#ended % BULK_TABLE_HALVED_EVERY === 0) this.#age();
  }

  /** Of what is not connected to any more nothing is ever heard again. */
  #age(): void {
    for (const [slot, score] of this.#scores.entries()) this.#scores[slot] = score >> 1;
  }

  #scoreAt(slot: number): number {
    return this.#scores[slot] ?? 0;
  }

  #slotOf(destination: string): number {
    return hashOf(destination) & (this.#scores.length - 1);
  }
}
