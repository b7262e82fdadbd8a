/** VirtualServices → what waypoints are sent: each to those that serve a service for which it is the one that counts. */
import type { Collection } from '@ambit/collections/collection';
import { DerivedCollection, derivedValues } from '@ambit/collections/derived';
import { IndexCollection } from '@ambit/collections/index-by';
import { MAX_PARENTS_OF_RESOURCE } from '../limits.ts';
import { waypointResource } from '../push/encode.ts';
import { type CatalogService, serviceKey } from '../translate/routes/catalog.ts';
import { wildcardMatches } from '../translate/hosts.ts';
import {
  chosenFor,
  type VirtualServiceScope,
  virtualServiceScope,
} from '../translate/virtual-services/scope.ts';
import {
  httpResource,
  streamResources,
  translateVirtualService,
} from '../translate/virtual-services/virtual-service.ts';
import type { Attachments } from './attachments.ts';
import type { Catalogs } from './catalog.ts';
import { type GraphContext, sameContent } from './context.ts';
import { type RouteEntry, sameRoute } from './routes.ts';

/** A service and the waypoints of it that heed one VirtualService. */
interface Claim {
  /** `namespace/name` of the VirtualService. */
  readonly virtualService: string;
  readonly service: CatalogService;
  /** Sorted. */
  readonly waypoints: readonly string[];
}

export interface VirtualServiceRoutes {
  readonly httpRoutes: Collection<string, RouteEntry>;
  readonly streamRoutes: Collection<string, RouteEntry>;
}

const WILDCARD = '*';

export function deriveVirtualServices(
  { inputs, settings, scheduler }: GraphContext,
  catalogs: Catalogs,
  attachments: Attachments,
): VirtualServiceRoutes {
  const { domain } = settings;
  const scopes = derivedValues({
    name: 'whom virtual services are for',
    scheduler,
    from: inputs.virtualServices,
    compute: (virtualService) => virtualServiceScope(virtualService, domain),
    equals: sameContent,
  });
  const byHost = new IndexCollection({
    name: 'virtual services by host',
    scheduler,
    from: scopes,
    keysOf: ({ hosts, wildcards }) => [...hosts, ...(wildcards.length > 0 ? [WILDCARD] : [])],
  });
  const claims = new DerivedCollection({
    name: 'virtual services of services',
    scheduler,
    from: attachments,
    inputs: [byHost, ...catalogs.inputs],
    compute: (waypoints, key, fetch): readonly (readonly [string, Claim])[] => {
      const hostname = key.slice(key.indexOf('/') + 1);
      const service = catalogs
        .with(fetch)
        .named(hostname)
        .find((each) => serviceKey(each) === key);
      if (!service) return [];
      const isAbout = ({ wildcards }: VirtualServiceScope) =>
        wildcards.some((host) => wildcardMatches(host, hostname));
      const candidates = [...fetch.group(byHost, hostname), ...fetch.where(byHost, WILDCARD, isAbout)];
      const chosen = new Map<string, string[]>();
      for (const waypoint of waypoints) {
        const scope = chosenFor([...new Set(candidates)], service, waypoint);
        if (scope) chosen.set(scope.key, [...(chosen.get(scope.key) ?? []), waypoint]);
      }
      return [...chosen].map(([virtualService, heeding]) => [
        `${virtualService} ${key}`,
        { virtualService, service, waypoints: heeding },
      ]);
    },
    equals: sameContent,
  });
  const claimsOf = new IndexCollection({
    name: 'services by virtual service',
    scheduler,
    from: claims,
    keysOf: ({ virtualService }) => [virtualService],
  });
  const routes = new DerivedCollection({
    name: 'virtual services by resource',
    scheduler,
    from: inputs.virtualServices,
    inputs: [claimsOf, inputs.virtualServices, ...catalogs.inputs],
    compute: (virtualService, key, fetch): readonly (readonly [string, TypedRoute])[] => {
      const claimed = fetch.group(claimsOf, key);
      if (claimed.length === 0) return [];
      const uses = new Set<string>();
      const translated = translateVirtualService(virtualService, {
        namespace: virtualService.metadata.namespace ?? '',
        domain,
        catalog: catalogs.with(fetch),
        uses,
        virtualService: (other) => fetch.get(inputs.virtualServices, other),
      });
      return partsOf(claimed).flatMap(({ suffix, services, waypoints: audience }) => {
        const name = `VirtualService/${key}${suffix}`;
        const shared = { audience, uses: [...uses] };
        const http = httpResource(translated, services);
        const streams = [...streamResources(translated, services)];
        return [
          ...(http
            ? [
                [
                  `http ${name}`,
                  { ...shared, type: 'HttpRoute', resource: waypointResource('HttpRoute', name, http) },
                ] as const,
              ]
            : []),
          ...streams.map(([port, stream]) => {
            const own = streams.length === 1 ? name : `${name}/port-${port}`;
            const resource = waypointResource('StreamRoute', own, stream);
            return [`stream ${own}`, { ...shared, type: 'StreamRoute', resource }] as const;
          }),
        ];
      });
    },
    equals: sameRoute,
  });
  const ofType = (type: TypedRoute['type']) =>
    new DerivedCollection({
      name: `virtual services as ${type}`,
      scheduler,
      from: routes,
      compute: (route): readonly (readonly [string, RouteEntry])[] =>
        route.type === type ? [[route.resource.name, route]] : [],
    });
  return { httpRoutes: ofType('HttpRoute'), streamRoutes: ofType('StreamRoute') };
}

interface TypedRoute extends RouteEntry {
  readonly type: 'HttpRoute' | 'StreamRoute';
}

interface Part {
  /** Of the resource's name; empty for the first. */
  readonly suffix: string;
  readonly services: readonly CatalogService[];
  readonly waypoints: readonly string[];
}

/** Services that the same waypoints serve are parents of one resource, as far as one may have so many. */
function partsOf(claims: readonly Claim[]): readonly Part[] {
  const groups = new Map<string, Claim[]>();
  for (const claim of claims.toSorted((a, b) => (serviceKey(a.service) < serviceKey(b.service) ? -1 : 1))) {
    const key = claim.waypoints.join('+');
    groups.set(key, [...(groups.get(key) ?? []), claim]);
  }
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([key, group]) =>
      portions(group).map((portion, i): Part => {
        const suffix = [groups.size > 1 ? `/at-${key}` : '', i > 0 ? `/part-${i + 1}` : ''].join('');
        const [first] = portion;
        return {
          suffix,
          services: portion.map(({ service }) => service),
          waypoints: first?.waypoints ?? [],
        };
      }),
    );
}

/** No portion with more ports than one resource may have parents; a service is in one whole. */
function portions(claims: readonly Claim[]): readonly (readonly Claim[])[] {
  const all: Claim[][] = [];
  let ports = Number.POSITIVE_INFINITY;
  for (const claim of claims) {
    const own = Math.max(1, claim.service.ports.length);
    if (ports + own > MAX_PARENTS_OF_RESOURCE) {
      all.push([]);
      ports = 0;
    }
    all.at(-1)?.push(claim);
    ports += own;
  }
  return all;
}
