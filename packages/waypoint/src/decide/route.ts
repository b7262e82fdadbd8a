/**
 * What becomes of a request: which rule of which route, and what that rule says.
 *
 * No route with the service as its parent: the request goes to the service itself. Routes, and none that matches: 404.
 * What cannot be read, or leads nowhere, answers 500 (503 for GRPCRoute, which gRPC reads as UNAVAILABLE).
 */
import type { Random } from '@ambit/core/clock';
import {
  DEFAULT_RETRY,
  type Fault,
  type HttpBackend,
  type HttpFilters,
  type HttpRoute,
  type Mirror,
  NO_FILTERS,
} from '../resources/http-route.ts';
import { isGrpc } from '../grpc.ts';
import { atPort, type ServicePort } from '../resources/service-port.ts';
import { drawByWeight, happens } from './draw.ts';
import { failingPart, type RequestFacts } from './match-request.ts';
import { redirectLocation } from './redirect.ts';
import { type ConnectionView, pathOnly, type RequestView, sourceNamespaceOf } from './request-view.ts';
import type {
  BackendService,
  DrawnFault,
  Forward,
  RespondReason,
  Responded,
  RouteAuthorizer,
  RouteDecision,
  RouteName,
} from './route-decision.ts';
import { NO_ROUTE } from './route-decision.ts';
import type { PathIndex, RouteEntry, RouteGroup, RouteTable } from './route-table.ts';

export function decideRoute(
  table: RouteTable,
  request: RequestView,
  connection: ConnectionView,
  random: Random,
): RouteDecision {
  const facts = requestFacts(request, connection);
  const group = groupFor(table, facts);
  if (group === undefined) return directRoute({ service: table.service, port: table.port });
  if (group.kind === 'unreadable') {
    const { route, problem } = group;
    return respond(
      routeName(route),
      statusOf(route),
      'unreadable',
      `${route.name} cannot be read: ${problem}`,
    );
  }
  const entry = findEntry(group, facts);
  if (entry === undefined) {
    return respond(NO_ROUTE, 404, 'no-route', `no route of ${table.service} matches the request`);
  }
  if (failingPart(entry, facts) !== undefined) {
    const { route } = entry;
    return respond(
      routeName(route),
      400,
      'undecidable',
      `${route.name} has a regular expression that is not tried on a text as long as this request's`,
    );
  }
  return follow(table, entry, request, random);
}

/**
 * What a route says of all of a request, if it counts from the first byte, for one that is not decided yet: what is asked
 * about it before may still change which route it takes. `undefined`: nothing.
 */
export function timeoutFromFirstByte(
  table: RouteTable,
  request: RequestView,
  connection: ConnectionView,
): number | undefined {
  const facts = requestFacts(request, connection);
  const group = groupFor(table, facts);
  const entry = group === undefined || group.kind === 'unreadable' ? undefined : findEntry(group, facts);
  return entry?.route.inOrder === false ? entry.rule.requestTimeoutMs : undefined;
}

export function requestFacts(request: RequestView, connection: ConnectionView): RequestFacts {
  return {
    request,
    path: pathOnly(request.path),
    isGrpc: isGrpc(request.fields),
    sourceNamespace: sourceNamespaceOf(connection),
  };
}

/** A consumer's routes stand in place of the producer's. */
export function groupFor(table: RouteTable, facts: RequestFacts): RouteGroup | undefined {
  const own = facts.sourceNamespace === undefined ? undefined : table.consumers.get(facts.sourceNamespace);
  return own ?? table.producer;
}

/** The first that matches, or of which nobody can say whether it does: then no later one may take its place. */
export function findEntry(
  group: Exclude<RouteGroup, { readonly kind: 'unreadable' }>,
  facts: RequestFacts,
): RouteEntry | undefined {
  return group.kind === 'ordered' ? first(group.entries, facts) : findIndexed(group.index, facts);
}

function findIndexed(index: PathIndex, facts: RequestFacts): RouteEntry | undefined {
  const { path } = facts;
  const found = first(index.exact.get(path), facts) ?? findPrefix(index, facts);
  return found ?? first(index.patterns, facts) ?? first(index.everything, facts);
}

