/** What a rule of an HTTPRoute or GRPCRoute matches. Pure. */
import type { HttpMatch, NamedMatch, PathMatch, StringMatch, WaypointFields } from '@ambit/api/waypoint';
import { LinearRegex } from '@ambit/core/linear-regex';
import type { GrpcRouteMatch, HttpRouteMatch, TypedValue } from '@ambit/kube/resources/routes';
import { quoted } from './filters.ts';
import { RuleRefusal } from './problems.ts';
import { headerName } from './texts.ts';

/** @throws {@link RuleRefusal} */
export function httpMatch({ path, headers, queryParams, method }: HttpRouteMatch): WaypointFields<HttpMatch> {
  return {
    ...(path && { path: pathMatch(path) }),
    ...(method !== undefined && { method: exactly(method) }),
    headers: namedMatches(headers, headerName),
    queryParameters: namedMatches(queryParams, (name) => name),
  };
}

/** @throws {@link RuleRefusal} */
export function grpcMatch({ method, headers }: GrpcRouteMatch): WaypointFields<HttpMatch> {
  const path = method && methodPath(method);
  return { ...(path && { path }), headers: namedMatches(headers, headerName) };
}

/** Without a path, a match is one of the prefix `/`. */
export function isPrefixMatch({ path }: HttpRouteMatch): boolean {
  return (path?.type ?? 'PathPrefix') === 'PathPrefix';
}

function pathMatch({ type = 'PathPrefix', value = '/' }: NonNullable<HttpRouteMatch['path']>) {
  switch (type) {
    case 'Exact':
      return pathOf('exact', value);
    case 'PathPrefix':
      // By segments, so that a slash at the end says nothing.
      return pathOf('segmentPrefix', value.length > 1 ? value.replace(/\/+$/, '') || '/' : value);
    case 'RegularExpression':
      return pathOf('regex', value);
    default:
      throw new RuleRefusal(`path match ${type} is not supported`);
  }
}

/** `/service/method`, each of them any where it is not given. */
function methodPath({
  type = 'Exact',
  service = '',
  method = '',
}: NonNullable<GrpcRouteMatch['method']>): WaypointFields<PathMatch> | undefined {
  if (service === '' && method === '') return undefined;
  switch (type) {
    case 'Exact':
      if (method === '') return pathOf('segmentPrefix', `/${service}`);
      return service === ''
        ? pathOf('regex', `/[^/]+/${quoted(method)}`)
        : pathOf('exact', `/${service}/${method}`);
    case 'RegularExpression':
      return pathOf('regex', `/${pattern(service)}/${pattern(method)}`);
    default:
      throw new RuleRefusal(`method match ${type} is not supported`);
  }
}

function pattern(regex: string): string {
  return regex === '' ? '[^/]+' : `(?:${regex})`;
}

function pathOf($case: 'exact' | 'segmentPrefix' | 'regex', value: string): WaypointFields<PathMatch> {
  return { kind: { $case, value: $case === 'regex' ? compiling(value) : value } };
}

/** The pattern, if a waypoint could match with it. */
function compiling(pattern: string): string {
  const compiled = LinearRegex.compile(pattern);
  if (compiled.kind === 'problem') throw new RuleRefusal(compiled.problem);
  return pattern;
}

/** Of several that are about one name, the first counts. */
function namedMatches(
  values: readonly TypedValue[] = [],
  nameOf: (name: string) => string,
): readonly WaypointFields<NamedMatch>[] {
  const byName = new Map<string, TypedValue>();
  for (const value of values) {
    const name = nameOf(value.name);
    if (!byName.has(name)) byName.set(name, value);
  }
  return [...byName].map(([name, { type = 'Exact', value }]) => ({ name, value: valueMatch(type, value) }));
}

function valueMatch(type: string, value: string): WaypointFields<StringMatch> {
  if (type === 'Exact') return exactly(value);
  if (type === 'RegularExpression') return { kind: { $case: 'regex', value: compiling(value) } };
  throw new RuleRefusal(`match ${type} is not supported`);
}

function exactly(value: string): WaypointFields<StringMatch> {
  return { kind: { $case: 'exact', value } };
}
