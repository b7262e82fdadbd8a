/**
 * How much each data worker has open, in memory that all of them see.
 *
 * Read without a lock: a number that is a moment old makes a choice that is a moment old, and nothing worse. What is on
 * its way to a worker counts as that worker's already, or a burst would all go to whoever had least when it began.
 */

/** What is counted apart: a tunnel costs a handshake and brings many connections. */
const LOAD_KINDS = ['connections', 'tunnels'] as const;
export type LoadKind = (typeof LOAD_KINDS)[number];

/** By how much another worker must have less before an accepted one is worth moving, in parts of what this one has. */
const SLACK: Readonly<Record<LoadKind, { readonly least: number; readonly share: number }>> = {
  connections: { least: 2, share: 1 / 8 },
  tunnels: { least: 1, share: 1 / 16 },
};

export class WorkerLoads {
  readonly #counts: Int32Array;
  readonly #own: number;
  readonly #workers: number;

  /** @param memory - Of {@link sharedLoads}. */
  constructor(memory: SharedArrayBuffer, own: number) {
    this.#counts = new Int32Array(memory);
    this.#own = own;
    this.#workers = this.#counts.length / LOAD_KINDS.length;
  }

  /** @param worker - Whose number changes; by default this one's. */
  add(kind: LoadKind, change: 1 | -1, worker: number = this.#own): void {
    Atomics.add(this.#counts, this.#at(kind, worker), change);
  }

  of(kind: LoadKind): readonly number[] {
    return Array.from({ length: this.#workers }, (_, worker) =>
      Atomics.load(this.#counts, this.#at(kind, worker)),
    );
  }

  /** The worker that should take one that this worker has accepted; `undefined`: this one. */
  better(kind: LoadKind): number | undefined {
    return betterWorker(this.of(kind), this.#own, kind);
  }

  #at(kind: LoadKind, worker: number): number {
    return LOAD_KINDS.indexOf(kind) * this.#workers + worker;
  }
}

export function sharedLoads(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * LOAD_KINDS.length * Int32Array.BYTES_PER_ELEMENT);
}

/** Pure: who has least, if that is less than `own` has by enough to pay for the move. */
export function betterWorker(counts: readonly number[], own: number, kind: LoadKind): number | undefined {
  const mine = counts[own] ?? 0;
  const least = Math.min(...counts);
  const { least: atLeast, share } = SLACK[kind];
  return mine - least >= Math.max(atLeast, mine * share) ? counts.indexOf(least) : undefined;
}
