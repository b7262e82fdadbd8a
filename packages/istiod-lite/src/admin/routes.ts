/** What the HTTP ports answer: readiness and metrics for everybody, the inside of the process for loopback alone. */
import type { Collection, GraphNode } from '@ambit/collections/collection';
import { dumpMermaid, dumpText, graphNodes } from '@ambit/collections/dump';
import { decodeAuthorization } from '@ambit/api/authorization';
import { decodeAddress } from '@ambit/api/workload';
import type { Clock } from '@ambit/core/clock';
import type { HttpHandler, HttpResponse } from '@ambit/core/http-server';
import { decodeWaypointResource } from '@ambit/api/waypoint';
import { formatIp, isLoopback } from '@ambit/core/ip';
import { formatMetrics, type MetricRegistry, metricsContentType } from '@ambit/core/metrics';
import type { RuntimeMetrics } from '@ambit/core/metrics-runtime';
import type { DeltaXdsServer } from '@ambit/xds/server';
import type { ClientState } from '@ambit/xds/server/client-stream';
import type { Graph } from '../graph.ts';
import type { Inputs } from '../inputs.ts';
import type { WaypointEntry } from '../push/waypoint-feed.ts';
import { DEBUG_PAGE_ITEMS, MAX_DEBUG_PAGE_ITEMS, FINDINGS_TURN_MS } from '../limits.ts';
import type { ReviewContext } from '../webhook/review.ts';
import { inTurns } from './in-turns.ts';
import { type ObjectFinding, objectFindings } from './object-findings.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const notFound: HttpResponse = { status: 404, body: 'not here\n' };

export interface AdminSources {
  /** Why not, if not. */
  readonly notReady: () => string | undefined;
  readonly graph: Graph;
  readonly inputs: Inputs;
  readonly xds: () => readonly DeltaXdsServer[];
  /** What objects are looked at with. */
  readonly review: ReviewContext;
  readonly clock: Clock;
}

/** Readiness alone: for as long as there is nothing else to show. */
export function readinessHandler(notReady: () => string | undefined): HttpHandler {
  return ({ path }) => {
    if (path !== '/ready') return notFound;
    const why = notReady();
    return why === undefined ? { status: 200, body: 'ready\n' } : { status: 503, body: `${why}\n` };
  };
}

export function adminHandler(sources: AdminSources): HttpHandler {
  const readiness = readinessHandler(sources.notReady);
  return (request) => {
    const { path, query, peerIp } = request;
    if (path === '/ready') return readiness(request);
    if (!path.startsWith('/debug')) return notFound;
    if (peerIp === undefined || !isLoopback(peerIp)) return { status: 403, body: 'only from loopback\n' };
    return debug(path, query, sources);
  };
}

/** Every page, with what it shows; see docs/operate/debug.md. */
const PAGES: Readonly<Record<string, string>> = {
  '/debug/ambientz': 'workloads, services and policies as they are sent: ?namespace=NAME ?limit=N ?offset=N',
  '/debug/connections': 'clients connected over xDS',
  '/debug/findings':
    'what is wrong with objects, by their statuses and by what admission would say of them: ?namespace=NAME ?limit=N ?offset=N',
  '/debug/graph': 'the collections and what is computed from what, as a mermaid diagram',
  '/debug/inputs':
    'objects of the API server by kind, cut down to what is read: ?kind=NAME ?namespace=NAME ?limit=N ?offset=N',
  '/debug/krtz': 'the collections: size, whether synced, and what each is computed from',
  '/debug/list': 'this list',
  '/debug/waypointz':
    'what waypoints are sent, by type and name, and which of them: ?waypoint=NAMESPACE/NAME ?kind=TYPE ?limit=N ?offset=N',
  '/debug/syncz': 'what each client follows, was sent, has acknowledged, and is still owed',
};

function debug(
  path: string,
  query: URLSearchParams,
  sources: AdminSources,
): HttpResponse | Promise<HttpResponse> {
  const { graph, inputs, xds } = sources;
  const clients = () => xds().flatMap((server) => server.clients());
  switch (path) {
    case '/debug/ambientz':
      return json(meshOf(graph, query));
    case '/debug/waypointz':
      return json(waypointsOf(graph, query));
    case '/debug/inputs':
      return json(inputsOf(inputs, query));
    case '/debug/findings':
      return findingsOf(sources, query);
    case '/debug/syncz':
      return json(bounded(clients(), query));
    case '/debug/connections':
      return json(bounded(clients().map(connectionOf), query));
    case '/debug/krtz':
      return query.get('format') === 'json'
        ? json(graphNodes(graph.roots).map(nodeOf))
        : { status: 200, body: dumpText(graph.roots) };
    case '/debug/graph':
      return { status: 200, body: dumpMermaid(graph.roots) };
    case '/debug':
    case '/debug/list':
      return {
        status: 200,
        body: Object.entries(PAGES)
          .map(([page, shows]) => `${page}: ${shows}\n`)
          .join(''),
      };
    default:
      return notFound;
  }
}

function connectionOf({ identity, address, nodeId, connectedAtMs }: ClientState): object {
  return { nodeId, address, identity, connectedAt: new Date(connectedAtMs).toISOString() };
}

function nodeOf({ name, size, synced, inputs }: GraphNode): object {
  return { name, size, synced: synced.value, from: inputs.map((input) => input.name) };
}

