/** Pods and hand-made endpoints → mesh workloads. */
import type { Collection } from '@ambit/collections/collection';
import { DerivedCollection, derivedValues } from '@ambit/collections/derived';
import { IndexCollection } from '@ambit/collections/index-by';
import { ONLY } from '@ambit/collections/singleton';
import { selectsLabels } from '@ambit/kube/label-selector';
import type { EndpointSlice } from '@ambit/kube/resources/core';
import { type AddressEntry, sameEntry, workloadEntry } from '../push/encode.ts';
import { isPod, serviceNameOf, targetPortsOf, translateEndpointSlice } from '../translate/endpoint-slice.ts';
import { isLive, localityOf, type PodService, translatePod } from '../translate/pod.ts';
import { UNBOUND } from '../translate/waypoint-binding.ts';
import { type GraphContext, sameContent } from './context.ts';
import type { Policies } from './policies.ts';
import type { ServiceInfo, Services } from './services.ts';
import type { Waypoints } from './waypoints.ts';

/** A slice that says something which the selector of its Service does not. */
interface CustomSlice {
  readonly slice: EndpointSlice;
  readonly service: ServiceInfo;
}

export interface Workloads {
  /** By uid. */
  readonly ofPods: Collection<string, AddressEntry>;
  readonly ofSlices: Collection<string, AddressEntry>;
}

export function deriveWorkloads(
  { inputs, settings, scheduler }: GraphContext,
  services: Services,
  policies: Policies,
  waypoints: Waypoints,
): Workloads {
  const localities = derivedValues({
    name: 'localities',
    scheduler,
    from: inputs.nodes,
    compute: localityOf,
    equals: sameContent,
  });
  const customSlices = derivedValues({
    name: 'hand-made endpoint slices',
    scheduler,
    from: inputs.endpointSlices,
    inputs: [services.infos],
    compute: ({ metadata, addressType, endpoints = [], ports = [] }, _, fetch): CustomSlice | undefined => {
      const { namespace = '', name } = metadata;
      const serviceName = serviceNameOf({ metadata, addressType });
      const service = serviceName && fetch.get(services.infos, `${namespace}/${serviceName}`);
      if (!service || (service.selector && endpoints.every(isPod))) return undefined;
      return { slice: { metadata: { namespace, name }, addressType, endpoints, ports }, service };
    },
    equals: sameContent,
  });
  const slicesByPod = new IndexCollection({
    name: 'hand-made endpoint slices by pod',
    scheduler,
    from: customSlices,
    keysOf: ({ slice, service }) =>
      service.selector
        ? []
        : (slice.endpoints ?? [])
            .filter(isPod)
            .map(({ targetRef }) => `${service.namespace}/${targetRef?.name ?? ''}`),
  });
  const ofSlices = new DerivedCollection({
    name: 'workloads of endpoint slices',
    scheduler,
    from: customSlices,
    inputs: [services.network],
    compute: ({ slice, service }, _, fetch) => {
      const network = fetch.get(services.network, ONLY) ?? '';
      return entriesOf(translateEndpointSlice(slice, { settings, network, service }).map(workloadEntry));
    },
    equals: sameEntry,
  });
  const ofPods = new DerivedCollection({
    name: 'workloads of pods',
    scheduler,
    from: inputs.pods,
    inputs: [
      services.network,
      services.selecting,
      localities,
      slicesByPod,
      ...policies.inputs,
      ...waypoints.inputs,
    ],
    compute: (pod, key, fetch) => {
      if (!isLive(pod)) return [];
      const { namespace = '', labels } = pod.metadata;
      const selecting = fetch.where(services.selecting, namespace, ({ selector }) =>
        selectsLabels(selector, labels),
      );
      // A waypoint is not behind a waypoint.
      const instance = waypoints.instanceOf(pod.metadata, fetch);
      const binding = instance ? UNBOUND : waypoints.bindingOf('workload', pod.metadata, fetch);
      const workload = translatePod(pod, {
        settings,
        network: fetch.get(services.network, ONLY) ?? '',
        locality: fetch.get(localities, pod.spec?.nodeName ?? ''),
        services: [...selecting, ...fetch.group(slicesByPod, key).map(podServiceOf)],
        policies: policies.namesFor(namespace, labels, fetch),
        waypoint: binding.waypoint?.address,
        applicationTunnel: instance?.applicationTunnel,
      });
      return entriesOf([workloadEntry(workload)]);
    },
    equals: sameEntry,
  });
  return { ofPods, ofSlices };
}

function podServiceOf({ slice, service }: CustomSlice): PodService {
  return { key: service.key, ports: service.ports, targetPorts: targetPortsOf(slice, service.ports) };
}

function entriesOf(entries: readonly AddressEntry[]): readonly (readonly [string, AddressEntry])[] {
  return entries.map((entry) => [entry.resource.name, entry]);
}
