/** Everything that waypoints are sent, by type. A type without resources is served too: "none" is an answer. */
import type { WaypointResourceKind } from '@ambit/api/waypoint';
import type { Collection } from '@ambit/collections/collection';
import { JoinedCollection } from '@ambit/collections/join';
import type { WaypointEntry } from '../push/waypoint-feed.ts';
import type { GraphContext } from './context.ts';
import { deriveMeshSettings } from './mesh-settings.ts';
import type { Routes } from './routes.ts';
import type { TargetedPolicies } from './targeted-policies.ts';

export type WaypointResourceCollections = Readonly<
  Record<WaypointResourceKind, Collection<string, WaypointEntry>>
>;

export function deriveWaypointResources(
  context: GraphContext,
  routes: Routes,
  policies: TargetedPolicies,
): WaypointResourceCollections {
  const joined = (kind: WaypointResourceKind, ...from: readonly Collection<string, WaypointEntry>[]) =>
    new JoinedCollection({ name: `${kind} for waypoints`, from });
  return {
    MeshSettings: joined('MeshSettings', deriveMeshSettings(context)),
    AuthorizationPolicy: joined('AuthorizationPolicy', policies.AuthorizationPolicy),
    RequestAuthentication: joined('RequestAuthentication', policies.RequestAuthentication),
    DestinationPolicy: joined('DestinationPolicy'),
    HttpRoute: joined('HttpRoute', ...routes.httpRoutes),
    StreamRoute: joined('StreamRoute', ...routes.streamRoutes),
    Telemetry: joined('Telemetry'),
  };
}
