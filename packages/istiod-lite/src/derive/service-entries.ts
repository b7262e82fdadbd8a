/**
 * ServiceEntries → mesh services, one for each host that the entry has not lost to another object.
 *
 * In each namespace a host belongs to the Kubernetes Service of that name, else to the oldest entry. Of all that have a
 * host one is canonical: the Service, else the oldest that everybody may see.
 */
import type { Collection } from '@ambit/collections/collection';
import { DerivedCollection, derivedValues } from '@ambit/collections/derived';
import { IndexCollection } from '@ambit/collections/index-by';
import { ONLY, type Singleton } from '@ambit/collections/singleton';
import { type Service, Visibility } from '@ambit/api/workload';
import { claimedAddresses } from '../decide/allotment.ts';
import { type AddressEntry, sameEntry, serviceEntry } from '../push/encode.ts';
import { type Candidate, survivors } from '../translate/host-collisions.ts';
import { portsOfServiceEntry } from '../translate/offered-ports.ts';
import type { NamespaceDefaults } from '../translate/service.ts';
import { checkedEntry, type CheckedEntry, translateServiceEntry } from '../translate/service-entry.ts';
import { validateServiceEntry } from '../validate/service-entry.ts';
import { type GraphContext, sameContent } from './context.ts';
import type { ServiceInfo } from './services.ts';
import type { Visibilities } from './visibility.ts';
import type { Waypoints } from './waypoints.ts';

export interface ServiceEntries {
  /** By `namespace/name` of the object. */
  readonly checked: Collection<string, CheckedEntry>;
  /** By address: those that name it, or were allotted it. */
  readonly claims: Collection<string, readonly CheckedEntry[]>;
  /** What has survived, with its ports; by a key that is none of a Service. */
  readonly infos: Collection<string, EntryInfo>;
  /** By `namespace/name` of the object: those that it has made. */
  readonly infosByEntry: Collection<string, readonly ServiceInfo[]>;
  /** By resource name. */
  readonly addresses: Collection<string, AddressEntry>;
}

export interface ServiceEntryInputs {
  readonly network: Singleton<string>;
  readonly namespaceDefaults: Collection<string, NamespaceDefaults>;
  /** Of Kubernetes Services, by `namespace/name`. */
  readonly infos: Collection<string, ServiceInfo>;
  readonly waypoints: Waypoints;
  readonly visibilities: Visibilities;
}

interface EntryService extends Candidate {
  readonly service: Service;
  /** `namespace/name` of the object. */
  readonly entry: string;
}

export function deriveServiceEntries(
  { inputs, settings, scheduler, log }: GraphContext,
  { network, namespaceDefaults, infos: servicesByName, waypoints, visibilities }: ServiceEntryInputs,
): ServiceEntries {
  const checked = derivedValues({
    name: 'checked service entries',
    scheduler,
    from: inputs.serviceEntries,
    compute: (entry, key): CheckedEntry | undefined => {
      const { errors } = validateServiceEntry(entry, settings);
      if (errors.length === 0) return checkedEntry(entry);
      log.warn('invalid ServiceEntry is left out', { entry: key, error: errors.join('; ') });
      return undefined;
    },
    equals: sameContent,
  });
  const claims = new IndexCollection({
    name: 'service entries by address',
    scheduler,
    from: checked,
    keysOf: claimedAddresses,
  });
  const candidates = new DerivedCollection({
    name: 'services of service entries',
    scheduler,
    from: checked,
    inputs: [network, namespaceDefaults, ...visibilities.inputs, ...waypoints.inputs],
    compute: (entry, key, fetch): readonly (readonly [string, EntryService])[] => {
      const visibility = visibilities.of(entry.namespace, fetch);
      if (visibility === 'NONE') return [];
      const ownNamespaceOnly = visibility === 'NAMESPACE';
      const services = translateServiceEntry(entry, {
        settings,
        network: fetch.get(network, ONLY) ?? '',
        namespace: fetch.get(namespaceDefaults, entry.namespace),
        visibility: ownNamespaceOnly ? Visibility.NAMESPACE : Visibility.PUBLIC,
        binding: waypoints.bindingOf('service', entry, fetch, { ownNamespaceOnly }),
      });
      const { namespace, name, createdAt } = entry;
      return services.map((service) => [
        `${key}/${service.hostname}`,
        {
          service,
          entry: key,
          namespace,
          name,
          createdAt,
          isPublic: service.visibility === Visibility.PUBLIC,
        },
      ]);
    },
    equals: sameContent,
  });
  const byHostname = new IndexCollection({
    name: 'services of service entries by hostname',
    scheduler,
    from: candidates,
    keysOf: ({ service }) => [service.hostname],
  });
  const surviving = new DerivedCollection({
    name: 'surviving services of service entries',
    scheduler,
    from: byHostname,
    inputs: [servicesByName],
    compute: (group, hostname, fetch): readonly (readonly [string, EntryService])[] => {
      const name = serviceNamed(hostname, settings.domain);
      const kubernetes = name === undefined ? undefined : fetch.get(servicesByName, name);
      return survivors(group, kubernetes?.namespace).map(({ candidate, canonical }) => [
        `${candidate.namespace}/${hostname}`,
        canonical ? { ...candidate, service: { ...candidate.service, canonical } } : candidate,
      ]);
    },
    equals: sameContent,
  });
  const infos = new DerivedCollection({
    name: 'service entries as endpoints see them',
    scheduler,
    from: surviving,
    inputs: [checked],
    compute: ({ entry, namespace }, key, fetch): readonly (readonly [string, EntryInfo])[] => {
      const spec = fetch.get(checked, entry)?.spec;
      if (!spec) return [];
      const labels = spec.workloadSelector?.labels ?? {};
      const selector = Object.keys(labels).length > 0 ? labels : undefined;
      const ports = portsOfServiceEntry(spec.ports ?? []);
      return [[`ServiceEntry ${key}`, { key, kind: 'ServiceEntry', namespace, selector, ports, entry }]];
    },
    equals: sameContent,
  });
  const infosByEntry = new IndexCollection({
    name: 'service entries as endpoints see them, by entry',
    scheduler,
    from: infos,
    keysOf: ({ entry }) => [entry],
  });
  const addresses = derivedValues({
    name: 'mesh services of service entries',
    scheduler,
    from: surviving,
    compute: ({ service }) => serviceEntry(service),
    equals: sameEntry,
  });
  return { checked, claims, infos, infosByEntry, addresses };
}

export interface EntryInfo extends ServiceInfo {
  /** `namespace/name` of the object. */
  readonly entry: string;
}

/** `namespace/name` of the Kubernetes Service that has this hostname, if it is there. */
function serviceNamed(hostname: string, domain: string): string | undefined {
  const suffix = `.svc.${domain}`;
  if (!hostname.endsWith(suffix)) return undefined;
  const [name, namespace, ...rest] = hostname.slice(0, -suffix.length).split('.');
  return namespace === undefined || rest.length > 0 ? undefined : `${namespace}/${name ?? ''}`;
}
