/**
 * A VirtualService as waypoints are sent it: rules for requests, and for connections by port. Pure.
 *
 * One that is wrong refuses all requests, and closes all connections, of the services it is for.
 */
import type {
  HttpRoute,
  HttpRule,
  ServicePort,
  StreamBackend,
  StreamRoute,
  StreamRule,
  WaypointFields,
} from '@ambit/api/waypoint';
import type {
  HttpMatchRequest,
  StreamMatchAttributes,
  StreamRouteDestination,
  VirtualService,
  VirtualServiceHttpRoute,
  VirtualServiceSpec,
} from '@ambit/kube/resources/networking';
import { validateVirtualService } from '../../validate/virtual-service.ts';
import type { CatalogService } from '../routes/catalog.ts';
import { hedgeAfterMs } from '../routes/hedging.ts';
import { originOf } from '../routes/translated.ts';
import { httpAction, type PathKind } from './actions.ts';
import { destinationOf, type VirtualServiceContext } from './context.ts';
import { Delegates } from './delegates.ts';
import { mergedRoutes } from './delegation.ts';
import { httpMatch } from './matches.ts';
import { isForMesh } from './scope.ts';

export interface TranslationContext extends VirtualServiceContext {
  /** By `namespace/name`. */
  readonly virtualService: (key: string) => VirtualService | undefined;
}

/** Without parents: those are for {@link httpResource} and {@link streamResources}. */
export interface TranslatedVirtualService {
  readonly origin: WaypointFields<HttpRoute>['origin'];
  readonly hedgeAfterMs: number;
  /** `undefined`: it says nothing of requests. */
  readonly http: Readable<readonly WaypointFields<HttpRule>[]> | undefined;
  /** `undefined`: it says nothing of connections. */
  readonly streams: Readable<readonly PortRule[]> | undefined;
}

/** Rules, or why they cannot be read. */
type Readable<Rules> = { readonly rules: Rules } | { readonly unreadable: string };

interface PortRule {
  /** `undefined`: of every port. */
  readonly port: number | undefined;
  readonly rule: WaypointFields<StreamRule>;
}

export function translateVirtualService(
  virtualService: VirtualService,
  context: TranslationContext,
): TranslatedVirtualService {
  const origin = originOf('VirtualService', virtualService);
  const { errors } = validateVirtualService(virtualService);
  const spec = virtualService.spec ?? {};
  const isSaid = (part: 'http' | 'tls' | 'tcp') => spec[part] !== undefined;
  const isOfStreams = isSaid('tls') || isSaid('tcp');
  if (errors.length > 0) {
    // One that says nothing that can be made out may be about either.
    const unreadable = { unreadable: errors.join('; ') };
    return {
      origin,
      hedgeAfterMs: 0,
      http: isSaid('http') || !isOfStreams ? unreadable : undefined,
      streams: isOfStreams || !isSaid('http') ? unreadable : undefined,
    };
  }
  const { http, tls = [], tcp = [] } = spec;
  const unsupported = unsupportedStream({ tls, tcp });
  const delegates = new Delegates(context.namespace, spec, context.virtualService);
  return {
    origin,
    hedgeAfterMs: hedgeAfterMs(virtualService),
    http: http && { rules: http.flatMap((route) => httpRules(route, context, delegates)) },
    streams: isOfStreams
      ? unsupported === ''
        ? { rules: streamRules({ tls, tcp }, context) }
        : { unreadable: unsupported }
      : undefined,
  };
}

function httpRules(
  route: VirtualServiceHttpRoute,
  context: TranslationContext,
  delegates: Delegates,
): readonly WaypointFields<HttpRule>[] {
  if (!route.delegate) return rulesOf(route, context);
  const delegated = delegates.of(route, route.delegate);
  if ('problem' in delegated) {
    const matches = matchesOf(route.match);
    return matches ? [{ name: route.name ?? '', matches, unreadable: delegated.problem }] : [];
  }
  const { namespace, http } = delegated;
  return mergedRoutes(route, http).flatMap((merged) => rulesOf(merged, { ...context, namespace }));
}

/** What the path was matched by decides what a rewrite means, so that each match may need a rule of its own. */
function rulesOf(
  route: VirtualServiceHttpRoute,
  context: VirtualServiceContext,
): readonly WaypointFields<HttpRule>[] {
  const matches = matchesOf(route.match);
  if (!matches) return [];
  if (!changesPath(route)) return [{ ...httpAction(route, 'whole', context), matches }];
  const each = matches.length === 0 ? [{}] : matches;
  return each.map((match) => {
    const kind = match.path?.kind?.$case;
    // Without a path, the prefix / is what matched, as in Envoy.
    const path = match.path ?? { kind: { $case: 'textPrefix', value: '/' } };
    const pathKind: PathKind = kind === undefined || kind === 'textPrefix' ? 'prefix' : 'whole';
    return { ...httpAction(route, pathKind, context), matches: [{ ...match, path }] };
  });
}

