/**
 * Keeps our entries in a list of the statuses of one kind, and leaves alone those of other controllers.
 *
 * The list is one value to the API server, so it is written whole, and only onto the version that it was made
 * from: if somebody else wrote meanwhile, it is made anew from what the watch brings.
 */
import type { Collection } from '@ambit/collections/collection';
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import { isConflict, isNotFound } from '@ambit/kube/errors';
import type { KubeObject, Resource } from '@ambit/kube/resource';
import { KeyedWorker } from '../keyed-worker.ts';
import type { WantedParent } from '../translate/routes/route-status.ts';
import { type ControllerEntry, entriesToWrite, type EntryList } from './controller-entries.ts';

export interface EntriesWriterOptions<T extends KubeObject, E extends ControllerEntry> {
  readonly client: KubeClient;
  readonly resource: Resource<T>;
  readonly list: EntryList<T, E>;
  /** Whose entries are ours. */
  readonly controllerName: string;
  readonly fieldManager: string;
  readonly objects: Collection<string, T>;
  /** By the same keys; what is not there shall have no entry of ours. */
  readonly wanted: Collection<string, readonly WantedParent[]>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class EntriesWriter<T extends KubeObject, E extends ControllerEntry> implements AsyncDisposable {
  readonly #options: EntriesWriterOptions<T, E>;
  readonly #worker: KeyedWorker;
  readonly #scope = new AsyncDisposableStack();

  constructor(options: EntriesWriterOptions<T, E>) {
    const { objects, wanted, resource, clock, random, log } = options;
    this.#options = options;
    const work = (key: string, signal: AbortSignal) => this.#write(key, signal);
    const name = `status of ${resource.kind}`;
    this.#worker = this.#scope.use(new KeyedWorker({ name, work, clock, random, log }));
    const look = (events: readonly { readonly key: string }[]) => {
      for (const { key } of events) this.#look(key);
    };
    // Also when only the object changed: somebody may have edited its status.
    this.#scope.use(objects.subscribe(look));
    this.#scope.use(wanted.subscribe(look));
    for (const key of objects.keys()) this.#look(key);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.disposeAsync();
  }

  #look(key: string): void {
    if (this.#toWrite(key)) this.#worker.add(key);
  }

  #toWrite(key: string): readonly E[] | undefined {
    const { list, controllerName, objects, wanted, clock } = this.#options;
    const object = objects.get(key);
    if (!object || object.metadata.deletionTimestamp !== undefined) return undefined;
    return entriesToWrite(list, object, controllerName, wanted.get(key) ?? [], clock.now());
  }

  async #write(key: string, signal: AbortSignal): Promise<void> {
    const { client, resource, list, fieldManager, objects } = this.#options;
    const entries = this.#toWrite(key);
    const object = objects.get(key);
    if (!entries || !object) return;
    const { name, namespace, uid, resourceVersion } = object.metadata;
    const body = { metadata: { uid, resourceVersion }, status: { [list.field]: entries } };
    const options = { fieldManager, subresource: 'status' };
    try {
      await client.patch(
        servedAs(resource, object),
        { name, namespace },
        { type: 'merge', body },
        options,
        signal,
      );
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }
}

/** In the version that the object came in. */
function servedAs<T extends KubeObject>(resource: Resource<T>, { apiVersion = '' }: T): Resource<T> {
  const version = apiVersion.slice(apiVersion.indexOf('/') + 1);
  return version === '' ? resource : { ...resource, version };
}
