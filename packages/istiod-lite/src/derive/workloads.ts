/** Pods, machines and hand-made endpoints → mesh workloads. */
import type { Collection } from '@ambit/collections/collection';
import { DerivedCollection, derivedValues } from '@ambit/collections/derived';
import type { Fetch } from '@ambit/collections/fetch';
import { IndexCollection } from '@ambit/collections/index-by';
import { ONLY } from '@ambit/collections/singleton';
import { type Labels, selectsLabels } from '@ambit/kube/label-selector';
import type { EndpointSlice } from '@ambit/kube/resources/core';
import type { WorkloadEntry } from '@ambit/kube/resources/networking';
import { type AddressEntry, sameEntry, workloadEntry } from '../push/encode.ts';
import { isPod, serviceNameOf, targetPortsOf, translateEndpointSlice } from '../translate/endpoint-slice.ts';
import type { OfferedService } from '../translate/offered-ports.ts';
import { isLive, localityOf, type PodService, translatePod } from '../translate/pod.ts';
import { UNBOUND } from '../translate/waypoint-binding.ts';
import {
  endpointsOf,
  labelsOfWorkloadEntry,
  translateEndpoint,
  translateWorkloadEntry,
} from '../translate/workload-entry.ts';
import { validateWorkloadEntry } from '../validate/workload-entry.ts';
import { type GraphContext, sameContent } from './context.ts';
import type { Policies } from './policies.ts';
import type { ServiceInfo, Services } from './services.ts';
import type { WaypointPolicies } from './waypoint-policies.ts';
import type { Bindable, Waypoints } from './waypoints.ts';

const NO_WAYPOINT = { waypoint: undefined, applicationTunnel: undefined };

/** A slice that says something which the selector of its Service does not. */
interface CustomSlice {
  readonly slice: EndpointSlice;
  readonly service: ServiceInfo;
}

export interface Workloads {
  /** By uid. */
  readonly ofPods: Collection<string, AddressEntry>;
  readonly ofSlices: Collection<string, AddressEntry>;
  readonly ofWorkloadEntries: Collection<string, AddressEntry>;
  readonly ofServiceEntries: Collection<string, AddressEntry>;
}

