/** The waypoint's own types, from xDS into the store that joins them. */
import { WAYPOINT_RESOURCE_KINDS, waypointTypeUrl } from '@ambit/api/waypoint';
import type { TypeHandler } from '@ambit/xds/client/type-state';
import type { ResourceStore } from '../resources/store.ts';

/** In the order in which to ask: what restricts comes before what routes. */
export function resourceHandlers(store: ResourceStore): readonly TypeHandler[] {
  return WAYPOINT_RESOURCE_KINDS.map((kind) => ({
    typeUrl: waypointTypeUrl(kind),
    apply: ({ upserts, removed }) =>
      store
        .apply(
          kind,
          upserts.map(({ name, value }) => ({ name, bytes: value })),
          removed,
        )
        .map(({ name, problem }) => ({ name, reason: problem })),
  }));
}
