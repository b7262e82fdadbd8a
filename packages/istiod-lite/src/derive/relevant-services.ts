/**
 * Which waypoints send anything to a service: those that it is attached to, and those with a route that leads there.
 * Whatever says how a service's endpoints are used goes to them.
 */
import type { Collection } from '@ambit/collections/collection';
import { derivedValues } from '@ambit/collections/derived';
import { IndexCollection } from '@ambit/collections/index-by';
import { JoinedCollection } from '@ambit/collections/join';
import { namespaceOfKey } from '../translate/hosts.ts';
import type { Attachments } from './attachments.ts';
import { audienceOf, sameAudience } from './audience.ts';
import type { GraphContext } from './context.ts';
import type { RouteEntry } from './routes.ts';

export interface RelevantService {
  /** `namespace/hostname`. */
  readonly service: string;
  /** `namespace/name` of each waypoint, sorted. */
  readonly waypoints: readonly string[];
}

export interface RelevantServices {
  /** By `namespace/hostname`; those that a waypoint sends anything to. */
  readonly byService: Collection<string, RelevantService>;
  /** By {@link EVERYWHERE}, {@link inNamespace} of the service, and {@link ofNamespace} of each waypoint. */
  readonly byPlace: Collection<string, readonly RelevantService[]>;
}

export const EVERYWHERE = 'everywhere';
export const inNamespace = (namespace: string) => `in ${namespace}`;
export const ofNamespace = (namespace: string) => `of ${namespace}`;

export function relevantServices(
  { scheduler }: GraphContext,
  attachments: Attachments,
  routes: readonly Collection<string, RouteEntry>[],
): RelevantServices {
  const byUsed = new IndexCollection({
    name: 'routes by service used',
    scheduler,
    from: new JoinedCollection({ name: 'routes that use services', from: routes }),
    keysOf: ({ uses }) => uses,
  });
  const users = derivedValues({
    name: 'waypoints by service used',
    scheduler,
    from: byUsed,
    compute: (entries) => audienceOf(entries.flatMap(({ audience }) => (audience === 'all' ? [] : audience))),
    equals: sameAudience,
  });
  const byService = derivedValues({
    name: 'services that waypoints use',
    scheduler,
    from: new JoinedCollection<string, readonly string[]>({
      name: 'waypoints by service attached or used',
      from: [attachments, users],
      merge: (values) => audienceOf(values.flat()),
      equals: sameAudience,
    }),
    compute: (waypoints, service): RelevantService => ({ service, waypoints }),
  });
  const byPlace = new IndexCollection({
    name: 'services that waypoints use, by place',
    scheduler,
    from: byService,
    keysOf: ({ service, waypoints }) => [
      EVERYWHERE,
      inNamespace(namespaceOfKey(service)),
      ...waypoints.map((waypoint) => ofNamespace(namespaceOfKey(waypoint))),
    ],
  });
  return { byService, byPlace };
}
