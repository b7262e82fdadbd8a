/** Filters of the Gateway API as the wire has them. Pure. What is not known refuses its rule: it may be what protects. */
import type {
  ExternalAuth,
  HttpFilter,
  PathChange,
  ServicePort,
  StringMatch,
  WaypointFields,
} from '@ambit/api/waypoint';
import type {
  CorsFilter,
  ExternalAuthFilter,
  HeaderModifier,
  PathModifier,
  RequestMirror,
  RequestRedirect,
  RouteFilter,
  UrlRewrite,
} from '@ambit/kube/resources/routes';
import { type BackendContext, backendOf } from './backends.ts';
import { serviceKey } from './catalog.ts';
import { RuleRefusal } from './problems.ts';
import { headerName, headerValue, hostText, pathText, prefixText, token } from './texts.ts';

type WireFilter = WaypointFields<HttpFilter>;

export interface FilterContext extends BackendContext {
  /** Whether every match of the rule is one of a path's prefix, which alone can be replaced. */
  readonly matchesPrefixes: boolean;
}

const DEFAULT_REDIRECT_STATUS = 302;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const PER_CENT = 100;
/** What requests get whose authorizer is not there: as for a backend. */
const REFUSED_STATUS = 500;

/** @throws {@link RuleRefusal} */
export function translateFilters(
  filters: readonly RouteFilter[],
  context: FilterContext,
): readonly WireFilter[] {
  const types = new Set(filters.map(({ type }) => type));
  if (types.has('RequestRedirect') && types.has('URLRewrite'))
    throw new RuleRefusal('RequestRedirect and URLRewrite cannot be joined', 'IncompatibleFilters');
  if (filters.filter(({ type }) => type === 'ExternalAuth').length > 1)
    throw new RuleRefusal('ExternalAuth cannot be repeated', 'IncompatibleFilters');
  return filters.flatMap((filter) => translateFilter(filter, context));
}

function translateFilter(filter: RouteFilter, context: FilterContext): readonly WireFilter[] {
  const { type } = filter;
  switch (type) {
    case 'RequestHeaderModifier':
      return [{ kind: { $case: 'requestHeaders', value: headerChange(filter.requestHeaderModifier) } }];
    case 'ResponseHeaderModifier':
      return [{ kind: { $case: 'responseHeaders', value: headerChange(filter.responseHeaderModifier) } }];
    case 'RequestRedirect':
      return [{ kind: { $case: 'redirect', value: redirect(filter.requestRedirect ?? {}, context) } }];
    case 'URLRewrite':
      return [{ kind: { $case: 'rewrite', value: rewrite(filter.urlRewrite ?? {}, context) } }];
    case 'RequestMirror':
      return mirror(filter.requestMirror, context);
    case 'CORS':
      return [{ kind: { $case: 'cors', value: cors(filter.cors ?? {}) } }];
    case 'ExternalAuth':
      return [{ kind: { $case: 'externalAuth', value: externalAuth(filter.externalAuth, context) } }];
    default:
      throw new RuleRefusal(`filter ${type} is not supported`);
  }
}

function headerChange({ set = [], add = [], remove = [] }: HeaderModifier = {}) {
  const fields = (given: NonNullable<HeaderModifier['set']>) =>
    given.map(({ name, value }) => ({ name: headerName(name), value: headerValue(value) }));
  return { set: fields(set), add: fields(add), remove: remove.map(headerName) };
}

function redirect(
  { scheme = '', hostname = '', path, port = 0, statusCode = DEFAULT_REDIRECT_STATUS }: RequestRedirect,
  context: FilterContext,
) {
  if (!REDIRECTS.has(statusCode)) throw new RuleRefusal(`${statusCode} is not a redirect`);
  if (!['', 'http', 'https'].includes(scheme.toLowerCase()))
    throw new RuleRefusal(`scheme ${scheme} is not supported`);
  return {
    scheme,
    hostname: hostText(hostname),
    port,
    status: statusCode,
    ...(path && { path: pathChange(path, context) }),
  };
}

function rewrite({ hostname = '', path }: UrlRewrite, context: FilterContext) {
  return { hostname: hostText(hostname), ...(path && { path: pathChange(path, context) }) };
}

