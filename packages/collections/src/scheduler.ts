/**
 * Batches recomputation: the one place in a graph with a queue.
 *
 * A collection that hears of a change asks to be run; runs happen together, soon, each collection at most once per
 * batch and only after everything it is computed from. Order of creation is that order, since a collection can only
 * name inputs that exist already. The queue is bounded by the number of collections.
 */

/** Something that recomputes when asked. */
export interface Runnable {
  readonly order: number;
  run(): void;
}

export interface SchedulerOptions {
  /** How "soon" is arranged. Default: a microtask. */
  readonly defer?: (run: () => void) => void;
  /** A computation threw; its last result stays. */
  readonly onError: (collection: string, key: string, error: unknown) => void;
}

export class Scheduler {
  readonly #defer: (run: () => void) => void;
  readonly #onError: SchedulerOptions['onError'];
  readonly #waiting = new Set<Runnable>();
  #created = 0;
  #flushing = false;
  #deferred = false;

  constructor(options: SchedulerOptions) {
    this.#defer = options.defer ?? queueMicrotask;
    this.#onError = options.onError;
  }

  /** The place of a new collection in the order of runs. */
  nextOrder(): number {
    this.#created += 1;
    return this.#created;
  }

  schedule(item: Runnable): void {
    this.#waiting.add(item);
    if (this.#deferred || this.#flushing) return;
    this.#deferred = true;
    this.#defer(() => {
      this.#deferred = false;
      this.flush();
    });
  }

  forget(item: Runnable): void {
    this.#waiting.delete(item);
  }

  report(collection: string, key: unknown, error: unknown): void {
    this.#onError(collection, String(key), error);
  }

  /** Runs all that wait, now, and whatever they set off. */
  flush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    try {
      for (let next = this.#first(); next; next = this.#first()) {
        this.#waiting.delete(next);
        next.run();
      }
    } finally {
      this.#flushing = false;
    }
  }

  #first(): Runnable | undefined {
    let first: Runnable | undefined;
    for (const item of this.#waiting) if (!first || item.order < first.order) first = item;
    return first;
  }
}
