/** What is wrong with a VirtualService; pure. */
import { isToken } from '@ambit/core/http-text';
import { grpcStatusNumber, retryWordOf } from '@ambit/api/waypoint';
import { LinearRegex } from '@ambit/core/linear-regex';
import type {
  HttpMatchRequest,
  StringMatch,
  VirtualService,
  VirtualServiceHttpRoute,
  VirtualServiceSpec,
} from '@ambit/kube/resources/networking';
import { schemaProblems } from '../schema/openapi.ts';
import { virtualServiceSpec } from '../schema/virtual-service.ts';
import { goDurationMs } from '../translate/go-duration.ts';
import { HEDGE_ANNOTATION, hedgingProblem } from '../translate/routes/hedging.ts';
import { retryWords } from '../translate/virtual-services/actions.ts';
import { isForMesh } from '../translate/virtual-services/scope.ts';
import { wildcardHostnameProblem } from './hostname.ts';
import { patternsProblem } from './patterns.ts';
import { Collector, type Findings, warnOfNoEffect } from './problems.ts';

export function validateVirtualService(virtualService: VirtualService): Findings {
  const { spec = {} } = virtualService;
  const found = new Collector();
  found.errors.push(...schemaProblems(virtualServiceSpec, spec, 'spec'));
  if (found.errors.length > 0) return found;
  const patterns = patternsProblem(spec);
  if (patterns !== undefined) found.error('spec', patterns);
  if (found.errors.length > 0) return found;
  warnOfNoEffect(virtualServiceSpec, spec, found);
  const hedging = hedgingProblem(virtualService);
  if (hedging !== undefined) found.warn(`metadata.annotations[${HEDGE_ANNOTATION}]`, hedging);
  const { hosts = [], http = [], tls = [], tcp = [] } = spec;
  for (const [i, host] of hosts.entries()) {
    const problem = host === '*' ? undefined : wildcardHostnameProblem(host);
    if (problem !== undefined) found.error(`spec.hosts[${i}]`, problem);
  }
  if (http.length + tls.length + tcp.length === 0) found.error('spec', 'needs http, tls or tcp');
  if (!isForMesh(spec.gateways)) found.warn('spec.gateways', 'without mesh among them no waypoint heeds it');
  for (const [i, route] of http.entries())
    validateHttpRoute(route, `spec.http[${i}]`, hosts.length === 0, found);
  validateStreams(spec, found);
  return found;
}

function validateHttpRoute(
  route: VirtualServiceHttpRoute,
  path: string,
  isDelegate: boolean,
  into: Collector,
): void {
  const { redirect, directResponse, delegate, route: destinations = [] } = route;
  const actions = [redirect, directResponse, delegate, destinations.length > 0 ? destinations : undefined];
  const given = actions.filter((action) => action !== undefined).length;
  if (given === 0) into.error(path, 'needs route, redirect, directResponse or delegate');
  if (given > 1) into.error(path, 'only one of route, redirect, directResponse and delegate may be set');
  if (delegate && isDelegate)
    into.error(`${path}.delegate`, 'a VirtualService without hosts cannot delegate further');
  if (delegate && !delegate.name) into.error(`${path}.delegate.name`, 'is required');
  for (const [i, match] of (route.match ?? []).entries()) validateMatch(match, `${path}.match[${i}]`, into);
  validateWeights(destinations, `${path}.route`, into);
  validateRedirect(route, path, into);
  validateRewrite(route, path, into);
  validateRetries(route, path, into);
  validateFault(route, path, into);
  validateHeaders(route, path, into);
  validateCors(route, path, into);
  duration(route.timeout, `${path}.timeout`, into, true);
  for (const [i, { percentage }] of (route.mirrors ?? []).entries())
    if (percentage?.value === 0) into.warn(`${path}.mirrors[${i}].percentage`, 'mirrors nothing');
}

/** Pseudo headers have fields of their own. */

