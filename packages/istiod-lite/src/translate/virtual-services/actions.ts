/** What a rule of a VirtualService does with requests that it matches. Pure; the specification is valid. */
import type {
  Cors,
  Fault,
  HeaderChange,
  HttpBackend,
  HttpFilter,
  HttpRule,
  PathChange,
  Redirect,
  RetryPolicy,
  WaypointFields,
} from '@ambit/api/waypoint';
import type {
  CorsPolicy,
  HeaderOperations,
  Headers,
  HttpFaultInjection,
  HttpRedirect,
  HttpRetry,
  HttpRewrite,
  VirtualServiceHttpRoute,
} from '@ambit/kube/resources/networking';
import { goDurationMs, wireDurationMs } from '../go-duration.ts';
import { destinationOf, type VirtualServiceContext } from './context.ts';
import { stringMatch } from './matches.ts';

type WireFilter = WaypointFields<HttpFilter>;

/** What a request gets whose destination is not there, as from Envoy. */
const NO_SERVICE_STATUS = 503;
const MILLION = 1_000_000;
const PER_CENT = 100;

/** How the path was matched decides what a rewrite replaces: the prefix, or all of it. */
export type PathKind = 'prefix' | 'whole';

export function httpAction(
  route: VirtualServiceHttpRoute,
  pathKind: PathKind,
  context: VirtualServiceContext,
): WaypointFields<HttpRule> {
  return {
    name: route.name ?? '',
    filters: filtersOf(route, pathKind, context),
    backends: backendsOf(route, context),
    requestTimeoutMs: wireDurationMs(route.timeout),
    ...(route.retries && { retry: retryPolicy(route.retries) }),
    ...(route.fault && { fault: faultOf(route.fault) }),
  };
}

function filtersOf(
  route: VirtualServiceHttpRoute,
  pathKind: PathKind,
  context: VirtualServiceContext,
): readonly WireFilter[] {
  const { redirect, directResponse, rewrite, corsPolicy, headers } = route;
  const changes = headerFilters(headers);
  const authority = rewrite?.authority || changes.authority;
  return [
    ...changes.filters,
    ...(redirect
      ? [{ kind: { $case: 'redirect', value: redirectOf(redirect, pathKind) } } as const]
      : rewrite || authority
        ? [{ kind: { $case: 'rewrite', value: rewriteOf(rewrite ?? {}, authority, pathKind) } } as const]
        : []),
    ...mirrorsOf(route, context),
    ...(corsPolicy ? [{ kind: { $case: 'cors', value: corsOf(corsPolicy) } } as const] : []),
    ...(directResponse
      ? [{ kind: { $case: 'directResponse', value: responseOf(directResponse) } } as const]
      : []),
  ];
}

const AUTHORITY: ReadonlySet<string> = new Set(['host', ':authority']);

/** Setting Host is a rewrite of the authority. */
function headerFilters({ request = {}, response = {} }: Headers = {}): {
  readonly filters: readonly WireFilter[];
  readonly authority: string;
} {
  const set = Object.entries(request.set ?? {});
  const authority = set.find(([name]) => AUTHORITY.has(name.toLowerCase()))?.[1] ?? '';
  const others = Object.fromEntries(set.filter(([name]) => !AUTHORITY.has(name.toLowerCase())));
  const requestChange = headerChange({ ...request, set: others });
  const responseChange = headerChange(response);
  return {
    authority,
    filters: [
      ...(requestChange ? [{ kind: { $case: 'requestHeaders', value: requestChange } } as const] : []),
      ...(responseChange ? [{ kind: { $case: 'responseHeaders', value: responseChange } } as const] : []),
    ],
  };
}

function headerChange({
  set = {},
  add = {},
  remove = [],
}: HeaderOperations): WaypointFields<HeaderChange> | undefined {
  const fields = (given: Readonly<Record<string, string>>) =>
    Object.entries(given).map(([name, value]) => ({ name: name.toLowerCase(), value }));
  const change = { set: fields(set), add: fields(add), remove: remove.map((name) => name.toLowerCase()) };
  return Object.values(change).every(({ length }) => length === 0) ? undefined : change;
}

/** Istio's word for the prefix that matched. */
const PREFIX = '%PREFIX()%';
const DEFAULT_REDIRECT_STATUS = 301;

function redirectOf(redirect: HttpRedirect, pathKind: PathKind): WaypointFields<Redirect> {
  const { uri = '', prefixRewrite = '', authority = '', port, scheme = '', redirectCode } = redirect;
  const [host, hostPort] = splitPort(authority);
  const path = prefixRewrite
    ? pathChange(prefixRewrite, pathKind)
    : uri.startsWith(PREFIX)
      ? pathChange(uri.slice(PREFIX.length), pathKind)
      : uri
        ? ({ kind: { $case: 'replaceFull', value: uri } } as const)
        : undefined;
  return {
    scheme,
    hostname: host,
    ...(path && { path }),
    port: port ?? hostPort,
    portFromRequest: redirect.derivePort === 'FROM_REQUEST_PORT',
    status: redirectCode || DEFAULT_REDIRECT_STATUS,
  };
}

/** 0: none said. */
function splitPort(authority: string): readonly [host: string, port: number] {
  const match = /^(.*):([0-9]{1,5})$/.exec(authority);
  return match && Number(match[2]) <= 65_535 ? [match[1] ?? '', Number(match[2])] : [authority, 0];
}

function pathChange(value: string, pathKind: PathKind): WaypointFields<PathChange> {
  return { kind: { $case: pathKind === 'prefix' ? 'replacePrefix' : 'replaceFull', value } };
}

