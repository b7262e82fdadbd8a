/**
 * The objects, in memory, with a history of their changes.
 *
 * One counter numbers all changes; an object's resourceVersion is the number of its last one. A write is synchronous,
 * so what was read and what is written cannot have another write between them. Every stored object is immutable.
 * The journal, if there is one, has a change before anybody sees it.
 */
import { LimitError } from '@ambit/core/errors';
import { type JsonObject, objectAt } from '../json.ts';
import type { StorageKey } from '../kinds/resource.ts';
import { OBJECTS } from '../limits.ts';
import { uidOf } from '../object.ts';
import { type Change, History } from './history.ts';

/** Where changes go before they count. May throw; then the change does not happen. */
export interface ChangeLog {
  append(change: Change): void;
}

export interface StoreState {
  readonly revision: number;
  readonly objects: Iterable<{
    readonly resource: StorageKey;
    readonly key: string;
    readonly object: JsonObject;
  }>;
}

type Listener = (change: Change) => void;

/** `namespace/name`, or the bare name of an object that is in no namespace. */
export const objectKey = (namespace: string, name: string): string =>
  namespace === '' ? name : `${namespace}/${name}`;

export class ObjectStore {
  readonly #objects = new Map<StorageKey, Map<string, JsonObject>>();
  readonly #byUid = new Map<string, { readonly resource: StorageKey; readonly key: string }>();
  readonly #listeners = new Set<Listener>();
  readonly #log: ChangeLog | undefined;
  readonly history: History;
  #revision: number;
  #count = 0;

  /** @param initial - What was stored before; history starts after it. */
  constructor(initial: StoreState, log?: ChangeLog) {
    this.#revision = initial.revision;
    this.#log = log;
    this.history = new History(initial.revision);
    for (const { resource, key, object } of initial.objects) this.#put(resource, key, object);
  }

  get revision(): number {
    return this.#revision;
  }

  get count(): number {
    return this.#count;
  }

  get(resource: StorageKey, key: string): JsonObject | undefined {
    return this.#objects.get(resource)?.get(key);
  }

  /** In the order of their keys, as Kubernetes lists. */
  list(resource: StorageKey, namespace?: string): readonly JsonObject[] {
    const objects = this.#objects.get(resource);
    if (!objects) return [];
    const prefix = namespace === undefined ? '' : `${namespace}/`;
    return [...objects.keys()]
      .filter((key) => key.startsWith(prefix))
      .sort()
      .map((key) => objects.get(key))
      .filter((object) => object !== undefined);
  }

  /** The resources that have objects. */
  resources(): readonly StorageKey[] {
    return [...this.#objects].filter(([, objects]) => objects.size > 0).map(([resource]) => resource);
  }

  findUid(uid: string): { readonly resource: StorageKey; readonly key: string } | undefined {
    return this.#byUid.get(uid);
  }

  /**
   * Stores `object` in place of what is there, with a new resourceVersion.
   *
   * @returns the object as stored.
   * @throws {@link LimitError} when there is no place for one more.
   */
  put(resource: StorageKey, key: string, object: JsonObject): JsonObject {
    const previous = this.get(resource, key);
    if (!previous && this.#count >= OBJECTS) throw new LimitError('objects stored', OBJECTS, 'objects');
    const revision = this.#revision + 1;
    const stored: JsonObject = {
      ...object,
      metadata: { ...objectAt(object, 'metadata'), resourceVersion: String(revision) },
    };
    this.#commit({
      type: previous ? 'modified' : 'added',
      revision,
      resource,
      key,
      object: stored,
      previous,
    });
    return stored;
  }

  /** @returns the object as it was, with the resourceVersion of its deletion. */
  remove(resource: StorageKey, key: string): JsonObject | undefined {
    const previous = this.get(resource, key);
    if (!previous) return undefined;
    const revision = this.#revision + 1;
    const last: JsonObject = {
      ...previous,
      metadata: { ...objectAt(previous, 'metadata'), resourceVersion: String(revision) },
    };
    this.#commit({ type: 'deleted', revision, resource, key, object: last, previous });
    return last;
  }

  /** Calls `listener` after every change, in order. It must not write synchronously. */
  subscribe(listener: Listener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Everything, for a snapshot. */
  state(): StoreState {
    const objects = [...this.#objects].flatMap(([resource, byKey]) =>
      [...byKey].map(([key, object]) => ({ resource, key, object })),
    );
    return { revision: this.#revision, objects };
  }

  #commit(change: Change): void {
    this.#log?.append(change);
    this.#revision = change.revision;
    if (change.type === 'deleted') this.#drop(change.resource, change.key);
    else this.#put(change.resource, change.key, change.object);
    this.history.add(change);
    for (const listener of [...this.#listeners]) listener(change);
  }

  #put(resource: StorageKey, key: string, object: JsonObject): void {
    let objects = this.#objects.get(resource);
    if (!objects) {
      objects = new Map();
      this.#objects.set(resource, objects);
    }
    const before = objects.get(key);
    if (before) this.#byUid.delete(uidOf(before));
    else this.#count += 1;
    objects.set(key, object);
    this.#byUid.set(uidOf(object), { resource, key });
  }

  #drop(resource: StorageKey, key: string): void {
    const objects = this.#objects.get(resource);
    const before = objects?.get(key);
    if (!before) return;
    objects?.delete(key);
    this.#byUid.delete(uidOf(before));
    this.#count -= 1;
  }
}
