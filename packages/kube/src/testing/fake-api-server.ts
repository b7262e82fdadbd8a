/**
 * A Kubernetes API server small enough to read: objects by path, resource versions, watches, and ways to misbehave.
 *
 * It knows no kinds: whatever collection path is asked for exists, unless `unknown` names it. For tests of clients; the
 * embedded API is the one to use for anything that validates.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { isKubeObject, type KubeObject } from '../resource.ts';

const QUIET_TURNS = 30;

interface Stored {
  readonly collection: string;
  readonly key: string;
  readonly object: KubeObject;
}

interface Change {
  readonly version: number;
  readonly collection: string;
  readonly line: string;
}

interface WithConditions extends KubeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string }[] };
}

export class FakeApiServer implements AsyncDisposable {
  /** Every request that came, as `METHOD path?query`. */
  readonly requests: string[] = [];
  /** The authorization header of the last request. */
  lastAuthorization: string | undefined;
  /** Collection paths that answer 404, such as `/apis/security.istio.io/v1/authorizationpolicies`. */
  readonly unknown = new Set<string>();
  /** Answers a request itself; `undefined` lets the server do it. */
  intercept:
    | ((method: string, path: string, body: unknown) => { status: number; body: unknown } | undefined)
    | undefined;
  /** What each list waits for before it is answered. */
  beforeList: () => Promise<void> = () => Promise.resolve();
  /** The same for each request about one object. */
  beforeOne: () => Promise<void> = () => Promise.resolve();
  readonly #objects = new Map<string, Stored>();
  readonly #changes: Change[] = [];
  readonly #watches = new Map<ServerResponse, { collection: string; namespace: string | undefined }>();
  readonly #sockets = new Set<Socket>();
  /** By manager and uid. */
  readonly #conditionTypes = new Map<string, readonly string[]>();
  readonly #server: Server;
  #version = 1;
  /** Watches from before this version get a 410. */
  #oldest = 0;

  constructor() {
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch((error: unknown) => {
        respond(response, 500, { message: String(error) });
      });
    });
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.dropConnections();
    await closed;
  }

  get openWatches(): number {
    return this.#watches.size;
  }

  /**
   * Resolves when nothing was asked for during {@link QUIET_TURNS} short sleeps in a row: for what must not happen any more,
   * and for changes that nobody answers with a request.
   *
   * One long sleep is over at once after a stall of the machine, before anything that waits in the sockets was read.
   */
  async quiet(): Promise<void> {
    let seen = -1;
    for (let calm = 0; calm < QUIET_TURNS; calm += 1) {
      if (this.requests.length !== seen) calm = 0;
      seen = this.requests.length;
      await sleep(5);
    }
  }

  /** Stores an object as if somebody had written it. `collection` is the cluster-wide path of its kind. */
  put(collection: string, object: KubeObject): KubeObject {
    const key = `${collection} ${object.metadata.namespace ?? ''}/${object.metadata.name}`;
    const known = this.#objects.get(key);
    this.#version += 1;
    const metadata = {
      uid: known?.object.metadata.uid ?? `uid-${this.#version}`,
      creationTimestamp: new Date(this.#version * 1_000).toISOString(),
      ...object.metadata,
      resourceVersion: String(this.#version),
    };
    const stored = { ...object, metadata };
    this.#objects.set(key, { collection, key, object: stored });
    this.#tell(collection, known ? 'MODIFIED' : 'ADDED', stored);
    return stored;
  }

  remove(collection: string, namespace: string, name: string): void {
    const key = `${collection} ${namespace}/${name}`;
    const known = this.#objects.get(key);
    if (!known) return;
    this.#version += 1;
    this.#objects.delete(key);
    const metadata = { ...known.object.metadata, resourceVersion: String(this.#version) };
    this.#tell(collection, 'DELETED', { ...known.object, metadata });
  }

  find(collection: string, namespace: string, name: string): KubeObject | undefined {
    return this.#objects.get(`${collection} ${namespace}/${name}`)?.object;
  }

  /** Removes an object without telling anybody: what a watch missed. */
  removeSilently(collection: string, namespace: string, name: string): void {
    this.#version += 1;
    this.#objects.delete(`${collection} ${namespace}/${name}`);
  }

  /** Writes a line into every open watch of `collection`. */
  writeToWatches(collection: string, line: string): void {
    for (const [response, watch] of this.#watches)
      if (watch.collection === collection) response.write(`${line}\n`);
  }

  bookmark(collection: string): void {
    const object = { metadata: { resourceVersion: String(this.#version) } };
    this.writeToWatches(collection, JSON.stringify({ type: 'BOOKMARK', object }));
  }

  /** Forgets history: a watch from any version so far gets a 410. */
  compact(): void {
    this.#version += 1;
    this.#oldest = this.#version;
    this.#changes.length = 0;
  }

  endWatches(): void {
    for (const response of this.#watches.keys()) response.end();
  }

  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #tell(collection: string, type: string, object: KubeObject): void {
    const line = JSON.stringify({ type, object });
    this.#changes.push({ version: this.#version, collection, line });
    for (const [response, watch] of this.#watches) {
      if (watch.collection !== collection) continue;
      if (watch.namespace === undefined || watch.namespace === object.metadata.namespace)
        response.write(`${line}\n`);
    }
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://fake');
    const method = request.method ?? 'GET';
    this.requests.push(`${method} ${request.url ?? ''}`);
    this.lastAuthorization = request.headers.authorization;
    const text = await readText(request);
    const body = text === '' ? undefined : (JSON.parse(text) as unknown);
    const intercepted = this.intercept?.(method, url.pathname, body);
    if (intercepted) return respond(response, intercepted.status, intercepted.body);
    const { collection, namespace, name, subresource } = parsePath(url.pathname);
    if (this.unknown.has(collection))
      return respond(response, 404, { reason: 'NotFound', message: 'no such kind' });
    if (name !== undefined) {
      await this.beforeOne();
      const manager = url.searchParams.get('fieldManager') ?? '';
      const at = { collection, namespace, name, subresource, manager };
      return respond(response, ...this.#one(method, at, body));
    }
    if (method === 'POST' && isKubeObject(body)) {
      const metadata = { ...body.metadata, ...(namespace !== undefined && { namespace }) };
      if (this.find(collection, namespace ?? '', metadata.name))
        return respond(response, 409, { reason: 'AlreadyExists' });
      return respond(response, 201, this.put(collection, { ...body, metadata }));
    }
    if (url.searchParams.get('watch') === 'true') return this.#watch(url, collection, namespace, response);
    await this.beforeList();
    const limit = Number(url.searchParams.get('limit') ?? 500);
    const from = Number(url.searchParams.get('continue') ?? 0);
    const all = [...this.#objects.values()].filter((stored) => stored.collection === collection);
    const visible = all.filter(
      ({ object }) => namespace === undefined || object.metadata.namespace === namespace,
    );
    const next = from + limit < visible.length ? String(from + limit) : '';
    const items = visible.slice(from, from + limit).map(({ object }) => object);
    respond(response, 200, { items, metadata: { resourceVersion: String(this.#version), continue: next } });
  }

  #one(
    method: string,
    at: {
      collection: string;
      namespace: string | undefined;
      name: string;
      subresource: string | undefined;
      manager: string;
    },
    body: unknown,
  ): [status: number, body: unknown] {
    const namespace = at.namespace ?? '';
    const known = this.find(at.collection, namespace, at.name);
    if (method === 'PATCH' || method === 'PUT') {
      if (!known && at.subresource) return [404, { reason: 'NotFound', message: `"${at.name}" not found` }];
      if (known && Array.isArray(body)) {
        const patched = jsonPatched(known, body as Operation[]);
        return patched ? [200, this.put(at.collection, patched)] : [422, { reason: 'Invalid' }];
      }
      const patch = this.#withOthersConditions(known, body as WithConditions, at.manager);
      const merged = at.subresource
        ? { ...known, ...patch, metadata: known?.metadata ?? { namespace, name: at.name } }
        : {
            ...known,
            ...patch,
            metadata: { ...known?.metadata, ...patch.metadata, namespace, name: at.name },
          };
      return [200, this.put(at.collection, merged)];
    }
    if (!known) return [404, { reason: 'NotFound', message: `"${at.name}" not found` }];
    if (method === 'DELETE') this.remove(at.collection, namespace, at.name);
    return [200, known];
  }

  /** As server-side apply does it: a manager replaces the conditions that it wrote before, and no others. */
  #withOthersConditions(
    known: WithConditions | undefined,
    patch: WithConditions,
    manager: string,
  ): KubeObject {
    const { status } = patch;
    if (!known || manager === '' || !status?.conditions) return patch;
    const written = status.conditions.map(({ type }) => type);
    const key = `${manager} ${known.metadata.uid ?? ''}`;
    const own = new Set([...(this.#conditionTypes.get(key) ?? []), ...written]);
    this.#conditionTypes.set(key, written);
    const others = (known.status?.conditions ?? []).filter(({ type }) => !own.has(type));
    return {
      ...patch,
      status: { ...known.status, ...status, conditions: [...others, ...status.conditions] },
    } as KubeObject;
  }

  #watch(url: URL, collection: string, namespace: string | undefined, response: ServerResponse): void {
    const from = Number(url.searchParams.get('resourceVersion'));
    response.writeHead(200, { 'content-type': 'application/json' });
    if (from < this.#oldest) {
      const status = { code: 410, reason: 'Expired', message: 'too old resource version' };
      response.end(`${JSON.stringify({ type: 'ERROR', object: status })}\n`);
      return;
    }
    response.flushHeaders();
    for (const change of this.#changes) {
      if (change.version > from && change.collection === collection) response.write(`${change.line}\n`);
    }
    this.#watches.set(response, { collection, namespace });
    response.on('close', () => this.#watches.delete(response));
  }
}

interface Operation {
  readonly op: string;
  readonly path: string;
  readonly value: unknown;
}

/** Enough of JSON Patch for members of objects; `undefined`: a test did not hold. */
function jsonPatched(object: KubeObject, operations: readonly Operation[]): KubeObject | undefined {
  // A clone by way of text, so that all is of one realm where tests run in one of their own.
  const patched = JSON.parse(JSON.stringify(object)) as KubeObject;
  for (const { op, path, value } of operations) {
    const steps = path.slice(1).split('/');
    const last = steps.pop() ?? '';
    const parent = steps.reduce<unknown>(
      (at, step) => (at as Record<string, unknown> | undefined)?.[step],
      patched,
    ) as Record<string, unknown> | undefined;
    const found = parent?.[last];
    if (op === 'test' && !isDeepStrictEqual(found ?? null, value)) return undefined;
    if (op === 'test') continue;
    if (!parent || (op === 'replace' && found === undefined)) return undefined;
    parent[last] = value;
  }
  return patched;
}

function parsePath(path: string) {
  const match =
    /^(\/api\/[^/]+|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+)(?=\/[^/]))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(
      path,
    );
  if (!match) throw new Error(`not a path of the Kubernetes API: ${path}`);
  return {
    collection: `${match[1]}/${match[3]}`,
    namespace: match[2],
    name: match[4],
    subresource: match[5],
  };
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function respond(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
