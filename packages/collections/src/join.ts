/** Several collections with keys of one kind shown as one: for a key that more than one has, the earliest decides. */
import type { Collection } from './collection.ts';
import { type Equals, MapCollection } from './map-collection.ts';

export interface JoinOptions<K, V> {
  readonly name: string;
  readonly from: readonly Collection<K, V>[];
  /** What shows for a key; `values` are those that exist, in the order of `from`, at least one. Default: the first. */
  readonly merge?: (values: readonly V[], key: K) => V | undefined;
  readonly equals?: Equals<V>;
}

/** Needs no scheduler: a change of a part is one change of the whole, at once. */
export class JoinedCollection<K, V> extends MapCollection<K, V> implements Disposable {
  readonly #options: JoinOptions<K, V>;
  readonly #subscriptions = new DisposableStack();

  constructor(options: JoinOptions<K, V>) {
    const { name, from, equals } = options;
    super({ name, inputs: from, equals });
    this.#options = options;
    const sync = () => {
      if (from.every((part) => part.synced.value)) this.markSynced();
    };
    for (const part of from) {
      this.#subscriptions.use(part.subscribe((events) => this.#show(events.map(({ key }) => key))));
      this.#subscriptions.use(part.synced.subscribe(sync));
    }
    this.#show(new Set(from.flatMap((part) => [...part.keys()])));
    sync();
  }

  [Symbol.dispose](): void {
    this.#subscriptions.dispose();
  }

  #show(keys: Iterable<K>): void {
    const { from, merge = (values: readonly V[]) => values[0] } = this.#options;
    const shown = (key: K): V | undefined => {
      const values = from
        .map((part) => part.get(key))
        .filter((value): value is V & {} => value !== undefined);
      return values.length === 0 ? undefined : merge(values, key);
    };
    this.commit([...keys].map((key) => [key, shown(key)] as const));
  }
}
