/** Gateways → waypoints, and which of them the traffic to an object goes through. */
import type { Collection, GraphNode } from '@ambit/collections/collection';
import { derivedValues } from '@ambit/collections/derived';
import type { Fetch } from '@ambit/collections/fetch';
import { ONLY, type Singleton } from '@ambit/collections/singleton';
import type { ObjectMeta } from '@ambit/kube/resource';
import { GATEWAY_NAME_LABEL, translateWaypoint, type Waypoint, waypointKey } from '../translate/waypoint.ts';
import { resolveWaypoint, type WaypointBinding, type WaypointWishes } from '../translate/waypoint-binding.ts';
import { type GraphContext, sameContent } from './context.ts';
import type { Visibilities } from './visibility.ts';

/** Names, labels and annotations of the object whose traffic is meant. */
export type Bindable = Pick<ObjectMeta, 'name' | 'namespace' | 'labels' | 'annotations'>;

export interface Waypoints {
  /** By `namespace/name` of the Gateway. */
  readonly all: Collection<string, Waypoint>;
  /** By `namespace/name` of the Service. */
  readonly ofServices: Collection<string, WaypointBinding>;
  /** By `namespace/name` of the ServiceEntry; of those that somebody may see. */
  readonly ofServiceEntries: Collection<string, WaypointBinding>;
  /** What a computation that calls the functions below must give as its inputs. */
  readonly inputs: readonly GraphNode[];
  /** For Services and ServiceEntries, and for Pods and WorkloadEntries. */
  bindingOf(
    of: 'service' | 'workload',
    object: Bindable,
    fetch: Fetch,
    options?: { readonly ownNamespaceOnly?: boolean },
  ): WaypointBinding;
  /** The waypoint that a pod is an instance of. */
  instanceOf(object: Bindable, fetch: Fetch): Waypoint | undefined;
}

export function deriveWaypoints(
  { inputs, scheduler }: GraphContext,
  network: Singleton<string>,
  visibilities: Visibilities,
): Waypoints {
  const all = derivedValues({
    name: 'waypoints',
    scheduler,
    from: inputs.gateways,
    inputs: [inputs.gatewayClasses, network],
    compute: (gateway, _, fetch) =>
      translateWaypoint(
        gateway,
        fetch.get(inputs.gatewayClasses, gateway.spec?.gatewayClassName ?? ''),
        fetch.get(network, ONLY) ?? '',
      ),
    equals: sameContent,
  });
  const wishes = derivedValues({
    name: 'what namespaces say of waypoints',
    scheduler,
    from: inputs.namespaces,
    compute: ({ metadata: { labels, annotations } }): WaypointWishes => ({
      ...(labels && { labels }),
      ...(annotations && { annotations: only('istio.io/', annotations) }),
    }),
    equals: sameContent,
  });
  const bindingOf: Waypoints['bindingOf'] = (of, object, fetch, options) => {
    const namespace = object.namespace ?? '';
    return resolveWaypoint({
      of,
      namespace,
      object,
      namespaceObject: fetch.get(wishes, namespace),
      waypoint: (key) => fetch.get(all, key),
      ...options,
    });
  };
  const ofServices = derivedValues({
    name: 'waypoints of services',
    scheduler,
    from: inputs.services,
    inputs: [all, wishes],
    compute: ({ metadata }, _, fetch) => bindingOf('service', metadata, fetch),
    equals: sameContent,
  });
  const ofServiceEntries = derivedValues({
    name: 'waypoints of service entries',
    scheduler,
    from: inputs.serviceEntries,
    inputs: [all, wishes, ...visibilities.inputs],
    compute: ({ metadata }, _, fetch) => {
      const visibility = visibilities.of(metadata.namespace ?? '', fetch);
      if (visibility === 'NONE') return undefined;
      return bindingOf('service', metadata, fetch, { ownNamespaceOnly: visibility === 'NAMESPACE' });
    },
    equals: sameContent,
  });
  return {
    all,
    ofServices,
    ofServiceEntries,
    inputs: [all, wishes],
    bindingOf,
    instanceOf: ({ namespace = '', labels }, fetch) => {
      const name = labels?.[GATEWAY_NAME_LABEL];
      return name ? fetch.get(all, waypointKey({ namespace, name })) : undefined;
    },
  };
}

/** Annotations change often for reasons that are nobody's here. */
function only(prefix: string, annotations: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(annotations).filter(([name]) => name.startsWith(prefix)));
}
