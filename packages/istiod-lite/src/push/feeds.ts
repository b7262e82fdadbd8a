/**
 * Collections as what the xDS server serves: lookups by name and alias, and news once everything is consistent.
 *
 * A feed tells of a change in its own turn of the scheduler, after the indexes it answers from; so whoever is told
 * may ask at once. Between two types the wire knows no order, and a proxy refuses connections to a workload that names
 * a policy it does not have: so policies are told a moment before workloads, and withdrawn a while after them.
 */
import { AUTHORIZATION_TYPE_URL, decodeAuthorization, Scope } from '@ambit/api/authorization';
import { ADDRESS_TYPE_URL } from '@ambit/api/workload';
import type { Collection, Event } from '@ambit/collections/collection';
import { IndexCollection } from '@ambit/collections/index-by';
import type { Runnable, Scheduler } from '@ambit/collections/scheduler';
import type { Clock } from '@ambit/core/clock';
import type { ClientNode, EncodedResource, FeedChange, ResourceFeed } from '@ambit/xds/resource-feed';
import { POLICIES_FIRST_MS, POLICY_WITHDRAWAL_MS } from '../limits.ts';
import { type AddressEntry, sameResource } from './encode.ts';
import { PendingChange } from './pending-change.ts';

/** Policies. `authorizations` is keyed by resource name. */
export class AuthorizationFeed implements ResourceFeed, Runnable {
  readonly typeUrl = AUTHORIZATION_TYPE_URL;
  readonly urgent = true;
  readonly order: number;
  readonly #authorizations: Collection<string, EncodedResource>;
  readonly #clock: Clock;
  readonly #pending = new PendingChange();
  #justTold = false;

  constructor(scheduler: Scheduler, authorizations: Collection<string, EncodedResource>, clock: Clock) {
    this.order = scheduler.nextOrder();
    this.#authorizations = authorizations;
    this.#clock = clock;
    authorizations.subscribe((events) => {
      for (const event of events) this.#note(event);
      scheduler.schedule(this);
    });
  }

  /** Called by the scheduler. */
  run(): void {
    this.#justTold = true;
    this.#clock.after(0, () => {
      this.#justTold = false;
    });
    this.#pending.tell();
  }

  /** Whether policies were told in this very turn. */
  get justTold(): boolean {
    return this.#justTold;
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
    return this.#pending.subscribe(listener);
  }

  /** A policy that workloads name does nothing once none names it, so its withdrawal can wait until they have heard. */
  #note({ key, previous, value }: Event<string, EncodedResource>): void {
    const named = previous && decodeAuthorization(previous.value).scope === Scope.WORKLOAD_SELECTOR;
    if (value || !named) this.#pending.note(key, value !== undefined);
    else this.#clock.after(POLICY_WITHDRAWAL_MS, () => this.#withdraw(key));
  }

  #withdraw(name: string): void {
    if (this.#authorizations.has(name)) return;
    this.#pending.note(name, false);
    this.#pending.tell();
  }
}

/** Workloads and services. `addresses` is keyed by resource name. */
export class AddressFeed implements ResourceFeed, Runnable {
  readonly typeUrl = ADDRESS_TYPE_URL;
  readonly order: number;
  readonly #addresses: Collection<string, AddressEntry>;
  readonly #byAlias: Collection<string, readonly AddressEntry[]>;
  readonly #byService: Collection<string, readonly AddressEntry[]>;
  readonly #byNode: Collection<string, readonly AddressEntry[]>;
  readonly #policies: AuthorizationFeed;
  readonly #clock: Clock;
  readonly #pending = new PendingChange();

  /**
   * @param byService - By `namespace/hostname`: the workloads that are endpoints of it.
   * @param policies - What workloads name; made before this, so that it tells first.
   */
  constructor(
    scheduler: Scheduler,
    addresses: Collection<string, AddressEntry>,
    byService: Collection<string, readonly AddressEntry[]>,
    policies: AuthorizationFeed,
    clock: Clock,
  ) {
    const index = (name: string, keysOf: (entry: AddressEntry) => readonly string[]) =>
      new IndexCollection({ name: `addresses by ${name}`, scheduler, from: addresses, keysOf });
    this.#addresses = addresses;
    this.#byAlias = index('alias', ({ resource }) => resource.aliases);
    this.#byService = byService;
    this.#byNode = index('node', ({ node }) => (node === '' ? [] : [node]));
    this.#policies = policies;
    this.#clock = clock;
    this.order = scheduler.nextOrder();
    addresses.subscribe((events) => {
      for (const { key, previous, value } of events) {
        // What is not on the wire concerns nobody there.
        const isNews = !previous || !value || !sameResource(previous.resource, value.resource);
        if (isNews) this.#pending.note(key, value !== undefined);
      }
      scheduler.schedule(this);
    });
  }

  /** Called by the scheduler. */
  run(): void {
    if (this.#policies.justTold) this.#clock.after(POLICIES_FIRST_MS, () => this.#pending.tell());
    else this.#pending.tell();
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
    return this.#pending.subscribe(listener);
  }
}
