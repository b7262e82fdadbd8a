/**
 * The values of a collection grouped under keys of their own: pods by node, services by namespace.
 *
 * A group is a fresh array after each change of one of its members, made once per batch; an empty group is no group.
 */
import type { Collection, Event } from './collection.ts';
import { MapCollection } from './map-collection.ts';
import type { Runnable, Scheduler } from './scheduler.ts';

export interface IndexOptions<K, V> {
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly from: Collection<K, V>;
  /** The groups that a value belongs to: a function of the value, asked again when it leaves. */
  readonly keysOf: (value: V, key: K) => Iterable<string>;
}

export class IndexCollection<K, V>
  extends MapCollection<string, readonly V[]>
  implements Runnable, Disposable
{
  readonly order: number;
  readonly #options: IndexOptions<K, V>;
  readonly #subscriptions = new DisposableStack();
  readonly #members = new Map<string, Map<K, V>>();
  readonly #touched = new Set<string>();

  constructor(options: IndexOptions<K, V>) {
    const { name, scheduler, from } = options;
    super({ name, inputs: [from] });
    this.order = scheduler.nextOrder();
    this.#options = options;
    this.#subscriptions.use(from.subscribe((events) => this.#follow(events)));
    this.#subscriptions.use(from.synced.subscribe(() => scheduler.schedule(this)));
    this.#follow([...from.entries()].map(([key, value]) => ({ key, previous: undefined, value })));
    scheduler.schedule(this);
  }

  /** Called by the scheduler. */
  run(): void {
    const touched = [...this.#touched];
    this.#touched.clear();
    this.commit(touched.map((group) => [group, this.#group(group)] as const));
    if (this.#options.from.synced.value) this.markSynced();
  }

  [Symbol.dispose](): void {
    this.#subscriptions.dispose();
    this.#options.scheduler.forget(this);
  }

  #follow(events: readonly Event<K, V>[]): void {
    for (const { key, previous, value } of events) {
      const groups = this.#groupsOf(key, value);
      for (const group of this.#groupsOf(key, previous)) if (!groups.has(group)) this.#leave(group, key);
      if (value !== undefined) for (const group of groups) this.#enter(group, key, value);
    }
    this.#options.scheduler.schedule(this);
  }

  #groupsOf(key: K, value: V | undefined): ReadonlySet<string> {
    return new Set(value === undefined ? [] : this.#options.keysOf(value, key));
  }

  #enter(group: string, key: K, value: V): void {
    this.#touched.add(group);
    const members = this.#members.get(group);
    if (members) members.set(key, value);
    else this.#members.set(group, new Map([[key, value]]));
  }

  #leave(group: string, key: K): void {
    this.#touched.add(group);
    const members = this.#members.get(group);
    members?.delete(key);
    if (members?.size === 0) this.#members.delete(group);
  }

  #group(group: string): readonly V[] | undefined {
    const members = this.#members.get(group);
    return members && [...members.values()];
  }
}
