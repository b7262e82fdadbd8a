/** The settings of the mesh, as every waypoint is sent them. */
import { MESH_SETTINGS_NAME } from '@ambit/api/waypoint';
import type { Collection } from '@ambit/collections/collection';
import { DerivedCollection } from '@ambit/collections/derived';
import { Singleton } from '@ambit/collections/singleton';
import { sameResource, waypointResource } from '../push/encode.ts';
import type { WaypointEntry } from '../push/waypoint-feed.ts';
import { waypointMeshSettings } from '../translate/mesh-settings.ts';
import type { GraphContext } from './context.ts';

export function deriveMeshSettings({
  meshConfig,
  settings,
  scheduler,
}: GraphContext): Collection<string, WaypointEntry> {
  const resource = new Singleton({
    name: 'settings for waypoints',
    scheduler,
    inputs: [meshConfig],
    compute: () =>
      waypointResource('MeshSettings', MESH_SETTINGS_NAME, waypointMeshSettings(meshConfig.value, settings)),
    equals: sameResource,
  });
  return new DerivedCollection({
    name: 'settings for waypoints by resource',
    scheduler,
    from: resource,
    compute: (value): readonly (readonly [string, WaypointEntry])[] => [
      [MESH_SETTINGS_NAME, { resource: value, audience: 'all' }],
    ],
    equals: (a, b) => sameResource(a.resource, b.resource),
  });
}
