/**
 * Allots addresses to hosts of ServiceEntries that name none, in the status of the entry; by one replica.
 *
 * What was allotted is read back from the statuses, so a new leader goes on where the last one stopped. A patch holds only
 * if the status is still what the decision was made on; else it is made anew.
 */
import type { Collection } from '@ambit/collections/collection';
import type { Clock, Random } from '@ambit/core/clock';
import { type Cidr, type Family, familyOf } from '@ambit/core/ip';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import { isNotFound } from '@ambit/kube/errors';
import { type ServiceEntry, serviceEntries } from '@ambit/kube/resources/networking';
import { AddressPool } from '../decide/address-pool.ts';
import { allotment, allotmentPatch } from '../decide/allotment.ts';
import { KeyedWorker } from '../keyed-worker.ts';
import type { CheckedEntry } from '../translate/service-entry.ts';
import type { MeshSettings } from '../translate/settings.ts';

export interface AddressAllotterOptions {
  readonly client: KubeClient;
  readonly settings: Pick<MeshSettings, 'ipAutoallocate'>;
  readonly ipv4Block: Cidr;
  readonly ipv6Block: Cidr;
  /** All by `namespace/name`. */
  readonly entries: Collection<string, ServiceEntry>;
  readonly checked: Collection<string, CheckedEntry>;
  /** By address: who names it, or was allotted it. */
  readonly claims: Collection<string, readonly CheckedEntry[]>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class AddressAllotter implements AsyncDisposable {
  readonly #options: AddressAllotterOptions;
  readonly #log: Logger;
  readonly #pools: Readonly<Record<Family, AddressPool>>;
  readonly #worker: KeyedWorker;
  /** By key: the version of the object that was patched, and with what, until the watch shows a later one. */
  readonly #patched = new Map<string, Patched>();
  /** Keys of entries for which none was left. */
  readonly #lacking = new Set<string>();
  readonly #scope = new AsyncDisposableStack();

  constructor(options: AddressAllotterOptions) {
    const { checked, claims, ipv4Block, ipv6Block, clock, random } = options;
    this.#options = options;
    this.#log = options.log.scope('addresses');
    this.#pools = { 4: new AddressPool(ipv4Block), 6: new AddressPool(ipv6Block) };
    const work = (key: string, signal: AbortSignal) => this.#allot(key, signal);
    this.#worker = this.#scope.use(
      new KeyedWorker({ name: 'address allotment', work, clock, random, log: this.#log }),
    );
    // A moment later: what is claimed changes in the same turn as the entries, and after them.
    const look = (keys: Iterable<string>) => {
      const all = [...keys];
      queueMicrotask(() => {
        for (const key of all) this.#worker.add(key);
      });
    };
    // One that another entry has more right to is given up by whoever had it.
    this.#scope.use(
      claims.subscribe((events) => {
        const freed = events.filter(({ value }) => value === undefined).map(({ key }) => key);
        for (const ip of freed) this.#pools[familyOf(ip)].release(ip);
        look(events.flatMap(({ value = [] }) => (value.length > 1 ? value.map(keyOf) : [])));
        if (freed.length > 0) look(this.#lacking);
      }),
    );
    this.#scope.use(checked.subscribe((events) => look(events.map(({ key }) => key))));
    // The oldest first: it has the most right to what it has.
    look([...checked.values()].toSorted((a, b) => (a.createdAt < b.createdAt ? -1 : 1)).map(keyOf));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.disposeAsync();
  }

  async #allot(key: string, signal: AbortSignal): Promise<void> {
    const { client, settings, entries, checked, claims } = this.#options;
    this.#lacking.delete(key);
    const object = entries.get(key);
    const entry = checked.get(key);
    const patched = this.#patched.get(key);
    if (!object || !entry) {
      // It may be gone before anybody saw what it got.
      for (const ip of patched?.taken ?? []) if (!claims.has(ip)) this.#pools[familyOf(ip)].release(ip);
      return void this.#patched.delete(key);
    }
    const { name, namespace, resourceVersion } = object.metadata;
    if (patched && patched.version === resourceVersion) return;
    const taken: string[] = [];
    const addresses = allotment(entry, {
      settings,
      claimants: (ip) => claims.get(ip) ?? [],
      take: (family) => {
        const ip = this.#pools[family].take((candidate) => claims.has(candidate));
        if (ip === undefined) {
          this.#log.error('no address is left', { block: String(this.#pools[family]), entry: key });
          this.#lacking.add(key);
        } else taken.push(ip);
        return ip;
      },
    });
    if (!addresses) return;
    const patch = { type: 'json', body: allotmentPatch(object.status, addresses) } as const;
    try {
      await client.patch(serviceEntries, { name, namespace }, patch, { subresource: 'status' }, signal);
      this.#patched.set(key, { version: resourceVersion, taken });
      this.#log.info('addresses allotted', { entry: key, addresses: addresses.length });
    } catch (error) {
      for (const ip of taken.reverse()) this.#pools[familyOf(ip)].giveBack(ip);
      if (!isNotFound(error)) throw error;
    }
  }
}

interface Patched {
  readonly version: string | undefined;
  readonly taken: readonly string[];
}

function keyOf({ namespace, name }: CheckedEntry): string {
  return `${namespace}/${name}`;
}
