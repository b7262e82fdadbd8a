/**
 * Objects that others refer to by name, followed for as long as anybody does: each by itself, so that a cluster is not asked
 * for its thousands of ConfigMaps because of one; and all there are once there are more references than is worth a watch
 * each.
 *
 * A key that is referred to and not here is not known yet; one that is known not to exist is here without an object.
 */
import type { Collection } from '@ambit/collections/collection';
import { MapCollection } from '@ambit/collections/map-collection';
import { FEW_REFERENCES, MAX_FOLLOWED_REFERENCES } from './limits.ts';
import type { KubeObject } from './resource.ts';

export interface Referenced<T> {
  readonly object: T | undefined;
}

export interface ReferencedObjectsOptions<T> {
  readonly name: string;
  /** By key of what is referred to. */
  readonly references: Collection<string, unknown>;
  /**
   * Whether an object of that key can exist. Whoever refers may have written anything: to follow what no object can be called
   * would fail for ever, and nothing would be in sync with it.
   */
  readonly mayExist: (key: string) => boolean;
  /** Starts following the object of that key; `undefined`: all that may be referred to. */
  readonly follow: (key: string | undefined) => Collection<string, T> & AsyncDisposable;
}

export class ReferencedObjects<T extends KubeObject>
  extends MapCollection<string, Referenced<T>>
  implements AsyncDisposable
{
  readonly #options: ReferencedObjectsOptions<T>;
  readonly #subscriptions = new DisposableStack();
  readonly #each = new Map<string, Followed<T>>();
  #all: Followed<T> | undefined;
  #stopping: Promise<unknown> = Promise.resolve();

  constructor(options: ReferencedObjectsOptions<T>) {
    const { name, references } = options;
    super({ name, inputs: [references], equals: (a, b) => a.object === b.object });
    this.#options = options;
    this.#subscriptions.use(references.subscribe((events) => this.#settle(events.map(({ key }) => key))));
    this.#subscriptions.use(references.synced.subscribe(() => this.#settle([])));
    this.#settle(references.keys());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscriptions.dispose();
    this.#stopEach();
    this.#stopAll();
    await this.#stopping;
  }

  /** Follows what has to be followed, and tells of these keys what is known. */
  #settle(keys: Iterable<string>): void {
    const { references, mayExist } = this.#options;
    const { size } = references;
    if (size > MAX_FOLLOWED_REFERENCES) this.#all ??= this.#start(undefined);
    else if (size <= FEW_REFERENCES) this.#stopAll();
    const changed = [...keys];
    const own = this.#all ? changed : [...changed, ...references.keys()];
    for (const key of own) {
      if (!references.has(key)) this.#stopOne(key);
      else if (!this.#all && !this.#each.has(key) && mayExist(key)) this.#each.set(key, this.#start(key));
    }
    this.commit(changed.map((key) => [key, references.has(key) ? this.#known(key) : undefined]));
    // Until then what was followed by itself is what is known.
    if (this.#all?.objects.synced.value) this.#stopEach();
    const areKnown = () => [...references.keys()].every((key) => this.#known(key));
    if (!this.synced.value && references.synced.value && areKnown()) this.markSynced();
  }

  #known(key: string): Referenced<T> | undefined {
    if (!this.#options.mayExist(key)) return { object: undefined };
    for (const followed of [this.#all, this.#each.get(key)])
      if (followed?.objects.synced.value) return { object: followed.objects.get(key) };
    return undefined;
  }

  #start(key: string | undefined): Followed<T> {
    const { references, follow } = this.#options;
    const subscriptions = new DisposableStack();
    const objects = follow(key);
    subscriptions.use(
      objects.subscribe((events) => {
        // What is told before that is half of a first list.
        if (objects.synced.value) this.#settle(events.map((event) => event.key));
      }),
    );
    subscriptions.use(
      objects.synced.subscribe(() => this.#settle(key === undefined ? references.keys() : [key])),
    );
    return { objects, subscriptions };
  }

  #stopEach(): void {
    for (const key of this.#each.keys()) this.#stopOne(key);
  }

  #stopOne(key: string): void {
    const followed = this.#each.get(key);
    this.#each.delete(key);
    if (followed) this.#stop(followed);
  }

  #stopAll(): void {
    const followed = this.#all;
    this.#all = undefined;
    if (followed) this.#stop(followed);
  }

  #stop({ objects, subscriptions }: Followed<T>): void {
    subscriptions.dispose();
    this.#stopping = Promise.all([this.#stopping, objects[Symbol.asyncDispose]()]);
  }
}

interface Followed<T> {
  readonly objects: Collection<string, T> & AsyncDisposable;
  readonly subscriptions: DisposableStack;
}
