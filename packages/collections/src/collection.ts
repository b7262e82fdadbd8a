/**
 * What a collection is: values under keys that somebody keeps current, and news of every change.
 *
 * Whoever wants to follow one reads it first and subscribes in the same turn of the event loop: `subscribe` tells only
 * of what comes after. Values are never changed in place; a changed value is another object. `undefined` is no value.
 */
import type { Watch } from '@ambit/core/watch';

/** One key's change. `previous` is `undefined` if the key is new, `value` is `undefined` if it is gone. */
export interface Event<K, V> {
  readonly key: K;
  readonly previous: V | undefined;
  readonly value: V | undefined;
}

export type Listener<K, V> = (events: readonly Event<K, V>[]) => void;

/** What the graph of collections is made of, whatever its types; see dump.ts. */
export interface GraphNode {
  /** Short, stable and unique in a graph: heads log lines and the dump. */
  readonly name: string;
  readonly size: number;
  /** True once everything that was there at the start has been seen; never turns false again. */
  readonly synced: Watch<boolean>;
  /** The collections that this one is computed from; empty for a source. */
  readonly inputs: readonly GraphNode[];
}

export interface Collection<K, V> extends GraphNode {
  get(key: K): V | undefined;
  has(key: K): boolean;
  keys(): Iterable<K>;
  values(): Iterable<V>;
  entries(): Iterable<readonly [K, V]>;

  /**
   * Calls `listener` with each batch of changes, after all of them are visible here, until disposed of. A key occurs
   * once in a batch. Other collections of the same graph may still be about to change.
   */
  subscribe(listener: Listener<K, V>): Disposable;
}
