/** Objects because of which waypoints refuse what they are for: what is wrong with what waypoints are sent of each. */
import type { Collection, GraphNode } from '@ambit/collections/collection';
import { IndexCollection } from '@ambit/collections/index-by';
import type { Fetch } from '@ambit/collections/fetch';
import type { WaypointEntry } from '../push/waypoint-feed.ts';
import type { GraphContext } from './context.ts';
import type { RouteKind } from '../translate/routes/translated.ts';
import type { Routes } from './routes.ts';
import type { TargetedPolicies } from './targeted-policies.ts';
import type { VirtualServiceRoutes } from './virtual-services.ts';

export interface Refusals {
  /** What a computation that calls {@link Refusals.of} must give as its inputs. */
  readonly inputs: Readonly<Record<RefusedKind, readonly GraphNode[]>>;
  /** @param key - `namespace/name` of the object. */
  of(kind: RefusedKind, key: string, fetch: Fetch): string | undefined;
}

export type RefusedKind =
  | 'VirtualService'
  | 'DestinationRule'
  | 'AuthorizationPolicy'
  | 'RequestAuthentication'
  | RouteKind;

type Entries = Collection<string, WaypointEntry>;

export interface RefusalSources {
  readonly routes: Routes;
  readonly virtualServices: VirtualServiceRoutes;
  readonly destinations: readonly Entries[];
  readonly policies: TargetedPolicies;
}

export function deriveRefusals(
  { scheduler }: GraphContext,
  { routes, virtualServices, destinations, policies }: RefusalSources,
): Refusals {
  const indexed = (from: Entries) =>
    new IndexCollection<string, WaypointEntry>({
      name: `refused by ${from.name}`,
      scheduler,
      from,
      keysOf: ({ resource: { name, problem } }) => (problem === undefined ? [] : [objectOf(name)]),
    });
  const requests = routes.httpRoutes.map(indexed);
  const streams = routes.streamRoutes.map(indexed);
  const of = {
    HTTPRoute: requests,
    GRPCRoute: requests,
    TCPRoute: streams,
    TLSRoute: streams,
    VirtualService: [virtualServices.httpRoutes, virtualServices.streamRoutes].map(indexed),
    DestinationRule: destinations.map(indexed),
    AuthorizationPolicy: [indexed(policies.AuthorizationPolicy)],
    RequestAuthentication: [indexed(policies.RequestAuthentication)],
  };
  return {
    inputs: of,
    of: (kind, key, fetch) => {
      const name =
        kind === 'AuthorizationPolicy' || kind === 'RequestAuthentication' ? key : `${kind}/${key}`;
      for (const index of of[kind])
        for (const { resource } of fetch.group(index, name)) return resource.problem;
      return undefined;
    },
  };
}

/** Of what became several resources, each has the object's name and something after it. */
function objectOf(name: string): string {
  const parts = name.split('/');
  return parts.length <= 2 ? name : parts.slice(0, 3).join('/');
}
