/** What says how the endpoints of services are used → what waypoints are sent. */
import type { Collection } from '@ambit/collections/collection';
import { DerivedCollection } from '@ambit/collections/derived';
import type { Fetch } from '@ambit/collections/fetch';
import { type Labels, selectsLabels } from '@ambit/kube/label-selector';
import { type AddressEntry, sameResource, waypointResource } from '../push/encode.ts';
import type { WaypointEntry } from '../push/waypoint-feed.ts';
import { destinationPolicy, type RuleScope, ruleScope } from '../translate/destinations/destination-rule.ts';
import { isExportedTo, namespaceOfKey, wildcardMatches } from '../translate/hosts.ts';
import { serviceKey } from '../translate/routes/catalog.ts';
import { audienceOf, sameAudience } from './audience.ts';
import type { Catalogs } from './catalog.ts';
import type { GraphContext } from './context.ts';
import {
  EVERYWHERE,
  inNamespace,
  ofNamespace,
  type RelevantService,
  type RelevantServices,
} from './relevant-services.ts';

export interface DestinationSources {
  readonly catalogs: Catalogs;
  readonly relevant: RelevantServices;
  /** By `namespace/hostname`: the workloads that are endpoints of it. */
  readonly byService: Collection<string, readonly AddressEntry[]>;
}

export function deriveDestinations(
  { inputs, settings, scheduler }: GraphContext,
  { catalogs, relevant, byService }: DestinationSources,
): readonly Collection<string, WaypointEntry>[] {
  const { rootNamespace, domain } = settings;

  /** Services that the rule is about and waypoints use, wherever they are. */
  const candidates = (
    { host, isWildcard, namespace }: RuleScope,
    fetch: Fetch,
  ): readonly RelevantService[] => {
    if (!isWildcard) {
      const keys = catalogs.with(fetch).named(host).map(serviceKey);
      return keys.flatMap((key) => fetch.get(relevant.byService, key) ?? []);
    }
    const places =
      namespace === rootNamespace ? [EVERYWHERE] : [inNamespace(namespace), ofNamespace(namespace)];
    const matches = ({ service }: RelevantService) =>
      wildcardMatches(host, service.slice(service.indexOf('/') + 1));
    return [...new Set(places.flatMap((place) => fetch.where(relevant.byPlace, place, matches)))];
  };

  /** Of those, whom the rule may speak for: its own namespace's, its waypoints', or all in the root namespace. */
  const ruled = (scope: RuleScope, fetch: Fetch): readonly RelevantService[] =>
    candidates(scope, fetch).flatMap(({ service, waypoints }): readonly RelevantService[] => {
      const { namespace, exportTo } = scope;
      const isOwn = namespace === rootNamespace || namespace === namespaceOfKey(service);
      const heeding = waypoints.filter((waypoint) => {
        const of = namespaceOfKey(waypoint);
        return (isOwn || of === namespace) && isExportedTo(exportTo, namespace, of);
      });
      return heeding.length === 0 ? [] : [{ service, waypoints: heeding }];
    });

  const rules = new DerivedCollection({
    name: 'destination rules by resource',
    scheduler,
    from: inputs.destinationRules,
    inputs: [...catalogs.inputs, relevant.byService, relevant.byPlace, byService],
    compute: (rule, key, fetch): readonly (readonly [string, WaypointEntry])[] => {
      const scope = ruleScope(rule, domain);
      const services = scope ? ruled(scope, fetch) : [];
      const audience = audienceOf(services.flatMap(({ waypoints }) => waypoints));
      if (!scope || audience.length === 0) return [];
      const members = (labels: Labels) => {
        const has = (entry: AddressEntry) => selectsLabels(labels, entry.labels);
        const found = services.flatMap(({ service }) => fetch.where(byService, service, has));
        return [...new Set(found.map(({ resource }) => resource.name))].sort();
      };
      const valuesOf = (label: string) => {
        const has = ({ labels }: AddressEntry) => labels?.[label] !== undefined;
        const found = services.flatMap(({ service }) => fetch.where(byService, service, has));
        const values = new Map(found.map(({ resource, labels }) => [resource.name, labels?.[label] ?? '']));
        return [...values].sort(([a], [b]) => (a < b ? -1 : 1));
      };
      const name = `DestinationRule/${key}`;
      const policy = destinationPolicy(rule, scope, { members, valuesOf });
      const resource = waypointResource('DestinationPolicy', name, policy);
      return [[name, { resource, audience }]];
    },
    equals: (a, b) => sameResource(a.resource, b.resource) && sameAudience(a.audience, b.audience),
  });
  return [rules];
}
