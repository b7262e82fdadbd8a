/**
 * Watches: what changed, as a stream of JSON lines, from any resourceVersion that history still covers.
 *
 * What a watcher has not read yet waits in the store's history, not in a queue of its own; one that falls behind the
 * history is told, by a 410, to list again. So nothing waits without bound, and nothing is skipped in silence.
 */
import type { Clock, Random } from '@ambit/core/clock';
import type { ServerResponse } from 'node:http';
import { asVersion } from '../admission/custom-resource-definition.ts';
import { expired, StatusError, statusOf } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { groupVersionOf, type Resource, storageKeyOf } from '../kinds/resource.ts';
import {
  BOOKMARK_MS,
  WATCH_END_MS,
  WATCH_QUEUE_BYTES,
  WATCH_SECONDS,
  WATCH_SECONDS_MAX,
  WATCHES,
} from '../limits.ts';
import { labelsOf, namespaceOf } from '../object.ts';
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
  readonly #clock: Clock;
  readonly #storage: string;
  readonly #resources = new DisposableStack();
  /** The last change that this watcher has been told of, or has no interest in. */
  #seen: number;
  /** The state to begin with, and how much of it was sent. */
  #initial: readonly JsonObject[] = [];
  #sent = 0;
  /** A bookmark is due once the initial events are sent. */
  #announce = false;

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
    this.#clock = clock;
    this.#storage = storageKeyOf(request.resource);
    this.#seen = store.revision;
    this.#resources.defer(closed);
    const timeout = clock.after(seconds * 1_000, () => this.end());
    const bookmarks = request.bookmarks ? clock.every(BOOKMARK_MS, () => this.#bookmark()) : undefined;
    this.#resources.defer(() => {
      timeout.cancel();
      bookmarks?.cancel();
    });
    response.once('close', () => this.#resources.dispose());
    response.once('error', () => this.#resources.dispose());
    response.on('drain', () => this.#pump());
  }

  get resource(): Resource {
    return this.#request.resource;
  }

  start(): void {
    const { since, initialEvents, namespace } = this.#request;
    if (since === undefined || since === 0 || initialEvents) {
      this.#initial = this.#store.list(this.#storage, namespace === '' ? undefined : namespace);
      this.#announce = initialEvents;
    } else if (since > this.#seen) {
      // A number of an earlier life: what it means, nobody knows.
      this.#refuse(expired(since, this.#seen));
      return;
    } else this.#seen = since;
    this.#resources.use(
      this.#store.subscribe(({ resource, revision }) => {
        const isCurrent = this.#seen === revision - 1 && this.#sent >= this.#initial.length;
        if (isCurrent && resource !== this.#storage) this.#seen = revision;
        else this.#pump();
      }),
    );
    this.#pump();
  }

  /** Ends in order: with a last bookmark, so that the client can go on from there. */
  end(): void {
    if (this.#resources.disposed) return;
    if (this.#request.bookmarks) this.#bookmark();
    this.#finish();
  }

  /** Sends what is due, as far as the client reads. What is not sent waits in the history, not here. */
  #pump(): void {
    while (!this.#resources.disposed && !this.#isBehind()) {
      const object = this.#initial[this.#sent];
      if (object) {
        this.#sent += 1;
        if (selects(this.#request, object)) this.#send({ type: 'ADDED', object });
        continue;
      }
      this.#initial = [];
      this.#sent = 0;
      if (this.#announce) this.#initialEnd();
      const change = this.#store.history.next(this.#seen, this.#storage);
      if (change === 'none') {
        this.#seen = this.#store.revision;
        return;
      }
      if (change === 'lost') {
        this.#refuse(expired(this.#seen, this.#store.history.oldest));
        return;
      }
      this.#seen = change.revision;
      const event = eventOf(this.#request, change);
      if (event) this.#send(event);
    }
    // Whoever reads so slowly that history has moved on must list again; better told now than never.
    if (!this.#resources.disposed && this.#seen < this.#store.history.oldest) {
      this.#refuse(expired(this.#seen, this.#store.history.oldest));
    }
  }

  #isBehind(): boolean {
    return this.#response.writableLength > WATCH_QUEUE_BYTES;
  }

  #initialEnd(): void {
    this.#announce = false;
    this.#write({ type: 'BOOKMARK', object: this.#mark({ 'k8s.io/initial-events-end': 'true' }) });
  }

  #send(event: WatchEvent): void {
    const object = asVersion(event.object, groupVersionOf(this.#request.resource));
    this.#write({ type: event.type, object: this.#request.present(object) });
  }

  /** Says how far the client has come; never more than it was sent. */
  #bookmark(): void {
    this.#pump();
    const caughtUp = this.#sent >= this.#initial.length && !this.#announce;
    if (caughtUp && !this.#isBehind()) this.#write({ type: 'BOOKMARK', object: this.#mark({}) });
  }

  #mark(annotations: JsonObject): JsonObject {
    const { resource } = this.#request;
    return {
      kind: resource.kind,
      apiVersion: groupVersionOf(resource),
      metadata: {
        resourceVersion: String(this.#seen),
        creationTimestamp: null,
        ...(Object.keys(annotations).length > 0 && { annotations }),
      },
    };
  }

  #refuse(error: StatusError): void {
    this.#write({ type: 'ERROR', object: statusOf(error) });
    this.#finish();
  }

  /** A client that does not even read the end is cut off. */
  #finish(): void {
    this.#resources.dispose();
    const timer = this.#clock.after(WATCH_END_MS, () => this.#response.destroy());
    this.#response.once('close', () => timer.cancel());
    this.#response.end();
  }

  #write(event: WatchEvent): void {
    if (!this.#resources.disposed && !this.#response.destroyed)
      this.#response.write(`${JSON.stringify(event)}\n`);
  }
}
