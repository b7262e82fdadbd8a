/** The last changes, bounded by count and size, so that a watch can go on where it was cut off. */
import type { JsonObject } from '../json.ts';
import type { StorageKey } from '../kinds/resource.ts';
import { HISTORY_BYTES, HISTORY_EVENTS } from '../limits.ts';

export interface Change {
  readonly type: 'added' | 'modified' | 'deleted';
  readonly revision: number;
  readonly resource: StorageKey;
  readonly key: string;
  readonly object: JsonObject;
  readonly previous: JsonObject | undefined;
}

export interface HistoryBounds {
  readonly events: number;
  readonly bytes: number;
}

export class History {
  readonly #bounds: HistoryBounds;
  #changes: Change[] = [];
  #sizes: number[] = [];
  /** Index of the oldest change kept; those before it are dropped now and then. */
  #start = 0;
  #bytes = 0;
  #oldest: number;

  /** @param revision - The last change before this history: a watch may resume from there on. */
  constructor(revision: number, bounds: HistoryBounds = { events: HISTORY_EVENTS, bytes: HISTORY_BYTES }) {
    this.#oldest = revision;
    this.#bounds = bounds;
  }

  /** The oldest resourceVersion from which every later change is known. */
  get oldest(): number {
    return this.#oldest;
  }

  add(change: Change): void {
    const size = approximateBytes(change.object);
    this.#changes.push(change);
    this.#sizes.push(size);
    this.#bytes += size;
    while (
      this.#changes.length - this.#start > this.#bounds.events ||
      (this.#bytes > this.#bounds.bytes && this.#changes.length - this.#start > 1)
    ) {
      this.#bytes -= this.#sizes[this.#start] ?? 0;
      this.#oldest = this.#changes[this.#start]?.revision ?? this.#oldest;
      this.#start += 1;
    }
    if (this.#start < 1_024 || this.#start < this.#changes.length / 2) return;
    this.#changes = this.#changes.slice(this.#start);
    this.#sizes = this.#sizes.slice(this.#start);
    this.#start = 0;
  }

  /** The first change of `resource` after `revision`; `'none'` there is, or `'lost'`: it may have been forgotten. */
  next(revision: number, resource: StorageKey): Change | 'none' | 'lost' {
    if (revision < this.#oldest) return 'lost';
    for (let i = this.#indexAfter(revision); i < this.#changes.length; i++) {
      const change = this.#changes[i];
      if (change?.resource === resource) return change;
    }
    return 'none';
  }

  /** Where the changes after `revision` begin: they are in the order of their numbers. */
  #indexAfter(revision: number): number {
    let [low, high] = [this.#start, this.#changes.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#changes[middle]?.revision ?? 0) > revision) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** Cheap, and near enough for a bound: the text and the keys in a value. */
function approximateBytes(value: JsonObject): number {
  let bytes = 0;
  const pending: unknown[] = [value];
  while (pending.length > 0) {
    const next = pending.pop();
    if (typeof next === 'string') bytes += next.length + 2;
    else if (typeof next === 'object' && next !== null) {
      bytes += 8;
      for (const [key, child] of Object.entries(next)) {
        bytes += key.length + 3;
        pending.push(child);
      }
    } else bytes += 8;
  }
  return bytes;
}
