/** Everything that waypoints are sent, by type. A type without resources is served too: "none" is an answer. */
import type { WaypointResourceKind } from '@ambit/api/waypoint';
import type { Collection } from '@ambit/collections/collection';
import { JoinedCollection } from '@ambit/collections/join';
import type { WaypointEntry } from '../push/waypoint-feed.ts';
import type { GraphContext } from './context.ts';
import { deriveMeshSettings } from './mesh-settings.ts';
import type { Routes } from './routes.ts';
import type { TargetedPolicies } from './targeted-policies.ts';
import type { VirtualServiceRoutes } from './virtual-services.ts';

export type WaypointResourceCollections = Readonly<
  Record<WaypointResourceKind, Collection<string, WaypointEntry>>
>;

export interface WaypointResourceParts {
  readonly routes: Routes;
  readonly virtualServices: VirtualServiceRoutes;
  readonly policies: TargetedPolicies;
  readonly destinations: readonly Collection<string, WaypointEntry>[];
}

export function deriveWaypointResources(
  context: GraphContext,
  { routes, virtualServices, policies, destinations }: WaypointResourceParts,
): WaypointResourceCollections {
  const joined = (kind: WaypointResourceKind, ...from: readonly Collection<string, WaypointEntry>[]) =>
    new JoinedCollection({ name: `${kind} for waypoints`, from });
  return {
    MeshSettings: joined('MeshSettings', deriveMeshSettings(context)),
    AuthorizationPolicy: joined('AuthorizationPolicy', policies.AuthorizationPolicy),
    RequestAuthentication: joined('RequestAuthentication', policies.RequestAuthentication),
    DestinationPolicy: joined('DestinationPolicy', ...destinations),
    HttpRoute: joined('HttpRoute', ...routes.httpRoutes, virtualServices.httpRoutes),
    StreamRoute: joined('StreamRoute', ...routes.streamRoutes, virtualServices.streamRoutes),
    Telemetry: joined('Telemetry', policies.Telemetry),
  };
}
