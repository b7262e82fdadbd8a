/** What comes of a route: resources for waypoints, and what its status shall say. */
import type { HttpRoute, Origin, ServicePort, StreamRoute, WaypointFields } from '@ambit/api/waypoint';
import type { KubeObject } from '@ambit/kube/resource';
import { serviceKey } from './catalog.ts';
import type { Parent } from './parents.ts';
import type { ReferenceProblem, RuleProblem } from './problems.ts';

export type RouteKind = 'HTTPRoute' | 'GRPCRoute' | 'TCPRoute' | 'TLSRoute';

/** A resource of the type that goes with it, under its name. */
export type RouteResource =
  | { readonly type: 'HttpRoute'; readonly name: string; readonly value: WaypointFields<HttpRoute> }
  | { readonly type: 'StreamRoute'; readonly name: string; readonly value: WaypointFields<StreamRoute> };

export interface TranslatedRoute {
  readonly resources: readonly RouteResource[];
  readonly parents: readonly Parent[];
  /** Where it sends requests, by `namespace/hostname`. */
  readonly uses: readonly string[];
  readonly references: readonly ReferenceProblem[];
  readonly rules: readonly RuleProblem[];
  /** What it says and nobody heeds. */
  readonly unheeded: readonly string[];
  readonly generation: number | undefined;
}

/** Parents of one resource, and whose requests it is for; empty: everybody's. */
export interface ParentGroup {
  readonly suffix: string;
  readonly consumerNamespace: string;
  readonly services: readonly ServicePort[];
}

const CONSUMER_SUFFIX = '/consumer';

/**
 * A route in the namespace of its service is that of the producer and for every client; one elsewhere is a consumer's, and
 * for clients of its own namespace alone. One object may be both.
 */
export function parentGroups(parents: readonly Parent[], routeNamespace: string): readonly ParentGroup[] {
  const of = (isProducer: boolean) =>
    distinct(
      parents
        .filter(({ namespace }) => (namespace === routeNamespace) === isProducer)
        .flatMap(({ services }) => services),
    );
  return [
    { suffix: '', consumerNamespace: '', services: of(true) },
    { suffix: CONSUMER_SUFFIX, consumerNamespace: routeNamespace, services: of(false) },
  ].filter(({ services }) => services.length > 0);
}

export function originOf(kind: string, { metadata }: KubeObject): WaypointFields<Origin> {
  const { namespace = '', name, creationTimestamp = '' } = metadata;
  const createdMs = Date.parse(creationTimestamp);
  return { kind, namespace, name, createdMs: BigInt(Number.isNaN(createdMs) ? 0 : createdMs) };
}

/** The services that the resource is for, by `namespace/hostname`. */
export function parentKeys({ value }: RouteResource): readonly string[] {
  return [...new Set((value.parents ?? []).map(keyOf))];
}

function keyOf({ namespace = '', hostname = '' }: WaypointFields<ServicePort>): string {
  return serviceKey({ namespace, hostname });
}

function distinct(services: readonly ServicePort[]): readonly ServicePort[] {
  return [
    ...new Map(services.map((service) => [`${serviceKey(service)}:${service.port}`, service])).values(),
  ];
}
