/**
 * Objects of one kind as a collection: a list, then a watch from there, for as long as it is wanted.
 *
 * What was seen stays when the server is away, so a consumer acts on the last known state and not on none. Lost time is
 * made up by resuming; when the server no longer has that version (410, as a status or as an event), by listing again,
 * which tells consumers only of what differs. A kind that is not installed counts as empty and synced, and is asked for
 * again, quietly; one that the server has in an older version only is followed in that. A 404 alone does not say that: a server that is starting answers so before it has loaded its custom kinds, and
 * forgetting all policies then would open the mesh; so its definition is asked for as well.
 */
import { Backoff } from '@ambit/core/backoff';
import { type Clock, type Random, systemClock, systemRandom } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { type Logger, silentLogger } from '@ambit/core/log';
import { MapCollection } from '@ambit/collections/map-collection';
import type { KubeClient, Listing, Selection } from './client.ts';
import { isExpired, isNotFound, KubeStatusError, statusOf } from './errors.ts';
import {
  HEALTHY_WATCH_MS,
  MISSING_TYPE_RETRY_MS,
  RETRY_INITIAL_MS,
  RETRY_MAX_MS,
  WATCH_TIMEOUT_MAX_S,
  WATCH_TIMEOUT_MIN_S,
} from './limits.ts';
import { keyOf, type KubeObject, type ObjectMeta, type Resource } from './resource.ts';
import { pick } from './pick.ts';
import { customResourceDefinitions } from './resources/authentication.ts';
import type { WatchEvent } from './watch-stream.ts';
import { withoutNulls } from './without-nulls.ts';

/** What somebody outside may count; told the name of the collection. */
export interface WatchObserver {
  /** All objects were listed: at the start, and when the server no longer had the version to go on from. */
  listed?(name: string): void;
  /** A list or watch failed, or the server no longer had the version. */
  failed?(name: string): void;
}

export interface WatchCollectionOptions<T> extends Selection {
  /** Default: the plural of the kind. */
  readonly name?: string;
  /** Cuts an object down to what is read, to save memory. Must keep the metadata's names, uid and version. */
  readonly trim?: (object: T) => T;
  readonly observer?: WatchObserver;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Logger;
}

