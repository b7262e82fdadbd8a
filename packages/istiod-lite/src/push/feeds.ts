/**
 * Collections as what the xDS server serves: lookups by name and alias, and news once everything is consistent.
 *
 * A feed tells of a change in its own turn of the scheduler, after the indexes it answers from; so whoever is told
 * may ask at once.
 */
import { AUTHORIZATION_TYPE_URL } from '@ambit/api/authorization';
import { ADDRESS_TYPE_URL } from '@ambit/api/workload';
import type { Collection, Event } from '@ambit/collections/collection';
import { IndexCollection } from '@ambit/collections/index-by';
import type { Runnable, Scheduler } from '@ambit/collections/scheduler';
import type { ClientNode, EncodedResource, FeedChange, ResourceFeed } from '@ambit/xds/resource-feed';
import type { AddressEntry } from './encode.ts';

class ChangeTeller implements Runnable {
  readonly order: number;
  readonly #listeners = new Set<(change: FeedChange) => void>();
  readonly #pending = new Map<string, boolean>();

  constructor(scheduler: Scheduler, from: Collection<string, unknown>) {
    this.order = scheduler.nextOrder();
    from.subscribe((events: readonly Event<string, unknown>[]) => {
      for (const { key, value } of events) this.#pending.set(key, value !== undefined);
      scheduler.schedule(this);
    });
  }

  run(): void {
    const changed = [...this.#pending].filter(([, exists]) => exists).map(([name]) => name);
    const removed = [...this.#pending].filter(([, exists]) => !exists).map(([name]) => name);
    this.#pending.clear();
    if (changed.length + removed.length === 0) return;
    for (const listener of [...this.#listeners]) listener({ changed, removed });
  }

  subscribe(listener: (change: FeedChange) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }
}

/** Workloads and services. `addresses` is keyed by resource name. */
export class AddressFeed implements ResourceFeed {
  readonly typeUrl = ADDRESS_TYPE_URL;
  readonly #addresses: Collection<string, AddressEntry>;
  readonly #byAlias: Collection<string, readonly AddressEntry[]>;
  readonly #byService: Collection<string, readonly AddressEntry[]>;
  readonly #byNode: Collection<string, readonly AddressEntry[]>;
  readonly #teller: ChangeTeller;

  constructor(scheduler: Scheduler, addresses: Collection<string, AddressEntry>) {
    const index = (name: string, keysOf: (entry: AddressEntry) => readonly string[]) =>
      new IndexCollection({ name: `addresses by ${name}`, scheduler, from: addresses, keysOf });
    this.#addresses = addresses;
    this.#byAlias = index('alias', ({ resource }) => resource.aliases);
    this.#byService = index('service', ({ memberOf }) => memberOf);
    this.#byNode = index('node', ({ node }) => (node === '' ? [] : [node]));
    this.#teller = new ChangeTeller(scheduler, addresses);
  }

  *all(): Iterable<EncodedResource> {
    for (const { resource } of this.#addresses.values()) yield resource;
  }

  get(name: string): EncodedResource | undefined {
    return this.#addresses.get(name)?.resource;
  }

  /** By name first, else by alias; a service brings its workloads. */
  resolve(key: string): readonly EncodedResource[] {
    const named = this.#addresses.get(key);
    const found = named ? [named] : (this.#byAlias.get(key) ?? []);
    const members = found.flatMap(({ resource }) => this.#byService.get(resource.name) ?? []);
    return [...new Set([...found, ...members])].map(({ resource }) => resource);
  }

  residents({ metadata }: ClientNode): readonly EncodedResource[] {
    return (this.#byNode.get(metadata['NODE_NAME'] ?? '') ?? []).map(({ resource }) => resource);
  }

  subscribe(listener: (change: FeedChange) => void): Disposable {
    return this.#teller.subscribe(listener);
  }
}

/** Policies. `authorizations` is keyed by resource name. */
export class AuthorizationFeed implements ResourceFeed {
  readonly typeUrl = AUTHORIZATION_TYPE_URL;
  readonly #authorizations: Collection<string, EncodedResource>;
  readonly #teller: ChangeTeller;

  constructor(scheduler: Scheduler, authorizations: Collection<string, EncodedResource>) {
    this.#authorizations = authorizations;
    this.#teller = new ChangeTeller(scheduler, authorizations);
  }

  all(): Iterable<EncodedResource> {
    return this.#authorizations.values();
  }

  get(name: string): EncodedResource | undefined {
    return this.#authorizations.get(name);
  }

  resolve(key: string): readonly EncodedResource[] {
    const resource = this.get(key);
    return resource ? [resource] : [];
  }

  subscribe(listener: (change: FeedChange) => void): Disposable {
    return this.#teller.subscribe(listener);
  }
}
