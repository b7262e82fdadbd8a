/**
 * Watches: what changed, as a stream of JSON lines, from any resourceVersion that history still covers.
 *
 * A watcher that does not read is cut off when too much waits for it; it may come back where it was, or learn by a 410
 * that it must list again. Nothing waits without bound.
 */
import type { Clock, Random } from '@ambit/core/clock';
import type { ServerResponse } from 'node:http';
import { asVersion } from '../admission/custom-resource-definition.ts';
import { expired, StatusError, statusOf } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { groupVersionOf, type Resource, storageKeyOf } from '../kinds/resource.ts';
import { BOOKMARK_MS, WATCH_QUEUE_BYTES, WATCH_SECONDS, WATCH_SECONDS_MAX, WATCHES } from '../limits.ts';
import { labelsOf, namespaceOf, revisionOf } from '../object.ts';
import { type FieldSelector, matchesFields } from '../select/fields.ts';
import { type LabelSelector, matchesLabels } from '../select/labels.ts';
import type { Change } from '../storage/history.ts';
import type { ObjectStore } from '../storage/store.ts';

export interface Selection {
  readonly resource: Resource;
  /** Empty: all of them. */
  readonly namespace: string;
  readonly labels: LabelSelector;
  readonly fields: FieldSelector;
}

export interface WatchRequest extends Selection {
  /** `undefined` or 0: the state as it is, then what follows. */
  readonly since: number | undefined;
  readonly bookmarks: boolean;
  /** A bookmark says where the initial events end. */
  readonly initialEvents: boolean;
  readonly timeoutSeconds: number | undefined;
  /** The object as the client wants it: of another version, as a table row, or metadata alone. */
  readonly present: (object: JsonObject) => JsonObject;
}

export const selects = (selection: Selection, object: JsonObject): boolean =>
  (selection.namespace === '' || namespaceOf(object) === selection.namespace) &&
  matchesLabels(selection.labels, labelsOf(object)) &&
  matchesFields(selection.fields, object);

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: JsonObject;
}

/** What a change means to somebody who sees only what `selection` selects. */
export function eventOf(selection: Selection, change: Change): WatchEvent | undefined {
  const before = change.previous !== undefined && selects(selection, change.previous);
  const after = change.type !== 'deleted' && selects(selection, change.object);
  if (after) return { type: before ? 'MODIFIED' : 'ADDED', object: change.object };
  if (!before || !change.previous) return undefined;
  if (change.type === 'deleted') return { type: 'DELETED', object: change.object };
  // It is still there, but no longer selected: the client gets it as it last knew it, with the new version.
  const metadata = {
    ...(change.previous['metadata'] as JsonObject),
    resourceVersion: String(change.revision),
  };
  return { type: 'DELETED', object: { ...change.previous, metadata } };
}

/** All open watches of a server. */
export class Watches {
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #open = new Set<OpenWatch>();

  constructor(store: ObjectStore, clock: Clock, random: Random) {
    this.#store = store;
    this.#clock = clock;
    this.#random = random;
  }

  get size(): number {
    return this.#open.size;
  }

