/**
 * What would become of a request, as steps that a person can follow. Plain data, for `/debug/why` and `ambit why`; its shape
 * is that of a ztunnel's answer, whose steps it continues.
 *
 * Steps tell what the decisions decided, by asking the same functions; nothing is decided here, asked of anybody or drawn:
 * where there is a choice by weight, all of it is told.
 */
import type { Destination } from '../resources/destination-policy.ts';
import type { HttpRule } from '../resources/http-route.ts';
import type { PathNormalization } from '../resources/mesh-settings.ts';
import type { PortConfig } from '../resources/snapshot.ts';
import type { AuthorizationSubject } from './authorization-facts.ts';
import type { RequestChanges } from './filters.ts';
import { MAX_EXPLAINED } from './explain-limits.ts';
import { type AuthorizationTrace, explainPolicies } from './explain-policies.ts';
import { explainRoute, type RouteTrace } from './explain-route.ts';
import { normalizePath } from './normalize-path.ts';
import type { ConnectionView, RequestView, TokenClaims } from './request-view.ts';
import { decideRoute, findEntry, groupFor, requestFacts } from './route.ts';
import { questionView } from './route-authorizer.ts';
import type { Lead, RouteAuthorizer, RouteDecision } from './route-decision.ts';
import { decideStream, type StreamView } from './stream.ts';
import { refusalOf } from './verdict.ts';

/** `ok`: goes on. `refuse`: ends here. `unknown`: cannot be said. */
export type StepOutcome = 'ok' | 'refuse' | 'unknown';

export interface WhyStep {
  readonly step: 'path' | 'authentication' | 'authorization' | 'route' | 'backend' | 'endpoint' | 'tries';
  readonly outcome: StepOutcome;
  /** One sentence, for people. */
  readonly message: string;
  readonly detail?: unknown;
}

export type EndpointsTrace =
  | { readonly kind: 'all'; readonly all: readonly EndpointTrace[] }
  /** The service leaves it to the client. */
  | { readonly kind: 'chosen' }
  /** A name server is being asked. */
  | { readonly kind: 'awaited' }
  | { readonly kind: 'none'; readonly problem: string };

/** Endpoints of a backend, as whoever holds them tells. */
export interface EndpointTrace {
  readonly endpoint: string;
  readonly workload: string;
  /** From 0, the most preferred on. */
  readonly level: number;
  readonly weight: number;
  readonly healthy: boolean;
}

/** What is known of the tokens that the request brings. */
export type TokenFinding =
  /** Nobody looked: this is what a believed one would say. */
  | { readonly kind: 'assumed'; readonly claims: TokenClaims }
  /** As requests are asked for theirs; `undefined`: it brings none. */
  | { readonly kind: 'verified'; readonly claims: TokenClaims | undefined }
  | { readonly kind: 'refused'; readonly status: number; readonly reason: string };

/** The policy that keeps the client from where a route leads it, as foreign-backend.ts has it. */
export type KeptFrom = (
  lead: Lead & Partial<RequestChanges>,
  subject: AuthorizationSubject,
  led?: AuthorizationSubject,
) => string | undefined;

/** Whether the mesh's settings know a provider of that name, of a kind that authorizes. */
export type Authorizes = (provider: string) => boolean;

export interface WhyQuestion {
  readonly config: PortConfig;
  readonly normalization: PathNormalization;
  readonly request: RequestView;
  readonly connection: ConnectionView;
  readonly token: TokenFinding;
  readonly authorizes: Authorizes;
  readonly keptFrom: KeptFrom;
  readonly destination: (decision: RouteDecision & { readonly kind: 'forward' }) => Destination;
  readonly endpoints: (decision: RouteDecision & { readonly kind: 'forward' }) => EndpointsTrace;
}