function validateMatch(match: HttpMatchRequest, path: string, into: Collector): void {
  for (const name of ['uri', 'scheme', 'method', 'authority'] as const)
    text(match[name], `${path}.${name}`, into, match.ignoreUriCase === true && name === 'uri');
  for (const part of ['headers', 'withoutHeaders'] as const)
    for (const [name, value] of Object.entries(match[part] ?? {})) {
      if (!isToken(name)) into.error(`${path}.${part}.${name}`, 'is not a header');
      text(value, `${path}.${part}.${name}`, into);
    }
  for (const [name, value] of Object.entries(match.queryParams ?? {})) {
    if (name === '') into.error(`${path}.queryParams`, 'a name is empty');
    text(value, `${path}.queryParams.${name}`, into);
  }
  if (Object.keys(match.sourceLabels ?? {}).length > 0)
    into.warn(`${path}.sourceLabels`, 'a waypoint does not see them, so that the match never holds');
}

function text(match: StringMatch | undefined, path: string, into: Collector, ignoreCase = false): void {
  if (match?.regex === undefined) return;
  const compiled = LinearRegex.compile(match.regex, { ignoreCase });
  if (compiled.kind === 'problem') into.error(`${path}.regex`, compiled.problem);
}

function validateWeights(
  destinations: NonNullable<VirtualServiceHttpRoute['route']>,
  path: string,
  into: Collector,
): void {
  if (destinations.length < 2) return;
  const sum = destinations.reduce((total, { weight = 0 }) => total + weight, 0);
  if (sum === 0) into.error(path, 'weights add up to nothing');
}

const REDIRECTS: ReadonlySet<number> = new Set([0, 301, 302, 303, 307, 308]);

function validateRedirect({ redirect }: VirtualServiceHttpRoute, path: string, into: Collector): void {
  if (!redirect) return;
  const { scheme = '', redirectCode = 0, uri, authority, prefixRewrite, port, derivePort } = redirect;
  if (!['', 'http', 'https'].includes(scheme.toLowerCase()))
    into.error(`${path}.redirect.scheme`, 'must be http or https');
  if (!REDIRECTS.has(redirectCode))
    into.error(`${path}.redirect.redirectCode`, `${redirectCode} is not a redirect`);
  if (port !== undefined && derivePort !== undefined)
    into.error(`${path}.redirect`, 'only one of port and derivePort may be set');
  if (!(uri || authority || prefixRewrite || scheme || redirectCode || port || derivePort))
    into.error(`${path}.redirect`, 'says nothing');
  urlText(uri ?? prefixRewrite, `${path}.redirect.uri`, into);
  authorityText(authority, `${path}.redirect.authority`, into);
}

function validateRewrite(
  { rewrite, redirect }: VirtualServiceHttpRoute,
  path: string,
  into: Collector,
): void {
  if (!rewrite) return;
  const { uri, authority, uriRegexRewrite } = rewrite;
  if (redirect) into.error(`${path}.rewrite`, 'cannot be joined with redirect');
  if (!(uri || authority || uriRegexRewrite?.match)) into.error(`${path}.rewrite`, 'says nothing');
  if (uri && uriRegexRewrite) into.error(`${path}.rewrite`, 'only one of uri and uriRegexRewrite may be set');
  urlText(uri, `${path}.rewrite.uri`, into);
  authorityText(authority, `${path}.rewrite.authority`, into);
  text(
    { ...(uriRegexRewrite?.match !== undefined && { regex: uriRegexRewrite.match }) },
    `${path}.rewrite`,
    into,
  );
}

/** Anything else could end a request line early. */
function urlText(value: string | undefined, path: string, into: Collector): void {
  if (value !== undefined && !/^[\x21-\x7e]*$/.test(value)) into.error(path, `"${value}" is no path`);
}

function authorityText(value: string | undefined, path: string, into: Collector): void {
  if (value !== undefined && !/^[\w.\-:[\]%~]*$/.test(value)) into.error(path, `"${value}" is no host`);
}

function validateRetries({ retries }: VirtualServiceHttpRoute, path: string, into: Collector): void {
  if (!retries) return;
  if (retries.attempts === undefined)
    into.warn(`${path}.retries.attempts`, 'without it nothing is tried again');
  duration(retries.perTryTimeout, `${path}.retries.perTryTimeout`, into, true);
  duration(retries.backoff, `${path}.retries.backoff`, into);
  const { words, codes } = retryWords(retries.retryOn ?? '');
  for (const word of words)
    if (retryWordOf(word) === undefined) into.error(`${path}.retries.retryOn`, `"${word}" is not known`);
  for (const code of codes)
    if (code < 200 || code > 599) into.error(`${path}.retries.retryOn`, `${code} is not a status`);
}

