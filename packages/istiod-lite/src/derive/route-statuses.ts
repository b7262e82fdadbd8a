/** What the statuses of routes shall say: by `namespace/name` of each route, its parents that are ours to speak of. */
import type { Collection } from '@ambit/collections/collection';
import { derivedValues } from '@ambit/collections/derived';
import type { Fetch } from '@ambit/collections/fetch';
import type { Parent } from '../translate/routes/parents.ts';
import { serviceKindOf } from '../translate/routes/parents.ts';
import { type ParentWaypoint, type WantedParent, wantedParents } from '../translate/routes/route-status.ts';
import type { RouteKind } from '../translate/routes/translated.ts';
import { waypointKey } from '../translate/waypoint.ts';
import { type GraphContext, sameContent } from './context.ts';
import type { Refusals } from './refusals.ts';
import type { Routes } from './routes.ts';
import type { Waypoints } from './waypoints.ts';

export type RouteStatuses = Readonly<Record<RouteKind, Collection<string, readonly WantedParent[]>>>;

/** Whoever else runs waypoints of Istio's kinds than {@link OURS} speaks of the routes behind them. */
const OURS: ReadonlySet<string> = new Set([
  'istio.io/mesh-controller',
  'istio.io/eastwest-controller',
  'istio.io/gateway-controller',
  'istio.io/unmanaged-gateway',
]);

export function deriveRouteStatuses(
  { scheduler }: GraphContext,
  { translated, controllers }: Routes,
  waypoints: Waypoints,
  refusals: Refusals,
): RouteStatuses {
  const waypointOf = ({ reference, namespace }: Parent, fetch: Fetch): ParentWaypoint => {
    const of = {
      Service: waypoints.ofServices,
      ServiceEntry: waypoints.ofServiceEntries,
    };
    const kind = serviceKindOf(reference.group ?? '', reference.kind ?? '');
    const binding = kind && fetch.get(of[kind], `${namespace}/${reference.name}`);
    if (!binding?.waypoint) return { is: 'none', problem: binding?.problem?.message };
    const controller = fetch.get(controllers, waypointKey(binding.waypoint));
    return { is: controller === undefined || OURS.has(controller) ? 'ours' : 'theirs' };
  };
  const statusesOf = (kind: RouteKind) =>
    derivedValues({
      name: `statuses of ${kind}s`,
      scheduler,
      from: translated[kind],
      inputs: [waypoints.ofServices, waypoints.ofServiceEntries, controllers, ...refusals.inputs[kind]],
      compute: (route, key, fetch) => {
        const refused = refusals.of(kind, key, fetch);
        const parents = wantedParents(route, (parent) => waypointOf(parent, fetch), refused);
        return parents.length > 0 ? parents : undefined;
      },
      equals: sameContent,
    });
  return {
    HTTPRoute: statusesOf('HTTPRoute'),
    GRPCRoute: statusesOf('GRPCRoute'),
    TCPRoute: statusesOf('TCPRoute'),
    TLSRoute: statusesOf('TLSRoute'),
  };
}