/** From the longest on. A path of a thousand segments costs no more look-ups than the longest prefix has. */
function findPrefix({ prefixes, longestPrefix }: PathIndex, facts: RequestFacts): RouteEntry | undefined {
  const { path } = facts;
  let end = path.length <= longestPrefix ? path.length : path.lastIndexOf('/', longestPrefix);
  while (end > 0) {
    const found = first(prefixes.get(path.slice(0, end)), facts);
    if (found) return found;
    end = path.lastIndexOf('/', end - 1);
  }
  return undefined;
}

function first(entries: readonly RouteEntry[] | undefined, facts: RequestFacts): RouteEntry | undefined {
  if (entries === undefined) return undefined;
  for (const entry of entries) {
    const failing = failingPart(entry, facts);
    if (failing === undefined || failing.part === 'undecidable') return entry;
  }
  return undefined;
}

function routeName(route: HttpRoute, entry?: RouteEntry): RouteName {
  return {
    route: route.name,
    rule: entry?.rule.name ?? '',
    ruleIndex: entry?.ruleIndex ?? 0,
    match: entry?.match.name ?? '',
  };
}

/** To `to` itself, as the mesh's defaults say: where no route decides. */
export function directRoute(to: ServicePort): Forward {
  return {
    kind: 'forward',
    name: NO_ROUTE,
    backend: { to, subset: '' },
    consumerNamespace: undefined,
    authorNamespace: undefined,
    filters: [],
    authorizers: NO_AUTHORIZERS,
    matchedPrefixLength: 0,
    timeouts: { requestMs: undefined, requestFrom: 'first-byte', perTryMs: undefined },
    retry: DEFAULT_RETRY,
    hedgeAfterMs: undefined,
    session: undefined,
    cors: undefined,
    mirrors: [],
    fault: undefined,
  };
}

/** What the rule says. A redirect and a response of the user's need no backend. */
function follow(table: RouteTable, entry: RouteEntry, request: RequestView, random: Random): RouteDecision {
  const { route, rule } = entry;
  const name = routeName(route, entry);
  if (rule.unreadable !== undefined) {
    const says = `rule ${rule.name || entry.ruleIndex} of ${route.name} cannot be read: ${rule.unreadable}`;
    return respond(name, statusOf(route), 'unreadable', says);
  }
  const { filters } = rule;
  const immediate = immediateAnswer(table, entry, name, filters, [filters], request);
  if (immediate) return immediate;
  const backend = drawByWeight(rule.backends, random);
  if (backend === undefined) {
    const says = `rule ${rule.name || entry.ruleIndex} of ${route.name} has no backend`;
    return respond(name, statusOf(route), 'no-backend', says, [filters]);
  }
  return toBackend(table, entry, name, backend, request, random);
}

function toBackend(
  table: RouteTable,
  entry: RouteEntry,
  name: RouteName,
  { target, filters }: HttpBackend,
  request: RequestView,
  random: Random,
): RouteDecision {
  const { route, rule } = entry;
  const all = filters === NO_FILTERS ? [rule.filters] : [rule.filters, filters];
  if (target.kind === 'status') {
    const says = `a backend of ${route.name} does not exist or may not be used`;
    return respond(name, route.grpc ? 503 : target.status, 'invalid-backend', says, all);
  }
  const immediate = immediateAnswer(table, entry, name, filters, all, request);
  if (immediate) return immediate;
  const retry = rule.retry ?? DEFAULT_RETRY;
  return {
    kind: 'forward',
    name,
    backend: { to: atPort(target.to, table.port), subset: target.subset },
    consumerNamespace: route.consumerNamespace,
    authorNamespace: route.origin.namespace,
    filters: all,
    authorizers: authorizersOf(route, all),
    matchedPrefixLength: prefixLength(entry, request),
    timeouts: {
      requestMs: rule.requestTimeoutMs,
      requestFrom: route.inOrder ? 'last-byte' : 'first-byte',
      perTryMs: retry.perTryTimeoutMs ?? rule.backendRequestTimeoutMs,
    },
    retry,
    hedgeAfterMs: route.hedgeAfterMs,
    session: rule.session,
    cors: corsOf(all),
    mirrors: mirrorsOf(table, all, random),
    fault: rule.fault && drawFault(rule.fault, random),
  };
}

