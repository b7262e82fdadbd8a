/** Services and ServiceEntries → mesh services, and what workloads need to know of them. */
import type { Collection } from '@ambit/collections/collection';
import { DerivedCollection, derivedValues } from '@ambit/collections/derived';
import { IndexCollection } from '@ambit/collections/index-by';
import { JoinedCollection } from '@ambit/collections/join';
import { ONLY, type Singleton } from '@ambit/collections/singleton';
import type { Labels } from '@ambit/kube/label-selector';
import { type AddressEntry, sameEntry, serviceEntry } from '../push/encode.ts';
import { type OfferedService, portsOfService } from '../translate/offered-ports.ts';
import {
  hostnameOf,
  INGRESS_USE_WAYPOINT_LABEL,
  type NamespaceDefaults,
  translateService,
} from '../translate/service.ts';
import { TRAFFIC_DISTRIBUTION_ANNOTATION } from '../translate/traffic-distribution.ts';
import { type GraphContext, sameContent } from './context.ts';
import { deriveServiceEntries, type ServiceEntries } from './service-entries.ts';
import type { Visibilities } from './visibility.ts';
import type { Waypoints } from './waypoints.ts';

/** A service as its endpoints see it. */
export interface ServiceInfo extends OfferedService {
  readonly namespace: string;
  /** Absent: its endpoints are named one by one. */
  readonly selector: Labels | undefined;
}

export interface Services {
  /** The network of this cluster; empty is a network too. */
  readonly network: Singleton<string>;
  /** By `namespace/name` of the Service. */
  readonly infos: Collection<string, ServiceInfo>;
  /** Those of both kinds that have a selector, by namespace. */
  readonly selecting: Collection<string, readonly ServiceInfo[]>;
  readonly entries: ServiceEntries;
  /** By resource name. */
  readonly addresses: Collection<string, AddressEntry>;
}

export function deriveServices(
  context: GraphContext,
  network: Singleton<string>,
  waypoints: Waypoints,
  visibilities: Visibilities,
): Services {
  const { inputs, settings, scheduler } = context;
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
    name: 'services as endpoints see them',
    scheduler,
    from: inputs.services,
    compute: (service): ServiceInfo | undefined => {
      const { metadata, spec = {} } = service;
      if (spec.type === 'ExternalName') return undefined;
      const namespace = metadata.namespace ?? '';
      return {
        key: `${namespace}/${hostnameOf(service, settings)}`,
        kind: 'Service',
        namespace,
        selector: nonEmpty(spec.selector),
        ports: portsOfService(spec.ports ?? []),
      };
    },
    equals: sameContent,
  });
  const ofServices = new DerivedCollection({
    name: 'mesh services of services',
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
  const entries = deriveServiceEntries(context, {
    network,
    namespaceDefaults,
    infos,
    waypoints,
    visibilities,
  });
  const selecting = new IndexCollection({
    name: 'selecting services by namespace',
    scheduler,
    from: new JoinedCollection({ name: 'services of both kinds', from: [infos, entries.infos] }),
    keysOf: ({ selector, namespace }) => (selector ? [namespace] : []),
  });
  const addresses = new JoinedCollection({ name: 'mesh services', from: [ofServices, entries.addresses] });
  return { network, infos, selecting, entries, addresses };
}

/** A selector without labels selects nothing. */
function nonEmpty(selector: Labels | undefined): Labels | undefined {
  return Object.keys(selector ?? {}).length > 0 ? selector : undefined;
}
