/**
 * The store under every kind of collection: a map, its listeners, and `commit`, which alone changes the map.
 *
 * Invariant: a listener sees the map as it is after the whole batch, and a batch that changes nothing is not told.
 */
import { type Watch, Watched } from '@ambit/core/watch';
import type { Collection, Event, GraphNode, Listener } from './collection.ts';

export type Equals<V> = (a: V, b: V) => boolean;

export interface MapCollectionOptions<V> {
  readonly name: string;
  readonly inputs?: readonly GraphNode[];
  /** Whether a new value is news. Default: `Object.is`. */
  readonly equals?: Equals<V> | undefined;
}

export abstract class MapCollection<K, V> implements Collection<K, V> {
  readonly name: string;
  readonly inputs: readonly GraphNode[];
  readonly #equals: Equals<V>;
  readonly #values = new Map<K, V>();
  readonly #listeners = new Set<Listener<K, V>>();
  readonly #synced = new Watched(false);

  constructor(options: MapCollectionOptions<V>) {
    this.name = options.name;
    this.inputs = options.inputs ?? [];
    this.#equals = options.equals ?? Object.is;
  }

  get size(): number {
    return this.#values.size;
  }

  get synced(): Watch<boolean> {
    return this.#synced;
  }

  get(key: K): V | undefined {
    return this.#values.get(key);
  }

  has(key: K): boolean {
    return this.#values.has(key);
  }

  keys(): Iterable<K> {
    return this.#values.keys();
  }

  values(): Iterable<V> {
    return this.#values.values();
  }

  entries(): Iterable<readonly [K, V]> {
    return this.#values.entries();
  }

  subscribe(listener: Listener<K, V>): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Makes `changes` true at once (`undefined` removes) and tells the listeners what is new. */
  protected commit(changes: Iterable<readonly [K, V | undefined]>): void {
    const before = new Map<K, V | undefined>();
    for (const [key, value] of changes) {
      const previous = this.#values.get(key);
      if (value === undefined) {
        if (previous === undefined) continue;
        this.#values.delete(key);
      } else {
        if (previous !== undefined && this.#equals(previous, value)) continue;
        this.#values.set(key, value);
      }
      if (!before.has(key)) before.set(key, previous);
    }
    const events: Event<K, V>[] = [];
    for (const [key, previous] of before) {
      const value = this.#values.get(key);
      if (previous !== value) events.push({ key, previous, value });
    }
    if (events.length === 0) return;
    for (const listener of [...this.#listeners]) listener(events);
  }

  protected markSynced(): void {
    if (!this.#synced.value) this.#synced.set(true);
  }
}