  /**
   * Answers with the stream; it ends by its timeout, with the connection, or when the server stops.
   *
   * @throws a 429 when too many are open.
   */
  open(
    response: ServerResponse,
    request: WatchRequest,
    headers: Readonly<Record<string, string | string[]>>,
  ): void {
    if (this.#open.size >= WATCHES) {
      throw new StatusError('TooManyRequests', `too many watches: ${WATCHES} are open`, {
        retryAfterSeconds: 5,
      });
    }
    const seconds = Math.min(
      request.timeoutSeconds ?? WATCH_SECONDS * (1 + this.#random()),
      WATCH_SECONDS_MAX,
    );
    response.writeHead(200, {
      'Content-Type': 'application/json',
      'Cache-Control': 'no-cache, private',
      ...headers,
    });
    response.flushHeaders();
    const watch = new OpenWatch(response, request, this.#store, this.#clock, seconds, () =>
      this.#open.delete(watch),
    );
    this.#open.add(watch);
    watch.start();
  }

  /** Ends every watch that `which` names: of a resource that is no longer served. */
  close(which: (resource: Resource) => boolean = () => true): void {
    for (const watch of [...this.#open]) if (which(watch.resource)) watch.end();
  }
}

class OpenWatch {
  readonly #response: ServerResponse;
  readonly #request: WatchRequest;
  readonly #store: ObjectStore;
  readonly #resources = new DisposableStack();
  /** The last change that this watcher has seen or had no interest in. */
  #seen = 0;
  /** What the last bookmark said. */
  #marked = 0;

  constructor(
    response: ServerResponse,
    request: WatchRequest,
    store: ObjectStore,
    clock: Clock,
    seconds: number,
    closed: () => void,
  ) {
    this.#response = response;
    this.#request = request;
    this.#store = store;
    this.#resources.defer(closed);
    const timeout = clock.after(seconds * 1_000, () => this.end());
    const bookmarks = request.bookmarks ? clock.every(BOOKMARK_MS, () => this.#bookmark()) : undefined;
    this.#resources.defer(() => {
      timeout.cancel();
      bookmarks?.cancel();
    });
    response.once('close', () => this.#resources.dispose());
    response.once('error', () => this.#resources.dispose());
  }

  get resource(): Resource {
    return this.#request.resource;
  }

  start(): void {
    const storage = storageKeyOf(this.#request.resource);
    const { since, initialEvents } = this.#request;
    if (since === undefined || since === 0 || initialEvents) this.#sendInitial(storage);
    else {
      const changes = since > this.#store.revision ? undefined : this.#store.history.since(since, storage);
      if (!changes) {
        this.#refuse(expired(since, this.#store.history.oldest));
        return;
      }
      for (const change of changes) this.#take(change);
    }
    this.#seen = this.#store.revision;
    const subscription = this.#store.subscribe((change) => {
      this.#seen = change.revision;
      if (change.resource === storage) this.#take(change);
    });
    if (this.#resources.disposed) subscription[Symbol.dispose]();
    else this.#resources.use(subscription);
  }

  /** Ends in order: with a last bookmark, so that the client can go on from there. */
  end(): void {
    if (this.#resources.disposed) return;
    if (this.#request.bookmarks) this.#bookmark();
    this.#resources.dispose();
    this.#response.end();
  }

  #sendInitial(storage: string): void {
    const { namespace, resource, initialEvents } = this.#request;
    for (const object of this.#store.list(storage, namespace === '' ? undefined : namespace)) {
      if (selects(this.#request, object)) this.#send({ type: 'ADDED', object });
    }
    if (!initialEvents) return;
    const annotations = { 'k8s.io/initial-events-end': 'true' };
    const metadata = { resourceVersion: String(this.#store.revision), creationTimestamp: null, annotations };
    this.#write({
      type: 'BOOKMARK',
      object: { kind: resource.kind, apiVersion: groupVersionOf(resource), metadata },
    });
  }

  #take(change: Change): void {
    const event = eventOf(this.#request, change);
    if (event) this.#send(event);
  }

  #send(event: WatchEvent): void {
    this.#marked = Math.max(this.#marked, revisionOf(event.object));
    const object = asVersion(event.object, groupVersionOf(this.#request.resource));
    this.#write({ type: event.type, object: this.#request.present(object) });
  }

  #bookmark(): void {
    const { resource } = this.#request;
    const revision = Math.max(this.#seen, this.#marked);
    this.#marked = revision;
    this.#write({
      type: 'BOOKMARK',
      object: {
        kind: resource.kind,
        apiVersion: groupVersionOf(resource),
        metadata: { resourceVersion: String(revision), creationTimestamp: null },
      },
    });
  }

  #refuse(error: StatusError): void {
    this.#write({ type: 'ERROR', object: statusOf(error) });
    this.#resources.dispose();
    this.#response.end();
  }

  #write(event: WatchEvent): void {
    if (this.#resources.disposed || this.#response.destroyed) return;
    this.#response.write(`${JSON.stringify(event)}\n`);
    if (this.#response.writableLength <= WATCH_QUEUE_BYTES) return;
    // The rest of what waits is lost with the connection; the client resumes from what it has read.
    this.#resources.dispose();
    this.#response.destroy();
  }
}
