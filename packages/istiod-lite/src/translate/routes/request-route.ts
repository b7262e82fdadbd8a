/**
 * HTTPRoute and GRPCRoute as what waypoints route requests by. Pure.
 *
 * A rule that cannot be read refuses what it matches, and a route whose matches cannot be read refuses all requests of its
 * parents: a request never falls through to a rule that was not meant for it.
 */
import type {
  HttpBackend,
  HttpMatch,
  HttpRule,
  RetryPolicy,
  SessionPersistence,
  WaypointFields,
} from '@ambit/api/waypoint';
import { SessionKind } from '@ambit/api/waypoint';
import { isKubeObject } from '@ambit/kube/resource';
import type {
  FilteredBackend,
  GrpcRoute,
  GrpcRouteMatch,
  GrpcRouteRule,
  HttpRoute,
  HttpRouteMatch,
  HttpRouteRule,
  SessionPersistence as GivenSession,
} from '@ambit/kube/resources/routes';
import { schemaProblems, type StructuralSchema } from '../../schema/openapi.ts';
import {
  grpcRouteMatches,
  grpcRouteRule,
  httpRouteMatches,
  httpRouteRule,
  routeSpec,
} from '../../schema/routes.ts';
import { patternsProblem } from '../../validate/patterns.ts';
import { type BackendContext, backendOf } from './backends.ts';
import { gatewayDurationMs } from './durations.ts';
import { type FilterContext, translateFilters } from './filters.ts';
import { grpcMatch, httpMatch, isPrefixMatch } from './matches.ts';
import { HEDGE_ANNOTATION, hedgeAfterMs, hedgingProblem } from './hedging.ts';
import { type ParentLookup, parentsOf } from './parents.ts';
import { References, type RuleProblem, RuleRefusal } from './problems.ts';
import { cookiePath, token } from './texts.ts';
import { originOf, parentGroups, type TranslatedRoute } from './translated.ts';

type WireRule = WaypointFields<HttpRule>;

/** What a backend's share of requests gets when the backend cannot be used. */
const REFUSED_STATUS = 500;
const DEFAULT_RETRIES = 2;
/** As many as a waypoint takes. */
const MAX_RETRIES = 100;
const RETRIED: readonly string[] = ['connect-failure', 'refused-stream', 'unavailable', 'cancelled'];

export function translateHttpRoute(route: HttpRoute, lookup: ParentLookup): TranslatedRoute | undefined {
  return translate(route, lookup, {
    kind: 'HTTPRoute',
    schema: { rule: httpRouteRule, matches: httpRouteMatches },
    matchesOf: httpMatches,
    more: httpMore,
  });
}

export function translateGrpcRoute(route: GrpcRoute, lookup: ParentLookup): TranslatedRoute | undefined {
  return translate(route, lookup, {
    kind: 'GRPCRoute',
    schema: { rule: grpcRouteRule, matches: grpcRouteMatches },
    matchesOf: grpcMatches,
    more: ({ sessionPersistence }, place) => sessionOf(sessionPersistence, place),
  });
}

interface Dialect<Rule extends HttpRouteRule | GrpcRouteRule> {
  readonly kind: 'HTTPRoute' | 'GRPCRoute';
  readonly schema: { readonly rule: StructuralSchema; readonly matches: StructuralSchema };
  readonly matchesOf: (rule: Rule) => {
    readonly matches: readonly WaypointFields<HttpMatch>[];
    readonly matchesPrefixes: boolean;
  };
  /** What a rule says beside matches, filters and backends; `place` is a name of the rule among all. */
  readonly more: (rule: Rule, place: string) => WireRule;
}

/** `undefined` if nothing in it can be read, so that it is attached to nothing. */
function translate<Rule extends HttpRouteRule | GrpcRouteRule>(
  route: { readonly metadata: HttpRoute['metadata']; readonly spec?: unknown },
  lookup: ParentLookup,
  dialect: Dialect<Rule>,
): TranslatedRoute | undefined {
  const { namespace = '', name, generation } = route.metadata;
  const spec = (route.spec ?? {}) as NonNullable<HttpRoute['spec']>;
  if (!isKubeObject(route) || schemaProblems(routeSpec, spec, 'spec').length > 0) return undefined;
  const parents = parentsOf(spec.parentRefs ?? [], namespace, lookup);
  if (parents.length === 0) return undefined;
  const references = new References();
  const backends = { routeNamespace: namespace, catalog: lookup.catalog, references };
  const place = (i: number) => `${dialect.kind}/${namespace}/${name}/${i}`;
  const patterns = patternsProblem(spec.rules);
  const read: readonly ReadRule[] =
    patterns === undefined
      ? (spec.rules ?? []).map((rule, i) => readRule(rule as unknown as Rule, i, place(i), backends, dialect))
      : [
          {
            rule: {},
            problem: { reason: 'UnsupportedValue', message: `rules: ${patterns}` },
            matched: false,
          },
        ];
  // Nobody knows which requests a rule is for whose matches cannot be read.
  const unreadable = read.find(({ matched }) => !matched)?.problem?.message ?? '';
  const rules = read.map(({ rule }) => rule);
  const origin = originOf(dialect.kind, route);
  const hedging = hedgingProblem(route);
  const resources = parentGroups(parents, namespace).map(({ suffix, consumerNamespace, services }) => ({
    type: 'HttpRoute' as const,
    name: `${dialect.kind}/${namespace}/${name}${suffix}`,
    value: {
      origin,
      parents: services,
      grpc: dialect.kind === 'GRPCRoute',
      consumerNamespace,
      hedgeAfterMs: hedgeAfterMs(route),
      ...(unreadable === '' ? { rules } : { unreadable }),
    },
  }));
  return {
    resources,
    parents,
    uses: references.services,
    references: references.problems,
    rules: read.flatMap(({ problem }) => problem ?? []),
    unheeded: hedging === undefined ? [] : [`metadata.annotations[${HEDGE_ANNOTATION}] ${hedging}`],
    generation,
  };
}

