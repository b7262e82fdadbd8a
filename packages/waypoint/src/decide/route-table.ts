/**
 * The routes of one port of a service, indexed for requests. Built by the store, again whenever one of them changes.
 *
 * Matches of Gateway API routes compete: exact path, longest prefix, regular expression, everything; among equals method,
 * number of headers, number of query parameters, age of the route, place in it. So they are kept by path, and a request
 * looks at those of its path alone, however many routes there are. Matches of a VirtualService are asked in order.
 */
import type { ServiceKey } from '@ambit/model/address';
import type { HttpMatch, HttpRoute, HttpRule } from '../resources/http-route.ts';
import { byAge } from '../resources/origin.ts';

export interface RouteTable {
  readonly service: ServiceKey;
  readonly port: number;
  /** All that have the port as their parent, those that are not asked included. */
  readonly routes: readonly HttpRoute[];
  /** `undefined`: requests go to the service itself. */
  readonly producer: RouteGroup | undefined;
  /** By the client's namespace: instead of {@link producer}. */
  readonly consumers: ReadonlyMap<string, RouteGroup>;
}

/** Routes that a request may meet together. */
export type RouteGroup =
  | { readonly kind: 'ordered'; readonly entries: readonly RouteEntry[] }
  | { readonly kind: 'indexed'; readonly index: PathIndex }
  /** One of them cannot be read, and nobody knows what it would have matched. */
  | { readonly kind: 'unreadable'; readonly route: HttpRoute; readonly problem: string };

/** One match of one rule. */
export interface RouteEntry {
  readonly route: HttpRoute;
  readonly rule: HttpRule;
  readonly ruleIndex: number;
  readonly match: HttpMatch;
  readonly matchIndex: number;
}

/** Every list in the order of precedence. */
export interface PathIndex {
  readonly exact: ReadonlyMap<string, readonly RouteEntry[]>;
  /** By the prefix without its last slash. */
  readonly prefixes: ReadonlyMap<string, readonly RouteEntry[]>;
  /** Characters: no longer part of a path need be looked up. */
  readonly longestPrefix: number;
  /** Conditions on the path that are neither: regular expressions, and paths whatever their case. */
  readonly patterns: readonly RouteEntry[];
  /** Those with the prefix `/`, or no condition on the path. */
  readonly everything: readonly RouteEntry[];
}

export function buildRouteTable(service: ServiceKey, port: number, routes: readonly HttpRoute[]): RouteTable {
  const here = routes
    .filter(({ parents }) =>
      parents.some((parent) => parent.service === service && (parent.port === 0 || parent.port === port)),
    )
    .toSorted((a, b) => byAge(a.origin, b.origin));
  const namespaces = new Set(here.flatMap(({ consumerNamespace }) => consumerNamespace ?? []));
  const of = (namespace: string | undefined) =>
    groupOf(
      here.filter(({ consumerNamespace }) => consumerNamespace === namespace),
      port,
    );
  const consumers = [...namespaces].flatMap((namespace) => {
    const group = of(namespace);
    return group ? [[namespace, group] as const] : [];
  });
  return { service, port, routes: here, producer: of(undefined), consumers: new Map(consumers) };
}

/** @param routes - From the oldest on. */
function groupOf(routes: readonly HttpRoute[], port: number): RouteGroup | undefined {
  const competing = routes.filter(({ inOrder }) => !inOrder);
  const oldest = routes.find(({ inOrder }) => inOrder);
  const asked = competing.length > 0 ? competing : oldest ? [oldest] : [];
  if (asked.length === 0) return undefined;
  const unreadable = asked.find((route) => route.unreadable !== undefined);
  if (unreadable) return { kind: 'unreadable', route: unreadable, problem: unreadable.unreadable ?? '' };
  const entries = asked.flatMap((route) => entriesOf(route, port));
  return competing.length > 0 ? { kind: 'indexed', index: indexOf(entries) } : { kind: 'ordered', entries };
}

const EVERYTHING: HttpMatch = {
  path: undefined,
  method: undefined,
  headers: [],
  withoutHeaders: [],
  queryParameters: [],
  scheme: undefined,
  authority: undefined,
  sourceNamespace: undefined,
  port: 0,
  name: '',
};

function entriesOf(route: HttpRoute, port: number): readonly RouteEntry[] {
  return route.rules.flatMap((rule, ruleIndex) => {
    const matches = rule.matches.length > 0 ? rule.matches : [EVERYTHING];
    return matches.flatMap((match, matchIndex) =>
      match.port === 0 || match.port === port ? [{ route, rule, ruleIndex, match, matchIndex }] : [],
    );
  });
}

/** @param entries - From the oldest route on, in the order of each. Sorting keeps that among equals. */
function indexOf(entries: readonly RouteEntry[]): PathIndex {
  const exact = new Map<string, RouteEntry[]>();
  const prefixes = new Map<string, RouteEntry[]>();
  const patterns: RouteEntry[] = [];
  const everything: RouteEntry[] = [];
  for (const entry of entries) {
    const { path } = entry.match;
    if (path === undefined || (path.kind === 'segment-prefix' && path.path === '')) everything.push(entry);
    else if (path.kind === 'regex' || path.kind === 'text-prefix' || path.ignoreCase) patterns.push(entry);
    else push(path.kind === 'exact' ? exact : prefixes, path.path, entry);
  }
  for (const list of [...exact.values(), ...prefixes.values(), everything]) list.sort(bySpecificity);
  patterns.sort((a, b) => patternLength(b) - patternLength(a) || bySpecificity(a, b));
  const longestPrefix = Math.max(0, ...[...prefixes.keys()].map(({ length }) => length));
  return { exact, prefixes, longestPrefix, patterns, everything };
}

function push(map: Map<string, RouteEntry[]>, key: string, entry: RouteEntry): void {
  const list = map.get(key);
  if (list) list.push(entry);
  else map.set(key, [entry]);
}

function patternLength({ match: { path } }: RouteEntry): number {
  if (path === undefined) return 0;
  return path.kind === 'regex' ? path.regex.pattern.length : path.path.length;
}

/** Among matches with the same condition on the path. Age and place in the route decide where this says 0. */
function bySpecificity(a: RouteEntry, b: RouteEntry): number {
  return (
    Number(b.match.method !== undefined) - Number(a.match.method !== undefined) ||
    headerCount(b) - headerCount(a) ||
    b.match.queryParameters.length - a.match.queryParameters.length
  );
}

function headerCount({ match }: RouteEntry): number {
  return match.headers.length + match.withoutHeaders.length;
}