export function explainRequest(question: WhyQuestion): readonly WhyStep[] {
  const { config, normalization, connection, token } = question;
  const normalized = normalizePath(normalization, question.request.path);
  if (normalized.kind === 'refuse') {
    return [{ step: 'path', outcome: 'refuse', message: `the path is refused: ${normalized.reason}` }];
  }
  const request = { ...question.request, path: normalized.path };
  const path = pathStep(question.request.path, request.path, normalization);
  const authentication = authenticationStep(config, token);
  if (token.kind === 'refused') return [path, authentication];
  const trace = explainPolicies(config.authorization, { request, connection, token: token.claims });
  const authorization = authorizationStep(trace, question.authorizes);
  return [
    path,
    authentication,
    authorization,
    ...(authorization.outcome === 'refuse' ? [] : routeSteps(question, request, token.claims)),
  ];
}

/** For a connection that is no HTTP. */
export function explainConnection(
  { http, streams, authorization }: PortConfig,
  connection: ConnectionView,
  stream: StreamView,
  keptFrom: KeptFrom,
  authorizes: Authorizes,
): readonly WhyStep[] {
  const trace = explainPolicies(authorization, { request: undefined, connection, token: undefined });
  const step = authorizationStep(trace, authorizes);
  if (step.outcome === 'refuse') return [step];
  const decision = decideStream(streams, http.service, http.port, stream, FIRST);
  const name = decision.name.route === '' ? 'no route: the service itself' : decision.name.route;
  if (decision.kind === 'close') {
    const { message, reason } = decision;
    return [step, { step: 'route', outcome: 'refuse', message, detail: { reason } }];
  }
  const kept = keptStep(decision, keptFrom, { request: undefined, connection, token: undefined });
  const route: WhyStep = {
    step: 'route',
    outcome: 'ok',
    message: name,
    detail: { backend: decision.backend },
  };
  return kept ? [step, route, kept] : [step, route];
}

function keptStep(
  lead: Lead & Partial<RequestChanges>,
  keptFrom: KeptFrom,
  subject: AuthorizationSubject,
  led?: AuthorizationSubject,
): WhyStep | undefined {
  const by = keptFrom(lead, subject, led);
  if (by === undefined) return undefined;
  const why = by === 'none' ? 'no ALLOW policy of it matches' : `${by} refuses`;
  const { backend, consumerNamespace, authorNamespace } = lead;
  const author = consumerNamespace ?? authorNamespace;
  const whose = author === undefined ? 'is in another namespace' : `is where a route of ${author} leads`;
  const message = `${backend.to.service} ${whose}, and its policies count there: ${why}`;
  return { step: 'backend', outcome: 'refuse', message };
}

/** Where there is a choice by weight, the explanation follows the first that may be chosen. */
const FIRST = () => 0;

/** As {@link FIRST}, but past backends that only answer: the first draw is the backend's. */
function firstThatLeads(backends: HttpRule['backends']): () => number {
  const chosen = backends.filter(({ weight }) => weight > 0);
  const at = chosen.findIndex(({ target }) => target.kind === 'service');
  if (at < 1) return FIRST;
  const sum = (some: typeof chosen) => some.reduce((total, { weight }) => total + weight, 0);
  const draws = [(sum(chosen.slice(0, at)) + (chosen[at]?.weight ?? 0) / 2) / sum(chosen)];
  return () => draws.shift() ?? FIRST();
}

function pathStep(asked: string, normalized: string, mode: PathNormalization): WhyStep {
  const message =
    asked === normalized ? `the path is ${asked}` : `the path ${asked} is taken for ${normalized} (${mode})`;
  return { step: 'path', outcome: 'ok', message };
}

function authenticationStep({ authentication }: PortConfig, token: TokenFinding): WhyStep {
  const issuers = authentication.flatMap(({ rules }) => rules.map(({ issuer }) => issuer));
  const detail = {
    policies: authentication.map(({ key, unreadable }) => ({ policy: key, unreadable })),
    issuers,
  };
  const step = (outcome: StepOutcome, message: string): WhyStep => ({
    step: 'authentication',
    outcome,
    message,
    detail,
  });
  if (token.kind === 'refused') return step('refuse', `${token.status}: ${token.reason}`);
  if (authentication.length === 0) return step('ok', 'no RequestAuthentication is attached');
  const broken = authentication.find(({ unreadable }) => unreadable !== undefined);
  if (broken) return step('refuse', `${broken.key} cannot be read: every request gets 401`);
  const { claims } = token;
  if (!claims) return step('ok', `it brings no token; tokens of ${issuers.join(', ')} would be believed`);
  return token.kind === 'assumed'
    ? step('ok', `a token of ${claims.principal} is assumed; no signature was looked at`)
    : step('ok', `its token is one of ${claims.principal}: the signature is right`);
}