interface ReadRule {
  readonly rule: WireRule;
  readonly problem: RuleProblem | undefined;
  /** Whether it is known what the rule is for. */
  readonly matched: boolean;
}

function readRule<Rule extends HttpRouteRule | GrpcRouteRule>(
  given: Rule,
  i: number,
  place: string,
  backends: BackendContext,
  { schema, matchesOf, more }: Dialect<Rule>,
): ReadRule {
  const check = (part: StructuralSchema, value: unknown, path: string) => {
    const [wrong] = schemaProblems(part, value, path);
    if (wrong !== undefined) throw new RuleRefusal(wrong);
  };
  let matches: WireRule['matches'];
  try {
    if (given.matches !== undefined) check(schema.matches, given.matches, `rules[${i}].matches`);
    const matched = matchesOf(given);
    matches = matched.matches;
    check(schema.rule, given, `rules[${i}]`);
    const context = { ...backends, matchesPrefixes: matched.matchesPrefixes };
    const rule: WireRule = {
      name: nameOf(given),
      matches,
      filters: translateFilters(given.filters ?? [], context),
      backends: backendsOf(given.backendRefs ?? [], context),
      ...more(given, place),
    };
    return { rule, problem: undefined, matched: true };
  } catch (error) {
    if (!(error instanceof RuleRefusal)) throw error;
    const message = error.message.startsWith('rules[') ? error.message : `rules[${i}]: ${error.message}`;
    const problem = { reason: error.reason, message };
    const rule = { name: nameOf(given), ...(matches && { matches }), unreadable: problem.message };
    return { rule, problem, matched: matches !== undefined };
  }
}

function nameOf({ name }: { readonly name?: unknown }): string {
  return typeof name === 'string' ? name : '';
}

function httpMatches({ matches = [] }: HttpRouteRule) {
  return {
    matches: matches.map((match: HttpRouteMatch) => httpMatch(match)),
    matchesPrefixes: matches.every(isPrefixMatch),
  };
}

function grpcMatches({ matches = [] }: GrpcRouteRule) {
  return { matches: matches.map((match: GrpcRouteMatch) => grpcMatch(match)), matchesPrefixes: false };
}

/** One of weight 0 gets nothing, and so is not there. */
function backendsOf(
  backends: readonly FilteredBackend[],
  context: FilterContext,
): readonly WaypointFields<HttpBackend>[] {
  return backends.flatMap((reference): readonly WaypointFields<HttpBackend>[] => {
    const { weight = 1, filters: given = [] } = reference;
    const service = backendOf(reference, context);
    const filters = translateFilters(given, context);
    if (weight === 0) return [];
    return service
      ? [{ target: { $case: 'service', value: service }, weight, filters }]
      : [{ target: { $case: 'status', value: REFUSED_STATUS }, weight }];
  });
}

function httpMore({ timeouts = {}, retry, sessionPersistence }: HttpRouteRule, place: string): WireRule {
  return {
    requestTimeoutMs: durationMs(timeouts.request),
    backendRequestTimeoutMs: durationMs(timeouts.backendRequest),
    ...(retry && { retry: retryPolicy(retry) }),
    ...sessionOf(sessionPersistence, place),
  };
}

function retryPolicy({
  codes = [],
  attempts = DEFAULT_RETRIES,
  backoff,
}: NonNullable<HttpRouteRule['retry']>): WaypointFields<RetryPolicy> {
  if (attempts > MAX_RETRIES) throw new RuleRefusal(`more than ${MAX_RETRIES} retries`);
  return {
    attempts: Math.max(0, attempts),
    retryOn: RETRIED,
    statusCodes: [...codes],
    backoffMs: durationMs(backoff),
    ignorePreviousHosts: true,
  };
}

function sessionOf(given: GivenSession | undefined, place: string): WireRule {
  return given ? { session: sessionPersistence(given, place) } : {};
}

/** As release 1.7 of the Gateway API spells it, or as those before it do. */
function sessionPersistence(
  { absoluteTimeout, idleTimeout, type = 'Cookie', ...given }: GivenSession,
  place: string,
): WaypointFields<SessionPersistence> {
  if (type !== 'Cookie' && type !== 'Header')
    throw new RuleRefusal(`session persistence of type ${type} is not supported`);
  if (type === 'Header' && given.cookie)
    throw new RuleRefusal('session persistence: cookie is for type Cookie alone');
  if (type === 'Cookie' && given.header)
    throw new RuleRefusal('session persistence: header is for type Header alone');
  const { name, path = '', lifetimeType } = { ...given.cookieConfig, ...given.cookie, ...given.header };
  return {
    sessionName: token(name || given.sessionName || `session-${fingerprint(place)}`),
    kind: type === 'Cookie' ? SessionKind.COOKIE : SessionKind.HEADER,
    absoluteTimeoutMs: BigInt(durationMs(absoluteTimeout)),
    idleTimeoutMs: BigInt(durationMs(idleTimeout)),
    permanentCookie: lifetimeType === 'Permanent',
    cookiePath: cookiePath(path),
  };
}

/** FNV-1a: sessions of two rules must not have one name, and need not be secret. */
function fingerprint(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash.toString(16).padStart(8, '0');
}

/** 0 for none. @throws {@link RuleRefusal} */
function durationMs(text: string | undefined): number {
  if (text === undefined) return 0;
  const ms = gatewayDurationMs(text);
  if (ms === undefined) throw new RuleRefusal(`"${text}" is not a duration`);
  return ms;
}