function changesPath({ rewrite, redirect }: VirtualServiceHttpRoute): boolean {
  return Boolean(rewrite?.uri ?? redirect?.prefixRewrite ?? redirect?.uri);
}

/** None: every request. `undefined`: no request at a waypoint. */
function matchesOf(given: readonly HttpMatchRequest[] = []) {
  const matches = given.flatMap((match) => httpMatch(match) ?? []);
  return given.length > 0 && matches.length === 0 ? undefined : matches;
}

type Streams = Required<Pick<VirtualServiceSpec, 'tls' | 'tcp'>>;

/** What a waypoint does not see, so that it cannot say which rule a connection is for. */
function unsupportedStream({ tls, tcp }: Streams): string {
  for (const [kind, routes] of Object.entries({ tls, tcp }))
    for (const [i, { match = [] }] of routes.entries())
      for (const { destinationSubnets = [], sourceSubnet = '' } of match)
        if (destinationSubnets.length > 0 || sourceSubnet !== '')
          return `spec.${kind}[${i}]: matches on addresses are not supported at a waypoint`;
  return '';
}

/** TLS before all else, as in Istio. */
function streamRules({ tls, tcp }: Streams, context: VirtualServiceContext): readonly PortRule[] {
  const rules = (isTls: boolean, routes: Streams['tcp']) =>
    routes.flatMap(({ match = [], route = [] }): readonly PortRule[] => {
      const backends = streamBackends(route, context);
      const matches: readonly StreamMatchAttributes[] = match.length === 0 ? [{}] : match;
      return matches
        .filter((each) => isForMesh(each.gateways) && Object.keys(each.sourceLabels ?? {}).length === 0)
        .map(({ port, sniHosts = [], sourceNamespace = '' }) => ({
          port,
          rule: {
            tls: isTls,
            sniHosts: sniHosts.map((host) => host.toLowerCase()),
            sourceNamespace,
            backends,
          },
        }));
    });
  return [...rules(true, tls), ...rules(false, tcp)];
}

/** One alone gets everything, whatever its weight. */
function streamBackends(
  route: readonly StreamRouteDestination[],
  context: VirtualServiceContext,
): readonly WaypointFields<StreamBackend>[] {
  return route.flatMap(({ destination, weight: given = 0 }): readonly WaypointFields<StreamBackend>[] => {
    const weight = route.length === 1 ? 1 : given;
    if (weight === 0) return [];
    const service = destinationOf(destination, context);
    return service
      ? [{ target: { $case: 'service', value: service }, weight, subset: destination.subset ?? '' }]
      : [{ target: { $case: 'closed', value: true }, weight }];
  });
}

/** `undefined`: nothing is said of requests. */
export function httpResource(
  { origin, hedgeAfterMs: hedging, http }: TranslatedVirtualService,
  services: readonly CatalogService[],
): WaypointFields<HttpRoute> | undefined {
  if (!http) return undefined;
  const parents = services.map(({ namespace, hostname }) => ({ namespace, hostname, port: 0 }));
  return { origin, parents, inOrder: true, hedgeAfterMs: hedging, ...http };
}

/** By the lowest port that each is for: ports with the same rules are parents of one. */
export function streamResources(
  { origin, streams }: TranslatedVirtualService,
  services: readonly CatalogService[],
): ReadonlyMap<number, WaypointFields<StreamRoute>> {
  if (!streams) return new Map();
  const parents = services
    .flatMap(({ namespace, hostname, ports }) =>
      ports.map(({ number }): ServicePort => ({ namespace, hostname, port: number })),
    )
    .toSorted((a, b) => a.port - b.port);
  const lowest = (group: readonly ServicePort[]) => group[0]?.port ?? 0;
  if ('unreadable' in streams) return new Map([[lowest(parents), { origin, parents, ...streams }]]);
  const groups = Map.groupBy(parents, (parent) =>
    // Which of the rules are of this port says all.
    streams.rules.flatMap(({ port }, i) => (port === undefined || port === parent.port ? [i] : [])).join(),
  );
  groups.delete('');
  return new Map(
    [...groups].map(([key, group]) => {
      const own = new Set(key.split(',').map(Number));
      const rules = streams.rules.filter((_, i) => own.has(i)).map(({ rule }) => rule);
      return [lowest(group), { origin, parents: group, rules }];
    }),
  );
}
