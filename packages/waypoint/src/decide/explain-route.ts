/** Which match of which route a request meets, and what in the others did not hold: by the functions that decide it. */
import { formatTextMatch, type NamedMatch } from '../resources/text-match.ts';
import type { HttpMatch, PathMatch } from '../resources/http-route.ts';
import { MAX_EXPLAINED, MAX_EXPLAINED_TEXT } from './explain-limits.ts';
import { failingPart, type MatchFailure, type RequestFacts } from './match-request.ts';
import { findEntry, groupFor } from './route.ts';
import type { RouteEntry, RouteGroup, RouteTable } from './route-table.ts';
import { isSecretName, NOT_SHOWN } from '@ambit/core/secret-names';

export interface RouteTrace {
  /** Whose routes were asked: the producer's, or those of the client's namespace. */
  readonly group: 'none' | 'producer' | 'consumer';
  readonly chosen: MatchTrace | undefined;
  readonly others: readonly MatchTrace[];
  /** Matches that are not told of. */
  readonly more: number;
  /** Routes that were not asked, since others of the same service take their place. */
  readonly notAsked: readonly string[];
}

/** One match of one rule. Rules and matches count from 0. */
export interface MatchTrace {
  /** `KIND/namespace/name`. */
  readonly route: string;
  readonly rule: string;
  readonly ruleIndex: number;
  readonly matchIndex: number;
  /** What it asks for, such as `path /a/… and header x = 1`. */
  readonly wants: string;
  /** What did not hold, and what the request has there; `undefined`: it matches, and another comes before it. */
  readonly failed: string | undefined;
}

export function explainRoute(table: RouteTable, facts: RequestFacts): RouteTrace {
  const group = groupFor(table, facts);
  const asked = group === undefined ? [] : entriesOf(group);
  const chosen = group === undefined || group.kind === 'unreadable' ? undefined : findEntry(group, facts);
  const others = asked.filter((entry) => entry !== chosen);
  const names = new Set(
    group?.kind === 'unreadable' ? [group.route.name] : asked.map(({ route }) => route.name),
  );
  return {
    group: group === undefined ? 'none' : group === table.producer ? 'producer' : 'consumer',
    chosen: chosen && traceMatch(chosen, facts),
    others: others.slice(0, MAX_EXPLAINED).map((entry) => traceMatch(entry, facts)),
    more: Math.max(0, others.length - MAX_EXPLAINED),
    notAsked: table.routes
      .filter(({ name, rules }) => !names.has(name) && rules.length > 0)
      .map(({ name }) => name)
      .slice(0, MAX_EXPLAINED),
  };
}

/** In the order of precedence, as far as they compete for one path. */
function entriesOf(group: RouteGroup): readonly RouteEntry[] {
  switch (group.kind) {
    case 'ordered':
      return group.entries;
    case 'indexed': {
      const { exact, prefixes, patterns, everything } = group.index;
      return [...exact.values(), ...prefixes.values(), patterns, everything].flat();
    }
    case 'unreadable':
      return [];
    default:
      return group satisfies never;
  }
}

function traceMatch(entry: RouteEntry, facts: RequestFacts): MatchTrace {
  const { route, rule, ruleIndex, match, matchIndex } = entry;
  const failure = failingPart(entry, facts);
  return {
    route: route.name,
    rule: rule.name,
    ruleIndex,
    matchIndex,
    wants: short(formatMatch(match, route.grpc)),
    failed: failure && short(formatFailure(failure, facts)),
  };
}

function short(text: string): string {
  return text.length > MAX_EXPLAINED_TEXT ? `${text.slice(0, MAX_EXPLAINED_TEXT)}…` : text;
}

/** For people. */
export function formatMatch(match: HttpMatch, grpc: boolean): string {
  const parts = [
    ...(grpc ? ['gRPC'] : []),
    ...(match.path ? [`path ${formatPath(match.path)}`] : []),
    ...(match.method ? [`method ${formatTextMatch(match.method)}`] : []),
    ...match.headers.map((named) => `header ${formatNamed(named)}`),
    ...match.withoutHeaders.map((named) => `no header ${formatNamed(named)}`),
    ...match.queryParameters.map((named) => `query parameter ${formatNamed(named)}`),
    ...(match.scheme ? [`scheme ${formatTextMatch(match.scheme)}`] : []),
    ...(match.authority ? [`host ${formatTextMatch(match.authority)}`] : []),
    ...(match.sourceNamespace === undefined ? [] : [`clients of ${match.sourceNamespace}`]),
  ];
  return parts.length === 0 ? 'every request' : parts.join(' and ');
}

function formatNamed({ name, value }: NamedMatch): string {
  return `${name} ${isSecretName(name) ? NOT_SHOWN : formatTextMatch(value)}`;
}

function formatPath(path: PathMatch): string {
  switch (path.kind) {
    case 'exact':
      return `= ${path.path}`;
    case 'segment-prefix':
      return `${path.path}/…`;
    case 'text-prefix':
      return `${path.path}…`;
    case 'regex':
      return `~ ${path.regex.pattern}`;
    default:
      return path satisfies never;
  }
}

function formatFailure(failure: MatchFailure, { request, path, sourceNamespace }: RequestFacts): string {
  switch (failure.part) {
    case 'path':
      return `the path is ${path}`;
    case 'method':
      return `the method is ${request.method}`;
    case 'scheme':
      return `the scheme is ${request.scheme}`;
    case 'authority':
      return `the host is ${request.authority}`;
    case 'source-namespace':
      return `the client is of ${sourceNamespace ?? 'no namespace'}`;
    case 'undecidable':
      return 'a regular expression is not tried on a text as long as the request has there: it is refused with 400';
    case 'grpc':
      return 'the request is not gRPC';
    case 'header':
      return `header ${failure.name} is missing or another`;
    case 'without-header':
      return `header ${failure.name} is there`;
    case 'query-parameter':
      return `query parameter ${failure.name} is missing or another`;
    default:
      return failure satisfies never;
  }
}