/** The answer that filters give without a backend. */
function immediateAnswer(
  table: RouteTable,
  entry: RouteEntry,
  name: RouteName,
  own: HttpFilters,
  filters: readonly HttpFilters[],
  request: RequestView,
): RouteDecision | undefined {
  const { redirect, directResponse } = own;
  if (redirect) {
    return {
      kind: 'redirect',
      name,
      status: redirect.status,
      location: redirectLocation(redirect, {
        request,
        port: table.port,
        matchedPrefixLength: prefixLength(entry, request),
        keepsAuthority: entry.route.inOrder,
      }),
      filters,
      authorizers: authorizersOf(entry.route, filters),
      cors: corsOf(filters),
    };
  }
  if (directResponse === undefined) return undefined;
  return {
    kind: 'respond',
    name,
    status: directResponse.status,
    body: directResponse.body,
    reason: 'direct-response',
    message: '',
    filters,
    cors: corsOf(filters),
  };
}

/** How much of the path a filter replaces that replaces the prefix that matched. A regular expression matched all of it. */
function prefixLength({ match: { path } }: RouteEntry, request: RequestView): number {
  if (path === undefined) return 0;
  return path.kind === 'regex' ? pathOnly(request.path).length : path.path.length;
}

function corsOf(filters: readonly HttpFilters[]): HttpFilters['cors'] {
  return filters.findLast(({ cors }) => cors !== undefined)?.cors;
}

const NO_AUTHORIZERS: readonly RouteAuthorizer[] = [];

/** The rule's first, then the backend's. */
function authorizersOf(
  { grpc, consumerNamespace, origin }: HttpRoute,
  filters: readonly HttpFilters[],
): readonly RouteAuthorizer[] {
  if (filters.every(({ externalAuth }) => externalAuth === undefined)) return NO_AUTHORIZERS;
  return filters.flatMap(({ externalAuth }): readonly RouteAuthorizer[] => {
    if (externalAuth === undefined) return [];
    if (externalAuth.kind === 'status') return [{ kind: 'status', status: grpc ? 503 : externalAuth.status }];
    const { to, authorizer } = externalAuth;
    const backend = { to, subset: '' };
    return [{ kind: 'service', authorizer, backend, consumerNamespace, authorNamespace: origin.namespace }];
  });
}

const NO_MIRRORS: readonly BackendService[] = [];

function mirrorsOf(
  table: RouteTable,
  filters: readonly HttpFilters[],
  random: Random,
): readonly BackendService[] {
  if (filters.every(({ mirrors }) => mirrors.length === 0)) return NO_MIRRORS;
  const drawn = (mirror: Mirror) =>
    happens(mirror.share, random) ? [{ to: atPort(mirror.target, table.port), subset: mirror.subset }] : [];
  return filters.flatMap(({ mirrors }) => mirrors.flatMap(drawn));
}

function drawFault(fault: Fault, random: Random): DrawnFault | undefined {
  const delayMs = happens(fault.delayShare, random) ? fault.delayMs : 0;
  const abort = fault.abort !== undefined && happens(fault.abortShare, random) ? fault.abort : undefined;
  return delayMs === 0 && abort === undefined ? undefined : { delayMs, abort };
}

function statusOf(route: HttpRoute): number {
  return route.grpc ? 503 : 500;
}

const NO_BODY = new Uint8Array();

function respond(
  name: RouteName,
  status: number,
  reason: RespondReason,
  message: string,
  filters: readonly HttpFilters[] = [],
): Responded {
  return { kind: 'respond', name, status, body: NO_BODY, reason, message, filters, cors: corsOf(filters) };
}