function pathChange(
  { type, replaceFullPath = '', replacePrefixMatch = '' }: PathModifier,
  { matchesPrefixes }: FilterContext,
): WaypointFields<PathChange> {
  switch (type) {
    case 'ReplaceFullPath':
      return { kind: { $case: 'replaceFull', value: pathText(replaceFullPath) } };
    case 'ReplacePrefixMatch':
      if (!matchesPrefixes) throw new RuleRefusal('ReplacePrefixMatch needs matches of type PathPrefix');
      return { kind: { $case: 'replacePrefix', value: pathText(replacePrefixMatch) } };
    default:
      throw new RuleRefusal(`path modifier ${type} is not supported`);
  }
}

/** Mirrors to nowhere are left out, and said to be. */
function mirror(given: RequestMirror | undefined, context: FilterContext): readonly WireFilter[] {
  if (!given) throw new RuleRefusal('RequestMirror names no backend');
  const service = backendOf(given.backendRef, context);
  if (!service) return [];
  const { percent, fraction } = given;
  const share =
    percent !== undefined
      ? { numerator: percent, denominator: PER_CENT }
      : {
          numerator: fraction?.numerator ?? 0,
          denominator: fraction ? (fraction.denominator ?? PER_CENT) : 0,
        };
  return [{ kind: { $case: 'mirror', value: { service, ...share } } }];
}

function cors({
  allowOrigins = [],
  allowCredentials = false,
  allowMethods = [],
  allowHeaders = [],
  exposeHeaders = [],
  maxAge = 0,
}: CorsFilter) {
  const names = (given: readonly string[]) => given.map(headerName);
  return {
    allowOrigins: allowOrigins.map(originMatch),
    allowCredentials,
    allowMethods: allowMethods.map(token),
    allowHeaders: names(allowHeaders),
    exposeHeaders: names(exposeHeaders),
    maxAgeS: maxAge,
  };
}

/** One that leads nowhere is asked nothing, and refuses: whoever wrote it wanted requests to be asked about. */
function externalAuth(
  given: ExternalAuthFilter | undefined,
  context: FilterContext,
): WaypointFields<ExternalAuth> {
  if (!given) throw new RuleRefusal('ExternalAuth names no backend');
  const service = backendOf(given.backendRef, context);
  const kind = authorizer(given, service ?? { namespace: '', hostname: '', port: 0 });
  return { kind: service ? kind : { $case: 'status', value: REFUSED_STATUS } };
}

function authorizer(
  { protocol, grpc, http, forwardBody = {} }: ExternalAuthFilter,
  service: ServicePort,
): NonNullable<WaypointFields<ExternalAuth>['kind']> {
  if (grpc && protocol !== 'GRPC') throw new RuleRefusal('ExternalAuth: grpc is for protocol GRPC alone');
  if (http && protocol !== 'HTTP') throw new RuleRefusal('ExternalAuth: http is for protocol HTTP alone');
  const common = {
    service: serviceKey(service),
    port: service.port,
    maxRequestBytes: forwardBody.maxSize ?? 0,
  };
  switch (protocol) {
    case 'GRPC':
      return {
        $case: 'grpc',
        value: { ...common, includeRequestHeadersInCheck: onlyNames(grpc?.allowedHeaders) },
      };
    case 'HTTP': {
      const { path = '', allowedHeaders, allowedResponseHeaders = [] } = http ?? {};
      return {
        $case: 'http',
        value: {
          ...common,
          pathPrefix: prefixText(path),
          includeRequestHeadersInCheck: onlyNames(allowedHeaders),
          headersToUpstreamOnAllow:
            allowedResponseHeaders.length === 0 ? EVERY_HEADER : onlyNames(allowedResponseHeaders),
        },
      };
    }
    default:
      throw new RuleRefusal(`ExternalAuth over ${protocol} is not supported`);
  }
}

const EVERY_HEADER: readonly string[] = ['*'];

/** A `*`, which a name may have, is a pattern to waypoints: it would let more through than is written. */
function onlyNames(names: readonly string[] = []): readonly string[] {
  return names.map((name) => {
    if (name.includes('*')) throw new RuleRefusal(`"${name}" is a pattern, where headers are named`);
    return headerName(name);
  });
}

/** `*` is any; a `*` within stands for any text. */
function originMatch(origin: string): WaypointFields<StringMatch> {
  if (origin === '*') return { kind: { $case: 'present', value: true } };
  if (!origin.includes('*')) return { kind: { $case: 'exact', value: origin }, ignoreCase: true };
  const regex = origin.split('*').map(quoted).join('.*');
  return { kind: { $case: 'regex', value: regex }, ignoreCase: true };
}

/** Text as a regular expression that matches exactly that. */
export function quoted(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
