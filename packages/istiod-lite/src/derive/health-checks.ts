/** What Services and ServiceEntries say of health checks → what waypoints that send anything there are sent. */
import type { Collection } from '@ambit/collections/collection';
import { DerivedCollection } from '@ambit/collections/derived';
import type { KubeObject } from '@ambit/kube/resource';
import { sameResource, waypointResource } from '../push/encode.ts';
import type { WaypointEntry } from '../push/waypoint-feed.ts';
import {
  checkedEntry,
  checkedHosts,
  checkedService,
  type CheckedService,
  healthCheckDestination,
} from '../translate/destinations/health-check.ts';
import { serviceKey } from '../translate/routes/catalog.ts';
import { hostnameOf } from '../translate/service.ts';
import { sameAudience } from './audience.ts';
import type { GraphContext } from './context.ts';
import type { RelevantServices } from './relevant-services.ts';

export function deriveHealthChecks(
  { inputs, settings, scheduler }: GraphContext,
  relevant: RelevantServices,
): readonly Collection<string, WaypointEntry>[] {
  const of = <T extends KubeObject>(
    name: string,
    from: Collection<string, T>,
    checked: (object: T) => CheckedService,
    hostnames: (object: T) => readonly string[],
  ) =>
    new DerivedCollection({
      name,
      scheduler,
      from,
      inputs: [relevant.byService],
      compute: (object, _, fetch): readonly (readonly [string, WaypointEntry])[] =>
        hostnames(object).flatMap((hostname) => {
          const service = checked(object);
          const policy = healthCheckDestination(service, hostname);
          if (!policy) return [];
          const { namespace = '', name: ofObject } = object.metadata;
          const key = serviceKey({ namespace, hostname });
          const audience = fetch.get(relevant.byService, key)?.waypoints ?? [];
          if (audience.length === 0) return [];
          // Entries may share a host.
          const place = service.kind === 'Service' ? key : `${namespace}/${ofObject}/${hostname}`;
          const resource = waypointResource('DestinationPolicy', `${service.kind}/${place}`, policy);
          return [[resource.name, { resource, audience }] as const];
        }),
      equals: (a, b) => sameResource(a.resource, b.resource) && sameAudience(a.audience, b.audience),
    });
  return [
    of('health checks of services', inputs.services, checkedService, (service) => [
      hostnameOf(service, settings),
    ]),
    of('health checks of service entries', inputs.serviceEntries, checkedEntry, checkedHosts),
  ];
}
