/**
 * A client of the Kubernetes API: read, write and watch objects of any kind.
 *
 * It knows nothing of kinds; a `Resource` says where one is served. Every call has a deadline, every refusal is a
 * `KubeStatusError` with the server's status and reason. Nothing is cached; see watch-collection.ts for that.
 */
import type { IncomingMessage } from 'node:http';
import { type Clock, systemClock } from '@ambit/core/clock';
import { type AccessOptions, type AccessSource, accessSource } from './access.ts';
import { isNotFound, KubeProtocolError, refusal } from './errors.ts';
import {
  BUSY_RETRIES,
  BUSY_WAIT_MAX_MS,
  CONNECT_AHEAD_MS,
  LIST_PAGE_ITEMS,
  MAX_LIST_PAGES,
  REQUEST_TIMEOUT_MS,
  WATCH_GRACE_MS,
} from './limits.ts';
import {
  isKubeObject,
  type KubeObject,
  type ObjectName,
  objectPathOf,
  pathOf,
  type Place,
  type Resource,
} from './resource.ts';
import { deadline, HttpTransport, type Outgoing, readBody } from './transport.ts';
import { readWatch, type WatchEvent } from './watch-stream.ts';

export interface Selection {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export interface Listing<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
}

export interface WatchOptions extends Selection {
  /** Where to go on from. */
  readonly resourceVersion: string;
  /** After how many seconds the server ends the watch. */
  readonly timeoutSeconds: number;
}

export interface WriteOptions {
  readonly subresource?: string;
  readonly fieldManager?: string;
  readonly dryRun?: boolean;
}

export type Patch =
  | { readonly type: 'merge' | 'strategic' | 'json'; readonly body: unknown }
  /** Server-side apply: `body` is all that `fieldManager` owns; `force` takes fields from others. */
  | { readonly type: 'apply'; readonly body: unknown; readonly force?: boolean };

const CONTENT_TYPE: Readonly<Record<Patch['type'], string>> = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
};

export interface ClientOptions extends AccessOptions {
  readonly clock?: Clock;
}

export class KubeClient implements Disposable {
  readonly transport: HttpTransport;
  readonly #clock: Clock;

  constructor(source: AccessSource, clock: Clock = systemClock) {
    this.transport = new HttpTransport(source);
    this.#clock = clock;
  }

  /** @throws KubeConfigError if there is no way to an API server. */
  static async load(options: ClientOptions): Promise<KubeClient> {
    const clock = options.clock ?? systemClock;
    return new KubeClient(await accessSource(options, clock), clock);
  }

  /** A request will come in a moment: a connection that is there by then spares it a handshake. Nobody hears of a failure. */
  connectAhead(): void {
    void this.transport.connectAhead(AbortSignal.timeout(CONNECT_AHEAD_MS));
  }

  /** @throws {@link KubeStatusError} 404 if there is none. */
  async get<T extends KubeObject>(resource: Resource<T>, at: ObjectName, signal?: AbortSignal): Promise<T> {
    return asObject(await this.request({ method: 'GET', path: objectPathOf(resource, at) }, signal));
  }