/** Keyed `namespace/name`, or by name alone for cluster-wide kinds. Starts at once; dispose of it to stop. */
export class WatchCollection<T extends KubeObject>
  extends MapCollection<string, T>
  implements AsyncDisposable
{
  readonly #client: KubeClient;
  readonly #resource: Resource<T>;
  /** The kind in the version that was listed last. */
  #served: Resource<T>;
  readonly #options: WatchCollectionOptions<T>;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Logger;
  readonly #backoff: Backoff;
  readonly #abort = new AbortController();
  readonly #running: Promise<void>;
  /** Where to resume; `undefined` until a list has succeeded, and again when that list is too old. */
  #resourceVersion: string | undefined;

  constructor(client: KubeClient, resource: Resource<T>, options: WatchCollectionOptions<T> = {}) {
    super({ name: options.name ?? resource.plural, equals: sameVersion });
    this.#client = client;
    this.#resource = resource;
    this.#served = resource;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#log = (options.log ?? silentLogger).scope(this.name);
    this.#backoff = new Backoff(
      { initialMs: RETRY_INITIAL_MS, maxMs: RETRY_MAX_MS, jitter: 0.2 },
      this.#random,
    );
    this.#running = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        if (this.#resourceVersion === undefined) await this.#list();
        await this.#watch();
      } catch (error) {
        if (signal.aborted) return;
        const waitMs = isNotFound(error) ? await this.#afterNotFound(error) : this.#afterFailure(error);
        await this.#clock.sleep(waitMs, signal).catch(() => undefined);
      }
    }
  }

  async #list(): Promise<void> {
    const { items, resourceVersion } = await this.#listing();
    const next = new Map(items.map((item) => [keyOf(item), this.#trim(item)]));
    const gone = [...this.keys()].filter((key) => !next.has(key));
    this.commit([...gone.map((key) => [key, undefined] as const), ...next]);
    this.#resourceVersion = resourceVersion;
    this.#options.observer?.listed?.(this.name);
    this.markSynced();
  }

  /** In the best version that the server has. */
  async #listing(): Promise<Listing<T>> {
    const { version, olderVersions = [] } = this.#resource;
    let failure: unknown;
    for (const each of [version, ...olderVersions]) {
      const resource = { ...this.#resource, version: each };
      try {
        const listing = await this.#client.list(resource, this.#options, this.#abort.signal);
        this.#served = resource;
        return listing;
      } catch (error) {
        if (!isNotFound(error)) throw error;
        failure ??= error;
      }
    }
    throw failure;
  }

  async #watch(): Promise<void> {
    const spread = WATCH_TIMEOUT_MAX_S - WATCH_TIMEOUT_MIN_S;
    const timeoutSeconds = WATCH_TIMEOUT_MIN_S + Math.floor(this.#random() * spread);
    const resourceVersion = this.#resourceVersion ?? '0';
    const startedMs = this.#clock.monotonicMs();
    const options = { ...this.#options, resourceVersion, timeoutSeconds };
    let batches = 0;
    try {
      for await (const events of this.#client.watch(this.#served, options, this.#abort.signal)) {
        batches += 1;
        this.#apply(events);
      }
    } finally {
      if (batches > 0 || this.#clock.monotonicMs() - startedMs > HEALTHY_WATCH_MS) this.#backoff.reset();
    }
    // A server that ends every watch at once must not be asked in a loop.
    if (batches === 0 && this.#clock.monotonicMs() - startedMs < HEALTHY_WATCH_MS) {
      await this.#clock.sleep(this.#backoff.nextMs(), this.#abort.signal);
    }
  }

  #apply(events: readonly WatchEvent<T>[]): void {
    const changes: (readonly [string, T | undefined])[] = [];
    for (const { type, object } of events) {
      if (type === 'DELETED') changes.push([keyOf(object), undefined]);
      else if (type !== 'BOOKMARK') changes.push([keyOf(object), this.#trim(object)]);
      this.#resourceVersion = object.metadata?.resourceVersion ?? this.#resourceVersion;
    }
    this.commit(changes);
  }

  /** What a failed list or watch means, and how long to wait before the next try. */
  #afterFailure(error: unknown): number {
    this.#options.observer?.failed?.(this.name);
    if (isExpired(error)) {
      this.#log.debug('resource version too old, listing again');
      this.#resourceVersion = undefined;
      return this.#backoff.nextMs();
    }
    const waitMs = Math.max(
      this.#backoff.nextMs(),
      (error instanceof KubeStatusError && error.retryAfterMs) || 0,
    );
    this.#log.warn('cannot follow the API server, trying again', { error: messageOf(error), waitMs });
    // The server did not like what we asked (its credentials and load apart): a list starts afresh.
    if (error instanceof KubeStatusError && error.status < 500 && ![401, 403, 429].includes(error.status))
      this.#resourceVersion = undefined;
    return waitMs;
  }

  async #afterNotFound(error: unknown): Promise<number> {
    this.#resourceVersion = undefined;
    if (this.synced.value && this.size > 0) return this.#afterFailure(error);
    if (await this.#isDefined()) return this.#afterFailure(error);
    if (!this.synced.value) this.#log.info('this kind is not installed', { kind: this.#resource.kind });
    this.markSynced();
    return MISSING_TYPE_RETRY_MS;
  }

  /** Whether the server has a definition of the kind, though it does not serve it. Built-in kinds have none. */
  async #isDefined(): Promise<boolean> {
    const { plural, group } = this.#resource;
    if (!group.includes('.')) return false;
    try {
      const name = `${plural}.${group}`;
      return (await this.#client.find(customResourceDefinitions, { name }, this.#abort.signal)) !== undefined;
    } catch (error) {
      // Not allowed to ask: then the 404 has to do.
      return statusOf(error) !== 403;
    }
  }

  #trim(object: T): T {
    const lean: T = withoutNulls({ ...object, metadata: leanMetadata(object.metadata) });
    return this.#options.trim?.(lean) ?? lean;
  }
}

const METADATA = [
  'name',
  'namespace',
  'uid',
  'resourceVersion',
  'generation',
  'labels',
  'annotations',
  'creationTimestamp',
  'deletionTimestamp',
  'ownerReferences',
  'finalizers',
] as const satisfies readonly (keyof ObjectMeta)[];

/** Without `managedFields` and other bulk. */
function leanMetadata(metadata: ObjectMeta): ObjectMeta {
  const lean = pick(metadata, METADATA);
  const { annotations } = lean;
  return annotations && LAST_APPLIED in annotations
    ? { ...lean, annotations: leanAnnotations(annotations) }
    : lean;
}

/** What kubectl leaves is the object once more. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

function leanAnnotations(annotations: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(annotations).filter(([name]) => name !== LAST_APPLIED));
}

/** Starts following the objects of a kind; see {@link WatchCollection}. */
export function watchCollection<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  options: WatchCollectionOptions<T> = {},
): WatchCollection<T> {
  return new WatchCollection(client, resource, options);
}

/**
 * An event told twice, or a list after a watch, is no news. The same object in another version of its kind is: who writes to
 * it does so in the version that it came in. Built-in kinds, which lists do not name, have one.
 */
function sameVersion(a: KubeObject, b: KubeObject): boolean {
  const { uid, resourceVersion } = a.metadata;
  return (
    resourceVersion !== undefined &&
    resourceVersion === b.metadata.resourceVersion &&
    uid === b.metadata.uid &&
    (a.apiVersion ?? b.apiVersion) === (b.apiVersion ?? a.apiVersion)
  );
}