function authorizationStep(trace: AuthorizationTrace, authorizes: Authorizes): WhyStep {
  const refusal = refusalOf(trace.verdict);
  if (refusal !== undefined)
    return { step: 'authorization', outcome: 'refuse', message: refusal, detail: trace };
  const nobody = trace.externalChecks.find(({ provider }) => !authorizes(provider));
  if (nobody) {
    const message = `403: ${nobody.policies.join(', ')} asks the provider "${nobody.provider}", and the mesh's settings have none of that name that authorizes`;
    return { step: 'authorization', outcome: 'refuse', message, detail: trace };
  }
  const asked = trace.externalChecks.map(({ provider }) => provider);
  if (asked.length > 0) {
    const message = `${asked.join(', ')} decides, and would be asked`;
    return { step: 'authorization', outcome: 'unknown', message, detail: trace };
  }
  const by = trace.verdict.kind === 'allow' ? trace.verdict.by : undefined;
  const message = by === undefined ? 'no ALLOW policy is attached' : `allowed by ${by}`;
  return { step: 'authorization', outcome: 'ok', message, detail: trace };
}

function routeSteps(
  question: WhyQuestion,
  request: RequestView,
  token: TokenClaims | undefined,
): readonly WhyStep[] {
  const { config, connection } = question;
  const facts = requestFacts(request, connection);
  const trace = explainRoute(config.http, facts);
  const group = groupFor(config.http, facts);
  const rule = group === undefined || group.kind === 'unreadable' ? undefined : findEntry(group, facts)?.rule;
  const decision = decideRoute(config.http, request, connection, firstThatLeads(rule?.backends ?? []));
  const route = routeStep(trace, decision);
  const subject = { request, connection, token };
  const authorizers = decision.kind === 'respond' ? [] : decision.authorizers;
  const asked = authorizers.map((authorizer) => authorizerStep(authorizer, request, subject, question));
  const refused = asked.findIndex(({ outcome }) => outcome === 'refuse');
  if (refused >= 0) return [route, ...asked.slice(0, refused + 1)];
  if (decision.kind !== 'forward') return [route, ...asked];
  const kept = keptStep(decision, question.keptFrom, subject);
  if (kept) return [route, ...asked, kept];
  return [
    route,
    ...asked,
    backendStep(rule, decision, question),
    endpointStep(question, decision),
    triesStep(decision),
  ];
}

function authorizerStep(
  asked: RouteAuthorizer,
  request: RequestView,
  subject: AuthorizationSubject,
  { keptFrom }: WhyQuestion,
): WhyStep {
  if (asked.kind === 'status') {
    const message = `${asked.status}: a service that authorizes does not exist or may not be used`;
    return { step: 'authorization', outcome: 'refuse', message };
  }
  const kept = keptStep(asked, keptFrom, subject, { ...subject, request: questionView(asked, request) });
  if (kept) return { ...kept, step: 'authorization' };
  const { service, port } = asked.backend.to;
  const message = `${service} port ${port} decides, and would be asked`;
  return { step: 'authorization', outcome: 'unknown', message };
}

