/** For each waypoint, the policy that lets it through, and which workloads must name it. Only where that is wanted. */
import type { Collection, GraphNode } from '@ambit/collections/collection';
import { DerivedCollection, derivedValues } from '@ambit/collections/derived';
import type { Fetch } from '@ambit/collections/fetch';
import type { EncodedResource } from '@ambit/xds/resource-feed';
import { authorizationResource, sameResource } from '../push/encode.ts';
import { waypointKey } from '../translate/waypoint.ts';
import { allowWaypoint } from '../translate/waypoint-policy.ts';
import type { Attachments } from './attachments.ts';
import type { GraphContext } from './context.ts';
import type { GatewayInstances } from './gateway-instances.ts';
import type { Bindable, Waypoints } from './waypoints.ts';

export interface WaypointPolicies {
  /** By resource name. */
  readonly authorizations: readonly Collection<string, EncodedResource>[];
  /** What a computation that calls {@link WaypointPolicies.namesFor} must give as its inputs. */
  readonly inputs: readonly GraphNode[];
  /** @param services - `namespace/hostname` of those that the workload is an endpoint of. */
  namesFor(object: Bindable, services: readonly string[], fetch: Fetch): readonly string[];
}

const NONE: WaypointPolicies = { authorizations: [], inputs: [], namesFor: () => [] };

export function deriveWaypointPolicies(
  { settings, scheduler }: GraphContext,
  waypoints: Waypoints,
  attachments: Attachments,
  instances: GatewayInstances,
): WaypointPolicies {
  if (settings.autoAllowWaypoints !== true) return NONE;
  /** By `namespace/name` of the Gateway. */
  const policies = derivedValues({
    name: 'policies of waypoints',
    scheduler,
    from: waypoints.all,
    inputs: [instances],
    compute: (waypoint, key, fetch) => {
      const accounts = new Set(fetch.group(instances, key).map(({ account }) => account));
      if (accounts.size === 0) return undefined;
      return authorizationResource(allowWaypoint(waypoint, [...accounts].sort(), settings.trustDomain));
    },
    equals: sameResource,
  });
  const authorizations = new DerivedCollection({
    name: 'policies of waypoints by resource',
    scheduler,
    from: policies,
    compute: (resource): readonly (readonly [string, EncodedResource])[] => [[resource.name, resource]],
    equals: sameResource,
  });
  return {
    authorizations: [authorizations],
    inputs: [policies, attachments, ...waypoints.inputs],
    namesFor: (object, services, fetch) => {
      if (waypoints.instanceOf(object, fetch)) return [];
      const own = waypoints.bindingOf('workload', object, fetch).waypoint;
      const keys = new Set([
        ...(own ? [waypointKey(own)] : []),
        ...services.flatMap((service) => fetch.get(attachments, service) ?? []),
      ]);
      return [...keys].flatMap((key) => fetch.get(policies, key)?.name ?? []);
    },
  };
}
