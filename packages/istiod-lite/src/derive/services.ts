/** Services → mesh services, and what pods need to know of them. */
import type { Collection } from '@ambit/collections/collection';
import { DerivedCollection, derivedValues } from '@ambit/collections/derived';
import { IndexCollection } from '@ambit/collections/index-by';
import { ONLY, type Singleton } from '@ambit/collections/singleton';
import type { Labels } from '@ambit/kube/label-selector';
import type { ServicePort } from '@ambit/kube/resources/core';
import { type AddressEntry, sameEntry, serviceEntry } from '../push/encode.ts';
import {
  hostnameOf,
  INGRESS_USE_WAYPOINT_LABEL,
  type NamespaceDefaults,
  TRAFFIC_DISTRIBUTION_ANNOTATION,
  translateService,
} from '../translate/service.ts';
import { type GraphContext, sameContent } from './context.ts';
import type { Waypoints } from './waypoints.ts';

/** A Service as its endpoints see it. */
export interface ServiceInfo {
  /** `namespace/hostname`. */
  readonly key: string;
  readonly namespace: string;
  /** Absent: somebody fills its EndpointSlices by hand. */
  readonly selector: Labels | undefined;
  readonly ports: readonly ServicePort[];
}

export interface Services {
  /** The network of this cluster; empty is a network too. */
  readonly network: Singleton<string>;
  /** By `namespace/name` of the object. */
  readonly infos: Collection<string, ServiceInfo>;
  /** Those with a selector. */
  readonly selecting: Collection<string, readonly ServiceInfo[]>;
  /** By resource name. */
  readonly addresses: Collection<string, AddressEntry>;
}

export function deriveServices(
  { inputs, settings, scheduler }: GraphContext,
  network: Singleton<string>,
  waypoints: Waypoints,
): Services {
  const namespaceDefaults = derivedValues({
    name: 'defaults of namespaces',
    scheduler,
    from: inputs.namespaces,
    compute: ({ metadata }): NamespaceDefaults => ({
      trafficDistribution: metadata.annotations?.[TRAFFIC_DISTRIBUTION_ANNOTATION],
      ingressUseWaypoint: metadata.labels?.[INGRESS_USE_WAYPOINT_LABEL],
    }),
    equals: sameContent,
  });
  const infos = derivedValues({
    name: 'services as pods see them',
    scheduler,
    from: inputs.services,
    compute: (service): ServiceInfo | undefined => {
      const { metadata, spec = {} } = service;
      if (spec.type === 'ExternalName') return undefined;
      const namespace = metadata.namespace ?? '';
      const hasSelector = Object.keys(spec.selector ?? {}).length > 0;
      return {
        key: `${namespace}/${hostnameOf(service, settings)}`,
        namespace,
        selector: hasSelector ? spec.selector : undefined,
        ports: spec.ports ?? [],
      };
    },
    equals: sameContent,
  });
  const selecting = new IndexCollection({
    name: 'selecting services by namespace',
    scheduler,
    from: infos,
    keysOf: ({ selector, namespace }) => (selector ? [namespace] : []),
  });
  const addresses = new DerivedCollection({
    name: 'mesh services',
    scheduler,
    from: inputs.services,
    inputs: [network, namespaceDefaults, ...waypoints.inputs],
    compute: (service, _, fetch): readonly (readonly [string, AddressEntry])[] => {
      const translated = translateService(service, {
        settings,
        network: fetch.get(network, ONLY) ?? '',
        namespace: fetch.get(namespaceDefaults, service.metadata.namespace ?? ''),
        binding: waypoints.bindingOf('service', service.metadata, fetch),
      });
      if (!translated) return [];
      const entry = serviceEntry(translated);
      return [[entry.resource.name, entry]];
    },
    equals: sameEntry,
  });
  return { network, infos, selecting, addresses };
}