function routeStep(trace: RouteTrace, decision: RouteDecision): WhyStep {
  const { chosen } = trace;
  const name = chosen && `rule ${chosen.rule || chosen.ruleIndex} of ${chosen.route}`;
  switch (decision.kind) {
    case 'forward': {
      const message = name ? `${name} matches: ${chosen?.wants}` : 'no route has the service as its parent';
      return { step: 'route', outcome: 'ok', message, detail: trace };
    }
    case 'redirect': {
      const message = `${name} redirects with ${decision.status} to ${decision.location}`;
      return { step: 'route', outcome: 'ok', message, detail: trace };
    }
    case 'respond': {
      const asked = decision.reason === 'direct-response';
      const message = asked
        ? `${name} answers ${decision.status}`
        : `${decision.status}: ${decision.message}`;
      return { step: 'route', outcome: asked ? 'ok' : 'refuse', message, detail: trace };
    }
    default:
      return decision satisfies never;
  }
}

type Forwarded = RouteDecision & { readonly kind: 'forward' };

function backendStep(rule: HttpRule | undefined, decision: Forwarded, { destination }: WhyQuestion): WhyStep {
  const total = rule?.backends.reduce((sum, { weight }) => sum + weight, 0) ?? 0;
  const shares = (rule?.backends ?? []).slice(0, MAX_EXPLAINED).map(({ target, weight }) => ({
    share: total === 0 ? 0 : weight / total,
    ...(target.kind === 'service'
      ? { service: target.to.service, port: target.to.port, subset: target.subset }
      : { status: target.status }),
  }));
  const { to, subset } = decision.backend;
  const { unusable, from } = destination(decision);
  const name = `${to.service} port ${to.port}${subset === '' ? '' : `, subset ${subset}`}`;
  const message = shares.length > 1 ? `one of ${shares.length} backends by weight, such as ${name}` : name;
  const detail = { shares, policies: from };
  if (unusable !== undefined)
    return { step: 'backend', outcome: 'refuse', message: `${name}: ${unusable}`, detail };
  const lost = shares.filter(({ share, ...backend }) => share > 0 && 'status' in backend);
  if (lost.length > 0) {
    const percent = Math.round(100 * lost.reduce((sum, { share }) => sum + share, 0));
    const problem = `about ${percent} % of requests are refused, as a backend does not exist or may not be used; the others go on, such as to ${name}`;
    return { step: 'backend', outcome: 'unknown', message: problem, detail };
  }
  return { step: 'backend', outcome: 'ok', message, detail };
}

function endpointStep({ endpoints }: WhyQuestion, decision: Forwarded): WhyStep {
  const found = endpoints(decision);
  if (found.kind === 'chosen')
    return { step: 'endpoint', outcome: 'ok', message: 'where the client itself wants to go' };
  if (found.kind === 'awaited')
    return { step: 'endpoint', outcome: 'unknown', message: 'its name is being looked up: ask again' };
  if (found.kind === 'none') return { step: 'endpoint', outcome: 'refuse', message: found.problem };
  const { all } = found;
  const usable = all.filter(({ healthy, weight }) => healthy && weight > 0);
  const message = `${usable.length} of ${all.length} endpoints may take the request`;
  const detail = { endpoints: all.slice(0, MAX_EXPLAINED), more: Math.max(0, all.length - MAX_EXPLAINED) };
  return { step: 'endpoint', outcome: usable.length > 0 ? 'ok' : 'refuse', message, detail };
}

function triesStep({ retry, hedgeAfterMs, timeouts, fault, mirrors }: Forwarded): WhyStep {
  const limit = (ms: number | undefined) => (ms === undefined ? 'no limit' : `${ms} ms`);
  const words = [...retry.retryOn, ...retry.statusCodes].join(', ');
  const retries =
    retry.attempts === 0 ? 'it is not tried again' : `up to ${retry.attempts} more tries on ${words}`;
  const beside =
    hedgeAfterMs === undefined ? '' : `; without an answer for ${hedgeAfterMs} ms a second one beside it`;
  const from =
    timeouts.requestMs !== undefined && timeouts.requestFrom === 'last-byte' ? ' once it is here' : '';
  const message = `${retries}${beside}; ${limit(timeouts.requestMs)} for all of it${from}, ${limit(timeouts.perTryMs)} for a try`;
  return { step: 'tries', outcome: 'ok', message, detail: { timeouts, fault, mirrors } };
}