function validateFault({ fault }: VirtualServiceHttpRoute, path: string, into: Collector): void {
  const { delay, abort } = fault ?? {};
  if (delay?.exponentialDelay !== undefined)
    into.error(`${path}.fault.delay.exponentialDelay`, 'is not supported');
  else if (delay && delay.fixedDelay === undefined)
    into.error(`${path}.fault.delay.fixedDelay`, 'is required');
  duration(delay?.fixedDelay, `${path}.fault.delay.fixedDelay`, into);
  if (!abort) return;
  if (abort.http2Error !== undefined) into.error(`${path}.fault.abort.http2Error`, 'is not supported');
  else if ((abort.httpStatus === undefined) === (abort.grpcStatus === undefined))
    into.error(`${path}.fault.abort`, 'must have one of httpStatus and grpcStatus');
  if (abort.grpcStatus !== undefined && grpcStatusNumber(abort.grpcStatus) === undefined)
    into.error(`${path}.fault.abort.grpcStatus`, `"${abort.grpcStatus}" is no status of gRPC`);
}

function validateHeaders(route: VirtualServiceHttpRoute, path: string, into: Collector): void {
  const all = [
    [`${path}.headers`, route.headers] as const,
    ...(route.route ?? []).map(({ headers }, i) => [`${path}.route[${i}].headers`, headers] as const),
  ];
  for (const [at, headers] of all)
    for (const side of ['request', 'response'] as const) {
      const { set = {}, add = {}, remove = [] } = headers?.[side] ?? {};
      for (const name of [...Object.keys(set), ...Object.keys(add), ...remove])
        if (!isToken(name) && !(side === 'request' && name === ':authority'))
          into.error(`${at}.${side}`, `"${name}" is not a header`);
      for (const value of [...Object.values(set), ...Object.values(add)])
        if (/[\r\n\0]/.test(value)) into.error(`${at}.${side}`, 'a value has a line break in it');
    }
}

function validateCors({ corsPolicy: cors }: VirtualServiceHttpRoute, path: string, into: Collector): void {
  if (!cors) return;
  const at = `${path}.corsPolicy`;
  duration(cors.maxAge, `${at}.maxAge`, into);
  for (const [i, origin] of (cors.allowOrigins ?? []).entries())
    text(origin, `${at}.allowOrigins[${i}]`, into);
  const { allowMethods = [], allowHeaders = [], exposeHeaders = [] } = cors;
  for (const name of [...allowMethods, ...allowHeaders, ...exposeHeaders])
    if (!isToken(name)) into.error(at, `"${name}" is neither a method nor a header`);
}

function validateStreams({ tls = [], tcp = [] }: VirtualServiceSpec, into: Collector): void {
  for (const [kind, routes] of Object.entries({ tls, tcp }))
    for (const [i, { match = [], route = [] }] of routes.entries()) {
      const path = `spec.${kind}[${i}]`;
      if (route.length === 0) into.error(`${path}.route`, 'is required');
      validateWeights(route, `${path}.route`, into);
      if (kind === 'tls' && match.length === 0) into.error(`${path}.match`, 'is required');
      for (const [j, each] of match.entries()) {
        const at = `${path}.match[${j}]`;
        if ((each.destinationSubnets ?? []).length > 0 || each.sourceSubnet)
          into.warn(at, 'a waypoint does not match on addresses, and closes what the rules are for');
        if (Object.keys(each.sourceLabels ?? {}).length > 0)
          into.warn(`${at}.sourceLabels`, 'a waypoint does not see them, so that the match never holds');
        for (const host of each.sniHosts ?? []) {
          const problem = host === '*' ? undefined : wildcardHostnameProblem(host);
          if (problem !== undefined) into.error(`${at}.sniHosts`, problem);
        }
      }
    }
}

function duration(given: string | undefined, path: string, into: Collector, zero = false): void {
  if (given === undefined) return;
  const ms = goDurationMs(given);
  if (ms === undefined || (ms === 0 && !zero)) into.error(path, `"${given}" is not a duration such as 5s`);
}
