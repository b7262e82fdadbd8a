/** The Gateway API's routes → what waypoints are sent, and what the statuses of routes are made from. */
import type { WaypointResourceKind } from '@ambit/api/waypoint';
import type { Collection, GraphNode } from '@ambit/collections/collection';
import { DerivedCollection, derivedValues } from '@ambit/collections/derived';
import { sameResource, waypointResource } from '../push/encode.ts';
import type { WaypointEntry } from '../push/waypoint-feed.ts';
import type { ParentLookup } from '../translate/routes/parents.ts';
import { translateGrpcRoute, translateHttpRoute } from '../translate/routes/request-route.ts';
import { translateTcpRoute, translateTlsRoute } from '../translate/routes/stream-route.ts';
import { parentKeys, type RouteKind, type TranslatedRoute } from '../translate/routes/translated.ts';
import type { Attachments } from './attachments.ts';
import { audienceOf, sameAudience } from './audience.ts';
import type { Catalogs } from './catalog.ts';
import { type GraphContext, sameContent } from './context.ts';

/** A route's resource, and where it sends what it routes, by `namespace/hostname`. */
export interface RouteEntry extends WaypointEntry {
  readonly uses: readonly string[];
}

export interface Routes {
  /** By `namespace/name` of the Gateway: the controller of its class. */
  readonly controllers: Collection<string, string>;
  /** By kind, and by `namespace/name` of the object; of those that are attached to anything of ours. */
  readonly translated: Readonly<Record<RouteKind, Collection<string, TranslatedRoute>>>;
  /** By resource name. */
  readonly httpRoutes: readonly Collection<string, RouteEntry>[];
  readonly streamRoutes: readonly Collection<string, RouteEntry>[];
}

type Translate<T> = (route: T, lookup: ParentLookup) => TranslatedRoute | undefined;

export function deriveRoutes(
  { inputs, scheduler }: GraphContext,
  catalogs: Catalogs,
  attachments: Attachments,
): Routes {
  const controllers = derivedValues({
    name: 'controllers of gateways',
    scheduler,
    from: inputs.gateways,
    inputs: [inputs.gatewayClasses],
    compute: ({ spec }, _, fetch) =>
      fetch.get(inputs.gatewayClasses, spec?.gatewayClassName ?? '')?.spec?.controllerName,
  });
  const lookedAt: readonly GraphNode[] = [...catalogs.inputs, controllers];

  const translatedBy = <T>(kind: RouteKind, from: Collection<string, T>, translate: Translate<T>) =>
    derivedValues({
      name: `translated ${kind}s`,
      scheduler,
      from,
      inputs: lookedAt,
      compute: (route, _, fetch) =>
        translate(route, {
          catalog: catalogs.with(fetch),
          gatewayController: (namespace, name) => fetch.get(controllers, `${namespace}/${name}`),
        }),
      equals: sameContent,
    });

  const entriesOf = (type: WaypointResourceKind, from: Collection<string, TranslatedRoute>) => {
    const encoded = derivedValues({
      name: `encoded ${from.name}`,
      scheduler,
      from,
      compute: ({ resources, uses }) =>
        resources.flatMap((resource) =>
          resource.type === type
            ? [
                {
                  services: parentKeys(resource),
                  uses,
                  resource: waypointResource(resource.type, resource.name, resource.value),
                },
              ]
            : [],
        ),
    });
    return new DerivedCollection({
      name: `${from.name} by resource`,
      scheduler,
      from: encoded,
      inputs: [attachments],
      compute: (made, _, fetch): readonly (readonly [string, RouteEntry])[] =>
        made.flatMap(({ services, uses, resource }) => {
          const audience = audienceOf(services.flatMap((service) => fetch.get(attachments, service) ?? []));
          return audience.length === 0 ? [] : [[resource.name, { resource, audience, uses }] as const];
        }),
      equals: sameRoute,
    });
  };

  const translated = {
    HTTPRoute: translatedBy('HTTPRoute', inputs.httpRoutes, translateHttpRoute),
    GRPCRoute: translatedBy('GRPCRoute', inputs.grpcRoutes, translateGrpcRoute),
    TCPRoute: translatedBy('TCPRoute', inputs.tcpRoutes, translateTcpRoute),
    TLSRoute: translatedBy('TLSRoute', inputs.tlsRoutes, translateTlsRoute),
  };
  return {
    controllers,
    translated,
    httpRoutes: [entriesOf('HttpRoute', translated.HTTPRoute), entriesOf('HttpRoute', translated.GRPCRoute)],
    streamRoutes: [
      entriesOf('StreamRoute', translated.TCPRoute),
      entriesOf('StreamRoute', translated.TLSRoute),
    ],
  };
}

/** Whom a route uses follows from its bytes. */
export function sameRoute(a: RouteEntry, b: RouteEntry): boolean {
  return sameResource(a.resource, b.resource) && sameAudience(a.audience, b.audience);
}
