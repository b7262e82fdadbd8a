/**
 * A collection computed from another one, value by value, with an eye on others.
 *
 * `compute` is a pure function of a value and of what it fetches. It runs again for a key when that key's value changes
 * or when something it fetched does, so one changed pod costs one computation. It first runs when every input is
 * synced: nobody sees a result made from half a world. A computation that throws is reported, and its last good
 * result stays.
 */
import type { Collection, Event, GraphNode } from './collection.ts';
import { Dependencies, type Fetch } from './fetch.ts';
import { type Equals, MapCollection } from './map-collection.ts';
import type { Runnable, Scheduler } from './scheduler.ts';

export interface DerivedOptions<K, V, K2, V2> {
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly from: Collection<K, V>;
  /** Everything else that `compute` fetches from. */
  readonly inputs?: readonly GraphNode[];
  /** What becomes of one value: any number of entries. When two sources make the same key, the earlier one shows. */
  readonly compute: (value: V, key: K, fetch: Fetch) => Iterable<readonly [K2, V2]>;
  /** Whether a result is news. Default: `Object.is`. */
  readonly equals?: Equals<V2>;
}

export class DerivedCollection<K, V, K2, V2> extends MapCollection<K2, V2> implements Runnable, Disposable {
  readonly order: number;
  readonly #options: DerivedOptions<K, V, K2, V2>;
  readonly #dependencies: Dependencies<K>;
  readonly #subscriptions = new DisposableStack();
  /** What each source key has made. */
  readonly #made = new Map<K, Made<K2, V2>>();
  /** Which source keys made a key, earliest first; kept only where there is more than one, else the one. */
  readonly #makers = new Map<K2, readonly K[]>();
  #dirty = new Set<K>();
  #started = false;

  constructor(options: DerivedOptions<K, V, K2, V2>) {
    const { name, scheduler, from, inputs = [], equals } = options;
    super({ name, inputs: [from, ...inputs], equals });
    this.order = scheduler.nextOrder();
    this.#options = options;
    this.#dependencies = new Dependencies(name, [from, ...inputs]);
    this.#subscriptions.use(from.subscribe((events) => this.#mark(events.map(({ key }) => key))));
    for (const input of new Set<GraphNode>(inputs)) this.#follow(input as Collection<unknown, unknown>);
    for (const input of this.inputs) {
      this.#subscriptions.use(input.synced.subscribe(() => scheduler.schedule(this)));
    }
    scheduler.schedule(this);
  }

  /** Called by the scheduler. */
  run(): void {
    if (!this.#started) {
      if (!this.inputs.every((input) => input.synced.value)) return;
      this.#started = true;
      this.#dirty = new Set(this.#options.from.keys());
    }
    const dirty = this.#dirty;
    this.#dirty = new Set();
    const touched = new Set<K2>();
    for (const key of dirty) this.#recompute(key, touched);
    this.commit([...touched].map((key) => [key, this.#shown(key)] as const));
    this.markSynced();
  }

  [Symbol.dispose](): void {
    this.#subscriptions.dispose();
    this.#options.scheduler.forget(this);
  }

  #follow(input: Collection<unknown, unknown>): void {
    const affected = (events: readonly Event<unknown, unknown>[]) => {
      this.#mark(events.flatMap((event) => [...this.#dependencies.affected(input, event)]));
    };
    this.#subscriptions.use(input.subscribe(affected));
  }

  #mark(keys: readonly K[]): void {
    if (keys.length === 0 || !this.#started) return;
    for (const key of keys) this.#dirty.add(key);
    this.#options.scheduler.schedule(this);
  }

  #recompute(key: K, touched: Set<K2>): void {
    const made = this.#compute(key);
    if (!made) return;
    const before: Made<K2, V2> = this.#made.get(key) ?? [];
    for (const [old] of before) {
      touched.add(old);
      if (!entryOf(made, old)) this.#unlink(old, key);
    }
    for (const [name] of made) {
      touched.add(name);
      if (!entryOf(before, name)) this.#makers.set(name, [...(this.#makers.get(name) ?? []), key]);
    }
    const isEmpty = made[Symbol.iterator]().next().done;
    if (isEmpty) this.#made.delete(key);
    else this.#made.set(key, made);
  }

  #compute(key: K): Made<K2, V2> | undefined {
    const { from, compute, name, scheduler } = this.#options;
    const value = from.get(key);
    if (value === undefined) {
      this.#dependencies.forget(key);
      return [];
    }
    const fetch = this.#dependencies.fresh(key);
    try {
      return madeOf([...compute(value, key, fetch)]);
    } catch (error) {
      scheduler.report(name, key, error);
      return undefined;
    }
  }

  #unlink(made: K2, maker: K): void {
    const rest = (this.#makers.get(made) ?? []).filter((key) => key !== maker);
    if (rest.length > 0) this.#makers.set(made, rest);
    else this.#makers.delete(made);
  }

  #shown(key: K2): V2 | undefined {
    const maker = this.#makers.get(key)?.[0];
    return maker === undefined ? undefined : entryOf(this.#made.get(maker) ?? [], key)?.[1];
  }
}

/** What one source key has made: mostly one entry, for which a Map would be several times its size. */
type Made<K2, V2> = ReadonlyMap<K2, V2> | readonly (readonly [K2, V2])[];

const MAX_LISTED_ENTRIES = 8;

function madeOf<K2, V2>(entries: readonly (readonly [K2, V2])[]): Made<K2, V2> {
  if (entries.length < 2) return entries;
  const byKey = new Map(entries);
  return byKey.size > MAX_LISTED_ENTRIES ? byKey : [...byKey];
}

function entryOf<K2, V2>(made: Made<K2, V2>, key: K2): readonly [K2, V2] | undefined {
  if (!(made instanceof Map)) return (made as readonly (readonly [K2, V2])[]).find(([name]) => name === key);
  return made.has(key) ? [key, made.get(key) as V2] : undefined;
}

/** One value from one value under the same key; `undefined` leaves it out. */
export function derivedValues<K, V, V2>(
  options: Omit<DerivedOptions<K, V, K, V2>, 'compute'> & {
    readonly compute: (value: V, key: K, fetch: Fetch) => V2 | undefined;
  },
): DerivedCollection<K, V, K, V2> {
  const { compute, ...rest } = options;
  return new DerivedCollection<K, V, K, V2>({
    ...rest,
    compute: (value, key, fetch) => {
      const made = compute(value, key, fetch);
      return made === undefined ? [] : [[key, made]];
    },
  });
}
