/** A collection that its owner fills by hand: the sources of a graph, and every test. */
import { MapCollection, type MapCollectionOptions } from './map-collection.ts';

export interface StaticOptions<K, V> extends MapCollectionOptions<V> {
  readonly initial?: Iterable<readonly [K, V]>;
  /** Default true: what `initial` holds is all there was. False: the owner calls {@link StaticCollection.sync}. */
  readonly synced?: boolean;
}

export class StaticCollection<K, V> extends MapCollection<K, V> {
  constructor(options: StaticOptions<K, V>) {
    super(options);
    this.commit(options.initial ?? []);
    if (options.synced ?? true) this.markSynced();
  }

  set(key: K, value: V): void {
    this.commit([[key, value]]);
  }

  delete(key: K): void {
    this.commit([[key, undefined]]);
  }

  /** Several changes as one batch; `undefined` removes. */
  apply(changes: Iterable<readonly [K, V | undefined]>): void {
    this.commit(changes);
  }

  /** Makes `entries` the whole content, in one batch. */
  replace(entries: Iterable<readonly [K, V]>): void {
    const next = new Map(entries);
    const gone = [...this.keys()].filter((key) => !next.has(key));
    this.commit([...gone.map((key) => [key, undefined] as const), ...next]);
  }

  /** Declares that all there was at the start is in. */
  sync(): void {
    this.markSynced();
  }
}
