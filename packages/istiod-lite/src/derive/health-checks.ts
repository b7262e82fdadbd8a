/** What Services say of health checks → what waypoints that send anything there are sent. */
import type { Collection } from '@ambit/collections/collection';
import { DerivedCollection } from '@ambit/collections/derived';
import { sameResource, waypointResource } from '../push/encode.ts';
import type { WaypointEntry } from '../push/waypoint-feed.ts';
import { healthCheckDestination } from '../translate/destinations/health-check.ts';
import { serviceKey } from '../translate/routes/catalog.ts';
import { hostnameOf } from '../translate/service.ts';
import { sameAudience } from './audience.ts';
import type { GraphContext } from './context.ts';
import type { RelevantServices } from './relevant-services.ts';

export function deriveHealthChecks(
  { inputs, settings, scheduler }: GraphContext,
  relevant: RelevantServices,
): Collection<string, WaypointEntry> {
  return new DerivedCollection({
    name: 'health checks by resource',
    scheduler,
    from: inputs.services,
    inputs: [relevant.byService],
    compute: (service, _, fetch): readonly (readonly [string, WaypointEntry])[] => {
      const hostname = hostnameOf(service, settings);
      const policy = healthCheckDestination(service, hostname);
      if (!policy) return [];
      const key = serviceKey({ namespace: service.metadata.namespace ?? '', hostname });
      const audience = fetch.get(relevant.byService, key)?.waypoints ?? [];
      if (audience.length === 0) return [];
      const resource = waypointResource('DestinationPolicy', `Service/${key}`, policy);
      return [[resource.name, { resource, audience }]];
    },
    equals: (a, b) => sameResource(a.resource, b.resource) && sameAudience(a.audience, b.audience),
  });
}
