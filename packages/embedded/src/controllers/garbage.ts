/**
 * Deletes what nobody owns any more: an object all of whose owners are gone goes too.
 *
 * An owner that is deleted in the foreground waits for its dependents; one that orphans them lets them go first.
 */
import { clone, isObject, type JsonObject, listAt, objectAt } from '../json.ts';
import type { Resource, StorageKey } from '../kinds/resource.ts';
import { finalizersOf, isTerminating, nameOf, namespaceOf, ownersOf, uidOf } from '../object.ts';
import type { Context } from '../objects/context.ts';
import { deleteObject, FOREGROUND, ORPHAN } from '../objects/delete.ts';
import { updateObject } from '../objects/update.ts';
import { systemOptions, unless } from './namespaces.ts';
import { WorkQueue } from './work-queue.ts';

interface Place {
  readonly resource: StorageKey;
  readonly key: string;
}

export class GarbageCollector implements Disposable {
  readonly #context: Context;
  /** Objects by the uid of an owner that they name. */
  readonly #dependents = new Map<string, Map<string, Place>>();
  readonly #queue: WorkQueue;
  readonly #subscription: Disposable;

  constructor(context: Context) {
    this.#context = context;
    const { clock, random, log, store } = context;
    this.#queue = new WorkQueue((key) => this.#sync(key), clock, random, log.scope('garbage'));
    this.#subscription = store.subscribe(({ type, resource, key, object, previous }) => {
      const place = { resource, key };
      if (previous) this.#unlink(previous, place);
      if (type === 'deleted') this.#released(object);
      else this.#link(object, place);
      if (type === 'deleted') for (const owner of ownersOf(object)) this.#addOwner(owner.uid);
    });
    for (const { resource, key, object } of store.state().objects) this.#link(object, { resource, key });
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#queue.stop();
  }

  #link(object: JsonObject, place: Place): void {
    const owners = ownersOf(object);
    for (const { uid } of owners) {
      const dependents = this.#dependents.get(uid) ?? new Map<string, Place>();
      dependents.set(placeText(place), place);
      this.#dependents.set(uid, dependents);
    }
    const waits =
      isTerminating(object) && finalizersOf(object).some((each) => each === FOREGROUND || each === ORPHAN);
    if (owners.length > 0 || waits) this.#queue.add(placeText(place));
  }

  #unlink(object: JsonObject, place: Place): void {
    for (const { uid } of ownersOf(object)) {
      const dependents = this.#dependents.get(uid);
      dependents?.delete(placeText(place));
      if (dependents?.size === 0) this.#dependents.delete(uid);
    }
  }

  /** An owner is gone: those that named it are looked at. */
  #released(owner: JsonObject): void {
    for (const place of this.#dependents.get(uidOf(owner))?.values() ?? []) this.#queue.add(placeText(place));
  }

  /** A dependent is gone: its owner may be waiting for that. */
  #addOwner(uid: string): void {
    const place = this.#context.store.findUid(uid);
    if (place) this.#queue.add(placeText(place));
  }

  async #sync(text: string): Promise<void> {
    const place = placeOf(text);
    const { store, registry } = this.#context;
    const object = store.get(place.resource, place.key);
    const resource = registry.byStorageKey(place.resource);
    if (!object || !resource) return;
    if (isTerminating(object)) return await this.#finishOwner(resource, object);
    const owners = ownersOf(object);
    if (owners.length === 0) return;
    const living = owners.filter(({ uid, apiVersion, kind }) => {
      // Of a kind that nobody serves, nobody knows whether it lives.
      if (!registry.byKind(apiVersion, kind)) return true;
      const found = store.findUid(uid);
      const owner = found && store.get(found.resource, found.key);
      return owner !== undefined && !(isTerminating(owner) && finalizersOf(owner).includes(FOREGROUND));
    });
    if (living.length === 0) await this.#delete(resource, object);
    else if (living.length < owners.length)
      await this.#forget(resource, object, new Set(living.map(({ uid }) => uid)));
  }

  async #finishOwner(resource: Resource, owner: JsonObject): Promise<void> {
    const finalizers = finalizersOf(owner);
    const dependents = [...(this.#dependents.get(uidOf(owner))?.values() ?? [])];
    if (finalizers.includes(ORPHAN)) {
      for (const place of dependents) {
        const dependent = this.#context.store.get(place.resource, place.key);
        const kind = this.#context.registry.byStorageKey(place.resource);
        if (!dependent || !kind) continue;
        const others = ownersOf(dependent).map(({ uid }) => uid);
        await this.#forget(kind, dependent, new Set(others.filter((uid) => uid !== uidOf(owner))));
      }
      await this.#dropFinalizer(resource, owner, ORPHAN);
    } else if (finalizers.includes(FOREGROUND)) {
      for (const place of dependents) this.#queue.add(placeText(place));
      const blocking = dependents.some((place) => {
        const dependent = this.#context.store.get(place.resource, place.key);
        return (
          dependent &&
          ownersOf(dependent).some(
            ({ uid, blockOwnerDeletion }) => uid === uidOf(owner) && blockOwnerDeletion,
          )
        );
      });
      if (!blocking) await this.#dropFinalizer(resource, owner, FOREGROUND);
    }
  }

  async #delete(resource: Resource, object: JsonObject): Promise<void> {
    const wish = { propagation: 'Background', uid: uidOf(object) } as const;
    await deleteObject(
      this.#context,
      resource,
      namespaceOf(object),
      nameOf(object),
      wish,
      systemOptions(),
    ).catch(unless('NotFound', 'Conflict'));
  }

  /** Strikes the owners that are not in `kept`. */
  async #forget(resource: Resource, object: JsonObject, kept: ReadonlySet<string>): Promise<void> {
    await this.#change(resource, object, (metadata) => {
      const owners = listAt(metadata, 'ownerReferences').filter(
        (owner) => isObject(owner) && kept.has(String(owner['uid'])),
      );
      if (owners.length > 0) metadata['ownerReferences'] = owners;
      else delete metadata['ownerReferences'];
    });
  }

  async #dropFinalizer(resource: Resource, object: JsonObject, finalizer: string): Promise<void> {
    await this.#change(resource, object, (metadata) => {
      metadata['finalizers'] = listAt(metadata, 'finalizers').filter((each) => each !== finalizer);
    });
  }

  async #change(resource: Resource, object: JsonObject, edit: (metadata: JsonObject) => void): Promise<void> {
    await updateObject(
      this.#context,
      {
        resource,
        namespace: namespaceOf(object),
        name: nameOf(object),
        subresource: 'internal',
        pinned: false,
        change: (stored) => {
          const next = clone(stored);
          delete objectAt(next, 'metadata')['resourceVersion'];
          edit(objectAt(next, 'metadata'));
          return next;
        },
      },
      systemOptions(),
    ).catch(unless('NotFound'));
  }
}

const placeText = ({ resource, key }: Place): string => `${resource} ${key}`;

function placeOf(text: string): Place {
  const space = text.indexOf(' ');
  return { resource: text.slice(0, space), key: text.slice(space + 1) };
}
