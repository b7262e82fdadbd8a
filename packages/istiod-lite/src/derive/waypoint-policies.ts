/** For each waypoint, the policy that lets it through, and which workloads must name it. Only where that is wanted. */
import type { Collection, GraphNode } from '@ambit/collections/collection';
import { DerivedCollection, derivedValues } from '@ambit/collections/derived';
import type { Fetch } from '@ambit/collections/fetch';
import { IndexCollection } from '@ambit/collections/index-by';
import type { EncodedResource } from '@ambit/xds/resource-feed';
import { authorizationResource, sameResource } from '../push/encode.ts';
import { isLive } from '../translate/pod.ts';
import { GATEWAY_NAME_LABEL, waypointKey } from '../translate/waypoint.ts';
import { allowWaypoint } from '../translate/waypoint-policy.ts';
import type { Attachments } from './attachments.ts';
import { type GraphContext, sameContent } from './context.ts';
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
  { inputs, settings, scheduler }: GraphContext,
  waypoints: Waypoints,
  attachments: Attachments,
): WaypointPolicies {
  if (settings.autoAllowWaypoints !== true) return NONE;
  const instances = derivedValues({
    name: 'instances of gateways',
    scheduler,
    from: inputs.pods,
    compute: (pod) => {
      const { namespace = '', labels } = pod.metadata;
      const name = labels?.[GATEWAY_NAME_LABEL];
      if (!name || !isLive(pod)) return undefined;
      return {
        gateway: waypointKey({ namespace, name }),
        account: pod.spec?.serviceAccountName || 'default',
      };
    },
    equals: sameContent,
  });
  const instancesByGateway = new IndexCollection({
    name: 'instances of gateways by gateway',
    scheduler,
    from: instances,
    keysOf: ({ gateway }) => [gateway],
  });
  /** By `namespace/name` of the Gateway. */
  const policies = derivedValues({
    name: 'policies of waypoints',
    scheduler,
    from: waypoints.all,
    inputs: [instancesByGateway],
    compute: (waypoint, key, fetch) => {
      const accounts = new Set(fetch.group(instancesByGateway, key).map(({ account }) => account));
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