function rewriteOf({ uri = '', uriRegexRewrite: regex }: HttpRewrite, hostname: string, pathKind: PathKind) {
  if (regex?.match)
    return {
      hostname,
      path: {
        kind: { $case: 'regex', value: { match: regex.match, rewrite: regex.rewrite ?? '' } },
      } as const,
    };
  return { hostname, ...(uri && { path: pathChange(uri, pathKind) }) };
}

function mirrorsOf(route: VirtualServiceHttpRoute, context: VirtualServiceContext): readonly WireFilter[] {
  const { mirror, mirrors = [], mirrorPercentage, mirrorPercent, mirror_percent: older } = route;
  const single = mirrorPercentage?.value ?? mirrorPercent ?? older;
  const all = [
    ...(mirror ? [{ destination: mirror, value: single }] : []),
    ...mirrors.map(({ destination, percentage }) => ({ destination, value: percentage?.value })),
  ];
  return all.flatMap(({ destination, value = PER_CENT }): readonly WireFilter[] => {
    const service = destinationOf(destination, context);
    const numerator = Math.round((Math.min(value, PER_CENT) / PER_CENT) * MILLION);
    if (!service || numerator === 0) return [];
    const { subset = '' } = destination;
    return [{ kind: { $case: 'mirror', value: { service, subset, numerator, denominator: MILLION } } }];
  });
}

function corsOf({
  allowOrigin = [],
  allowOrigins,
  allowMethods = [],
  allowHeaders = [],
  exposeHeaders = [],
  maxAge,
  allowCredentials = false,
  unmatchedPreflights,
}: CorsPolicy): WaypointFields<Cors> {
  const lower = (names: readonly string[]) => names.map((name) => name.toLowerCase());
  return {
    allowOrigins: (allowOrigins ?? allowOrigin.map((exact) => ({ exact }))).map(stringMatch),
    allowCredentials,
    allowMethods: [...allowMethods],
    allowHeaders: lower(allowHeaders),
    exposeHeaders: lower(exposeHeaders),
    maxAgeS: Math.floor(wireDurationMs(maxAge) / 1_000),
    forwardUnmatchedPreflights: unmatchedPreflights !== 'IGNORE',
  };
}

function responseOf({ status, body = {} }: NonNullable<VirtualServiceHttpRoute['directResponse']>) {
  const { string: text, bytes } = body;
  return { status, body: text === undefined ? bytesOfBase64(bytes ?? '') : new TextEncoder().encode(text) };
}

/** What is no base64 is nothing; validation has spoken of it. */
export function bytesOfBase64(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

/** One alone gets everything, whatever its weight. */
function backendsOf(
  { route = [], redirect, directResponse }: VirtualServiceHttpRoute,
  context: VirtualServiceContext,
): readonly WaypointFields<HttpBackend>[] {
  if (redirect || directResponse) return [];
  return route.flatMap((given): readonly WaypointFields<HttpBackend>[] => {
    const weight = route.length === 1 ? 1 : (given.weight ?? 0);
    if (weight === 0) return [];
    const service = destinationOf(given.destination, context);
    if (!service) return [{ target: { $case: 'status', value: NO_SERVICE_STATUS }, weight }];
    const { filters, authority } = headerFilters(given.headers);
    return [
      {
        target: { $case: 'service', value: service },
        weight,
        subset: given.destination.subset ?? '',
        filters: [
          ...filters,
          ...(authority ? [{ kind: { $case: 'rewrite', value: { hostname: authority } } } as const] : []),
        ],
      },
    ];
  });
}

/** Words and statuses, with commas between them. */
export function retryWords(retryOn: string): {
  readonly words: readonly string[];
  readonly codes: readonly number[];
} {
  const parts = retryOn
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const isCode = (part: string) => /^[0-9]+$/.test(part);
  return { words: parts.filter((part) => !isCode(part)), codes: parts.filter(isCode).map(Number) };
}

const DEFAULT_RETRIED: readonly string[] = ['connect-failure', 'refused-stream', 'unavailable', 'cancelled'];

function retryPolicy(given: HttpRetry): WaypointFields<RetryPolicy> {
  const { words, codes } = retryWords(given.retryOn ?? '');
  const nothing = words.length === 0 && codes.length === 0;
  return {
    // As in Istio: whoever speaks of retries and says not how many has none.
    attempts: given.attempts ?? 0,
    retryOn: nothing ? DEFAULT_RETRIED : words.length > 0 ? words : ['retriable-status-codes'],
    statusCodes: codes,
    perTryTimeoutMs: wireDurationMs(given.perTryTimeout),
    backoffMs: wireDurationMs(given.backoff),
    otherLocalities: given.retryRemoteLocalities ?? false,
    ignorePreviousHosts: given.retryIgnorePreviousHosts ?? true,
  };
}

function faultOf({ delay = {}, abort = {} }: HttpFaultInjection): WaypointFields<Fault> {
  const ppm = (percent: number | undefined) => Math.round(((percent ?? 0) / PER_CENT) * MILLION);
  return {
    delayPpm: ppm(delay.percentage?.value ?? delay.percent),
    delayMs: Math.min(goDurationMs(delay.fixedDelay ?? '') ?? 0, MAX_DELAY_MS),
    abortPpm: ppm(abort.percentage?.value),
    abortStatus: abort.httpStatus ?? 0,
    abortGrpcStatus: abort.grpcStatus ?? '',
  };
}

/** A request that waits holds memory: an hour is longer than any client's patience. */
const MAX_DELAY_MS = 3_600_000;