export function deriveWorkloads(
  { inputs, settings, scheduler, log }: GraphContext,
  services: Services,
  policies: Policies,
  waypoints: Waypoints,
  waypointPolicies: WaypointPolicies,
): Workloads {
  const policyNames = (
    object: Bindable,
    labels: Labels | undefined,
    offered: readonly OfferedService[],
    fetch: Fetch,
  ) => [
    ...policies.namesFor(object.namespace ?? '', labels, fetch),
    ...waypointPolicies.namesFor(
      object,
      offered.map(({ key }) => key),
      fetch,
    ),
  ];
  const waypointFor = (object: Bindable, fetch: Fetch) => {
    // A waypoint is not behind a waypoint.
    const instance = waypoints.instanceOf(object, fetch);
    const binding = instance ? UNBOUND : waypoints.bindingOf('workload', object, fetch);
    return { waypoint: binding.waypoint?.address, applicationTunnel: instance?.applicationTunnel };
  };
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
      return entriesOf(
        translateEndpointSlice(slice, { settings, network, service }).map((workload) =>
          workloadEntry(workload),
        ),
      );
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
      ...waypointPolicies.inputs,
      ...waypoints.inputs,
    ],
    compute: (pod, key, fetch) => {
      if (!isLive(pod)) return [];
      const { namespace = '', labels } = pod.metadata;
      const selecting = fetch.where(
        services.selecting,
        namespace,
        ({ kind, selector }) =>
          (kind === 'Service' || settings.serviceEntriesSelectPods) && selectsLabels(selector, labels),
      );
      const offered = [...selecting, ...fetch.group(slicesByPod, key).map(podServiceOf)];
      const workload = translatePod(pod, {
        settings,
        network: fetch.get(services.network, ONLY) ?? '',
        locality: fetch.get(localities, pod.spec?.nodeName ?? ''),
        services: offered,
        policies: policyNames(pod.metadata, labels, offered, fetch),
        ...waypointFor(pod.metadata, fetch),
      });
      return entriesOf([workloadEntry(workload, labels)]);
    },
    equals: sameEntry,
  });
  const checkedEntries = derivedValues({
    name: 'checked workload entries',
    scheduler,
    from: inputs.workloadEntries,
    compute: (entry, key): WorkloadEntry | undefined => {
      const { errors } = validateWorkloadEntry(entry);
      if (errors.length === 0) return withoutStatus(entry);
      log.warn('invalid WorkloadEntry is left out', { entry: key, error: errors.join('; ') });
      return undefined;
    },
    equals: sameContent,
  });
  const ofWorkloadEntries = new DerivedCollection({
    name: 'workloads of workload entries',
    scheduler,
    from: checkedEntries,
    inputs: [
      services.network,
      services.selecting,
      ...policies.inputs,
      ...waypointPolicies.inputs,
      ...waypoints.inputs,
    ],
    compute: (entry, _, fetch) => {
      const { namespace = '', name } = entry.metadata;
      const labels = labelsOfWorkloadEntry(entry);
      const selecting = fetch.where(
        services.selecting,
        namespace,
        ({ kind, selector }) =>
          (kind === 'ServiceEntry' || settings.servicesSelectWorkloadEntries) &&
          selectsLabels(selector, labels),
      );
      const object = { name, namespace, ...(labels && { labels }) };
      const workload = translateWorkloadEntry(entry, {
        settings,
        network: fetch.get(services.network, ONLY) ?? '',
        services: selecting,
        policies: policyNames(object, labels, selecting, fetch),
        ...waypointFor(object, fetch),
      });
      return entriesOf(workload ? [workloadEntry(workload, labels)] : []);
    },
    equals: sameEntry,
  });
  const ofServiceEntries = new DerivedCollection({
    name: 'workloads of service entries',
    scheduler,
    from: services.entries.checked,
    inputs: [
      services.network,
      services.entries.infosByEntry,
      ...policies.inputs,
      ...waypointPolicies.inputs,
      ...waypoints.inputs,
    ],
    compute: (entry, key, fetch) => {
      const made = fetch.group(services.entries.infosByEntry, key);
      const hostnames = made.map((service) => service.key.slice(entry.namespace.length + 1));
      const endpoints = endpointsOf(entry, hostnames);
      if (endpoints.length === 0) return [];
      const network = fetch.get(services.network, ONLY) ?? '';
      const names = policies.namesFor(entry.namespace, entry.labels, fetch);
      const named = { name: entry.name, namespace: entry.namespace };
      return entriesOf(
        endpoints.flatMap((endpoint) => {
          const { hostname, spec } = endpoint;
          const own =
            hostname === undefined
              ? made
              : made.filter(({ key: name }) => name === `${entry.namespace}/${hostname}`);
          const workload = translateEndpoint(entry, endpoint, {
            settings,
            network,
            services: own,
            policies: names,
            // A host that is resolved is not behind a waypoint for workloads; one for services may stand before it.
            ...(hostname === undefined
              ? waypointFor({ ...named, ...(spec.labels && { labels: spec.labels }) }, fetch)
              : NO_WAYPOINT),
          });
          return workload ? [workloadEntry(workload, spec.labels)] : [];
        }),
      );
    },
    equals: sameEntry,
  });
  return { ofPods, ofSlices, ofWorkloadEntries, ofServiceEntries };
}

/** A change of a status changes nothing here. */
function withoutStatus({ metadata, spec }: WorkloadEntry): WorkloadEntry {
  const { name, namespace = '', labels, annotations } = metadata;
  return {
    metadata: { name, namespace, ...(labels && { labels }), ...(annotations && { annotations }) },
    ...(spec && { spec }),
  };
}

function podServiceOf({ slice, service }: CustomSlice): PodService {
  return { ...service, targetPorts: targetPortsOf(slice, service.ports) };
}

function entriesOf(entries: readonly AddressEntry[]): readonly (readonly [string, AddressEntry])[] {
  return entries.map((entry) => [entry.resource.name, entry]);
}
