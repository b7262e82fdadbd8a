/** What a rule of a VirtualService matches. Pure. */
import type { HttpMatch, NamedMatch, PathMatch, StringMatch, WaypointFields } from '@ambit/api/waypoint';
import type { HttpMatchRequest, StringMatch as Given } from '@ambit/kube/resources/networking';
import { isForMesh } from './scope.ts';

type Matches = Readonly<Record<string, Given>> | undefined;

/** `undefined`: never matches at a waypoint. */
export function httpMatch(match: HttpMatchRequest): WaypointFields<HttpMatch> | undefined {
  if (!isForMesh(match.gateways)) return undefined;
  // Of a pod that a waypoint does not see.
  if (Object.keys(match.sourceLabels ?? {}).length > 0) return undefined;
  const { uri, method, scheme, authority, ignoreUriCase = false } = match;
  const path = uri && pathMatch(uri, ignoreUriCase);
  return {
    name: match.name ?? '',
    ...(path && { path }),
    ...(method && { method: stringMatch(method) }),
    ...(scheme && { scheme: stringMatch(scheme) }),
    ...(authority && { authority: { ...stringMatch(authority), ignoreCase: true } }),
    headers: namedMatches(match.headers, (name) => name.toLowerCase()),
    withoutHeaders: namedMatches(match.withoutHeaders, (name) => name.toLowerCase()),
    queryParameters: namedMatches(match.queryParams, (name) => name),
    sourceNamespace: match.sourceNamespace ?? '',
    port: match.port ?? 0,
  };
}

/** Says nothing: every path. */
function pathMatch(
  { exact, prefix, regex }: Given,
  ignoreCase: boolean,
): WaypointFields<PathMatch> | undefined {
  if (exact !== undefined) return { kind: { $case: 'exact', value: exact }, ignoreCase };
  if (prefix !== undefined) return { kind: { $case: 'textPrefix', value: prefix }, ignoreCase };
  return regex === undefined ? undefined : { kind: { $case: 'regex', value: regex } };
}

/** Says nothing: any value. */
export function stringMatch({ exact, prefix, regex }: Given): WaypointFields<StringMatch> {
  if (exact !== undefined) return { kind: { $case: 'exact', value: exact } };
  if (prefix !== undefined) return { kind: { $case: 'prefix', value: prefix } };
  if (regex !== undefined) return { kind: { $case: 'regex', value: regex } };
  return { kind: { $case: 'present', value: true } };
}

function namedMatches(
  matches: Matches,
  nameOf: (name: string) => string,
): readonly WaypointFields<NamedMatch>[] {
  return Object.entries(matches ?? {}).map(([name, match]) => ({
    name: nameOf(name),
    value: stringMatch(match),
  }));
}