  /** As {@link get}, but `undefined` if there is none. */
  async find<T extends KubeObject>(
    resource: Resource<T>,
    at: ObjectName,
    signal?: AbortSignal,
  ): Promise<T | undefined> {
    try {
      return await this.get(resource, at, signal);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Everything that `selection` covers, page by page, as of one resource version. */
  async list<T extends KubeObject>(
    resource: Resource<T>,
    selection: Selection = {},
    signal?: AbortSignal,
  ): Promise<Listing<T>> {
    const items: T[] = [];
    let next: string | undefined;
    for (let page = 0; page < MAX_LIST_PAGES; page++) {
      const query = { ...selectionQuery(selection), limit: String(LIST_PAGE_ITEMS), continue: next };
      const answer = asList<T>(
        await this.request({ method: 'GET', path: where(resource, selection, query) }, signal),
      );
      items.push(...answer.items);
      next = answer.next;
      if (!next) return { items, resourceVersion: answer.resourceVersion };
    }
    throw new KubeProtocolError(`${pathOf(resource)}: a list of more than ${MAX_LIST_PAGES} pages`);
  }

  /**
   * The changes after `resourceVersion`, in the batches they arrive in, until the server ends the watch.
   *
   * An ERROR event throws a {@link KubeStatusError}: 410 means that the version is too old and to list again.
   */
  async *watch<T extends KubeObject>(
    resource: Resource<T>,
    options: WatchOptions,
    signal: AbortSignal,
  ): AsyncGenerator<readonly WatchEvent<T>[]> {
    const path = where(resource, options, {
      ...selectionQuery(options),
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: options.resourceVersion,
      timeoutSeconds: String(options.timeoutSeconds),
    });
    const what = `watch ${path}`;
    using until = deadline(what, options.timeoutSeconds * 1_000 + WATCH_GRACE_MS, this.#clock, signal);
    const answer = await this.#send({ method: 'GET', path, signal: until });
    yield* readWatch<T>(what, answer, until);
  }

  async create<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    options: WriteOptions & { readonly name?: string } = {},
    signal?: AbortSignal,
  ): Promise<T> {
    const place = {
      namespace: object.metadata.namespace,
      name: options.name,
      subresource: options.subresource,
    };
    return asObject(await this.#write('POST', resource, place, object, options, 'application/json', signal));
  }

  /** Fails with a 409 if the object's `resourceVersion` is not the current one. */
  async replace<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    options: WriteOptions = {},
    signal?: AbortSignal,
  ): Promise<T> {
    const place = { ...placeOf(object.metadata), subresource: options.subresource };
    return asObject(await this.#write('PUT', resource, place, object, options, 'application/json', signal));
  }

  async patch<T extends KubeObject>(
    resource: Resource<T>,
    at: ObjectName,
    patch: Patch,
    options: WriteOptions = {},
    signal?: AbortSignal,
  ): Promise<T> {
    const place = { ...placeOf(at), subresource: options.subresource };
    const force = patch.type === 'apply' && patch.force ? { force: 'true' } : {};
    const type = CONTENT_TYPE[patch.type];
    return asObject(await this.#write('PATCH', resource, place, patch.body, options, type, signal, force));
  }

  /** Resolves when the server has accepted; the object may live on until its finalizers are done. */
  async delete(
    resource: Resource,
    at: ObjectName,
    options: {
      readonly uid?: string;
      readonly gracePeriodSeconds?: number;
      readonly propagation?: string;
    } = {},
    signal?: AbortSignal,
  ): Promise<void> {
    const { uid, gracePeriodSeconds, propagation } = options;
    const body = {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      ...(uid !== undefined && { preconditions: { uid } }),
      ...(gracePeriodSeconds !== undefined && { gracePeriodSeconds }),
      ...(propagation !== undefined && { propagationPolicy: propagation }),
    };
    const path = objectPathOf(resource, at);
    await this.request({ method: 'DELETE', path, body: JSON.stringify(body) }, signal);
  }

  /**
   * Any request with a JSON answer; the way to what has no method here.
   *
   * @throws {@link KubeStatusError} for every status that is not 2xx.
   */
  async request(outgoing: Omit<Outgoing, 'signal'>, signal?: AbortSignal): Promise<unknown> {
    const what = `${outgoing.method} ${outgoing.path}`;
    using until = deadline(what, REQUEST_TIMEOUT_MS, this.#clock, signal);
    const answer = await this.#send({ ...outgoing, signal: until });
    return parseJson(what, await readBody(what, answer));
  }

  [Symbol.dispose](): void {
    this.transport[Symbol.dispose]();
  }

  async #write(
    method: 'POST' | 'PUT' | 'PATCH',
    resource: Resource,
    place: Place,
    object: unknown,
    options: WriteOptions,
    contentType: string,
    signal?: AbortSignal,
    more: Readonly<Record<string, string>> = {},
  ): Promise<unknown> {
    const query = { ...more, fieldManager: options.fieldManager, dryRun: options.dryRun ? 'All' : undefined };
    const path = pathOf(resource, place) + queryOf(query);
    return await this.request({ method, path, contentType, body: JSON.stringify(object) }, signal);
  }

  /** A server that is busy, or still learns a new kind, says when to come again: it has done nothing, so that is safe. */
  async #send(outgoing: Outgoing): Promise<IncomingMessage> {
    const what = `${outgoing.method} ${outgoing.path}`;
    for (let tries = 1; ; tries++) {
      const answer = await this.transport.send(outgoing);
      const status = answer.statusCode ?? 0;
      if (status >= 200 && status < 300) return answer;
      const error = refusal(what, status, await readBody(what, answer), answer.headers['retry-after']);
      if (status !== 429 || error.retryAfterMs === undefined || tries > BUSY_RETRIES) throw error;
      await this.#clock.sleep(Math.min(error.retryAfterMs, BUSY_WAIT_MAX_MS), outgoing.signal);
    }
  }
}

function placeOf({ name, namespace }: ObjectName): ObjectName {
  return { name, namespace };
}

function where(
  resource: Resource,
  { namespace }: Selection,
  query: Readonly<Record<string, string | undefined>>,
) {
  return pathOf(resource, { namespace }) + queryOf(query);
}

function selectionQuery({ labelSelector, fieldSelector }: Selection): Record<string, string | undefined> {
  return { labelSelector, fieldSelector };
}

function queryOf(query: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`;
}

function parseJson(what: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new KubeProtocolError(`${what}: the answer is not JSON`, { cause: error });
  }
}

function asObject<T extends KubeObject>(value: unknown): T {
  if (typeof value === 'object' && value !== null) return value as T;
  throw new KubeProtocolError('the answer is not an object');
}

function asList<T extends KubeObject>(value: unknown): Listing<T> & { readonly next: string | undefined } {
  const { items, metadata } = asObject<KubeObject & { items?: unknown }>(value);
  const { resourceVersion, continue: next } = (metadata ?? {}) as {
    resourceVersion?: unknown;
    continue?: unknown;
  };
  if (typeof resourceVersion !== 'string' || !Array.isArray(items ?? []))
    throw new KubeProtocolError('the answer is not a list');
  const objects = ((items ?? []) as unknown[]).filter(isKubeObject) as T[];
  return {
    items: objects,
    resourceVersion,
    next: typeof next === 'string' && next !== '' ? next : undefined,
  };
}
