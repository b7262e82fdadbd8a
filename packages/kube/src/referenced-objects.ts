/**
 * Objects that others refer to by name, followed for as long as anybody does: a cluster without such references is not
 * asked for its thousands of ConfigMaps.
 *
 * A key that is referred to and not here is not known yet; one that is known not to exist is here without an object.
 */
import type { Collection } from '@ambit/collections/collection';
import { MapCollection } from '@ambit/collections/map-collection';
import type { KubeObject } from './resource.ts';

export interface Referenced<T> {
  readonly object: T | undefined;
}

export interface ReferencedObjectsOptions<T> {
  readonly name: string;
  /** By key of what is referred to. */
  readonly references: Collection<string, unknown>;
  /** Starts following all that may be referred to. */
  readonly follow: () => Collection<string, T> & AsyncDisposable;
}

export class ReferencedObjects<T extends KubeObject>
  extends MapCollection<string, Referenced<T>>
  implements AsyncDisposable
{
  readonly #options: ReferencedObjectsOptions<T>;
  readonly #subscriptions = new DisposableStack();
  #followed: Followed<T> | undefined;
  #stopping: Promise<void> = Promise.resolve();

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
    this.#stop();
    await this.#stopping;
  }

  #settle(keys: Iterable<string>): void {
    const { references } = this.#options;
    if (references.size > 0) this.#followed ??= this.#start();
    else this.#stop();
    const objects = this.#followed?.objects;
    const isKnown = objects?.synced.value === true;
    this.commit(
      [...keys].map((key) => [
        key,
        isKnown && references.has(key) ? { object: objects.get(key) } : undefined,
      ]),
    );
    if (references.synced.value && (references.size === 0 || isKnown)) this.markSynced();
  }

  #start(): Followed<T> {
    const { references, follow } = this.#options;
    const subscriptions = new DisposableStack();
    const objects = follow();
    subscriptions.use(objects.subscribe((events) => this.#settle(events.map(({ key }) => key))));
    subscriptions.use(objects.synced.subscribe(() => this.#settle(references.keys())));
    return { objects, subscriptions };
  }

  #stop(): void {
    const followed = this.#followed;
    if (!followed) return;
    this.#followed = undefined;
    followed.subscriptions.dispose();
    const stopped = this.#stopping;
    this.#stopping = (async () => {
      await stopped;
      await followed.objects[Symbol.asyncDispose]();
    })();
  }
}

interface Followed<T> {
  readonly objects: Collection<string, T> & AsyncDisposable;
  readonly subscriptions: DisposableStack;
}