export function monitoringHandler(
  registry: MetricRegistry,
  runtime: RuntimeMetrics,
  version: string,
): HttpHandler {
  return async ({ path, headers }) => {
    if (path === '/version') return { status: 200, body: `${version}\n` };
    if (path !== '/metrics') return notFound;
    const contentType = metricsContentType(String(headers['accept'] ?? ''));
    const body = formatMetrics([...registry.collect(), ...(await runtime.collect())]);
    return { status: 200, headers: { 'content-type': contentType }, body, compress: true };
  };
}

function json(value: unknown): HttpResponse {
  return { status: 200, headers: JSON_TYPE, body: `${JSON.stringify(value, plain, 2)}\n`, compress: true };
}

/** Istio's ambientz: workloads, services and policies as they are sent. */
function meshOf({ addressFeed, authorizationFeed }: Graph, query: URLSearchParams): object {
  const namespace = query.get('namespace');
  const page = pageOf(query);
  const isWanted = (value: { readonly namespace: string } | undefined) =>
    value !== undefined && (namespace === null || value.namespace === namespace);
  const addresses = [...addressFeed.all()].map(({ value }) => decodeAddress(value).type);
  const of = (kind: 'workload' | 'service') =>
    addresses.flatMap((type) => (type?.$case === kind && isWanted(type.value) ? [type.value] : []));
  const policies = [...authorizationFeed.all()]
    .map(({ value }) => decodeAuthorization(value))
    .filter(isWanted);
  const parts = { workloads: of('workload'), services: of('service'), policies };
  return {
    ...mapValues(parts, (all: readonly unknown[]) => all.slice(page.offset, page.offset + page.limit)),
    total: mapValues(parts, (all: readonly unknown[]) => all.length),
  };
}

/** Resources of waypoints, of all or of one. */
function waypointsOf({ waypointFeeds }: Graph, query: URLSearchParams): object {
  const [waypoint, kind] = [query.get('waypoint'), query.get('kind')];
  const isFor = ({ audience }: WaypointEntry) =>
    waypoint === null || audience === 'all' || audience.includes(waypoint);
  const found = waypointFeeds
    .filter((feed) => kind === null || feed.kind === kind)
    .flatMap((feed) => [...feed.entries()].filter(isFor).map((entry) => ({ kind: feed.kind, ...entry })));
  const page = bounded(found, query);
  return {
    ...page,
    items: page.items.map(({ kind: type, audience, resource: { name, version, value } }) => ({
      kind: type,
      name,
      version,
      waypoints: audience,
      resource: decodeWaypointResource(type, value),
    })),
  };
}

async function findingsOf(
  { graph, review, clock }: AdminSources,
  query: URLSearchParams,
): Promise<HttpResponse> {
  const found: ObjectFinding[] = [];
  const byObject = objectFindings(graph, review, query.get('namespace') ?? undefined);
  for await (const ofObject of inTurns(byObject, FINDINGS_TURN_MS, clock)) {
    found.push(...ofObject);
    if (found.length >= MAX_DEBUG_PAGE_ITEMS) break;
  }
  return json(bounded(found, query));
}

/** How many there are of each kind; of one kind, the objects. */
function inputsOf(inputs: Inputs, query: URLSearchParams): object {
  const { [Symbol.asyncDispose]: _, ...kinds } = inputs as Inputs & Partial<AsyncDisposable>;
  const collections: Readonly<Record<string, Collection<string, object>>> = kinds;
  const kind = query.get('kind');
  const asked = kind !== null && Object.hasOwn(collections, kind) ? collections[kind] : undefined;
  if (!asked) return mapValues(collections, ({ size, synced }) => ({ size, synced: synced.value }));
  const namespace = query.get('namespace');
  const objects = [...asked.entries()]
    .filter(([key]) => namespace === null || key.startsWith(`${namespace}/`))
    .map(([, object]) => object);
  return bounded(objects, query);
}

function bounded<T>(
  all: readonly T[],
  query: URLSearchParams,
): { readonly total: number; readonly items: readonly T[] } {
  const { limit, offset } = pageOf(query);
  return { total: all.length, items: all.slice(offset, offset + limit) };
}

/** A page is made in one go, in which nothing is pushed: so it is small unless somebody asks for more, and never huge. */
function pageOf(query: URLSearchParams): { readonly limit: number; readonly offset: number } {
  const whole = (name: string, fallback: number, max: number) => {
    const text = query.get(name) ?? '';
    return /^[0-9]{1,9}$/.test(text) ? Math.min(Number(text), max) : fallback;
  };
  return {
    limit: whole('limit', DEBUG_PAGE_ITEMS, MAX_DEBUG_PAGE_ITEMS),
    offset: whole('offset', 0, Number.MAX_SAFE_INTEGER),
  };
}

function mapValues<V, R>(from: Readonly<Record<string, V>>, change: (value: V) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(from).map(([name, value]) => [name, change(value)]));
}

/** Addresses as Istio shows them (base64 of the text), other bytes in base64, maps as objects, big numbers as text. */
function plain(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(formatIp(value) ?? value).toString('base64');
  if (value instanceof Map) return Object.fromEntries(value as Map<string, unknown>);
  return typeof value === 'bigint' ? String(value) : value;
}
