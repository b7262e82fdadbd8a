/**
 * The control plane in one page: inputs → derived collections → what xDS serves. Read this first.
 *
 * Every arrow is a pure function in translate/; derive/ says which collections it looks at. A change of one object
 * recomputes what looked at it, and only results that differ go further.
 */
import { WAYPOINT_RESOURCE_KINDS } from '@ambit/api/waypoint';
import type { Collection, GraphNode } from '@ambit/collections/collection';
import { IndexCollection } from '@ambit/collections/index-by';
import { JoinedCollection } from '@ambit/collections/join';
import { deriveAttachments } from './derive/attachments.ts';
import { type BackendTls, deriveBackendTls } from './derive/backend-tls.ts';
import { deriveHealthChecks } from './derive/health-checks.ts';
import { deriveCatalog } from './derive/catalog.ts';
import { type Conditions, deriveConditions } from './derive/conditions.ts';
import type { GraphContext } from './derive/context.ts';
import { deriveDestinations } from './derive/destinations.ts';
import { deriveGatewayInstances, type GatewayInstances } from './derive/gateway-instances.ts';
import { deriveNetwork } from './derive/network.ts';
import { derivePolicies } from './derive/policies.ts';
import { deriveRouteStatuses, type RouteStatuses } from './derive/route-statuses.ts';
import { deriveRefusals } from './derive/refusals.ts';
import { relevantServices } from './derive/relevant-services.ts';
import { deriveRoutes } from './derive/routes.ts';
import type { ServiceEntries } from './derive/service-entries.ts';
import { deriveServices } from './derive/services.ts';
import { deriveTargetedPolicies } from './derive/targeted-policies.ts';
import { deriveVirtualServices } from './derive/virtual-services.ts';
import { deriveVisibilities } from './derive/visibility.ts';
import { deriveWaypointPolicies } from './derive/waypoint-policies.ts';
import { deriveWaypointResources } from './derive/waypoint-resources.ts';
import { deriveWaypoints, type Waypoints } from './derive/waypoints.ts';
import { deriveWorkloads } from './derive/workloads.ts';
import type { AllInputs } from './inputs.ts';
import { waitsForStart } from './mesh-config/at-start.ts';
import { type DiscoveredInputs, discoveredInputs } from './mesh-config/discovered.ts';
import {
  type DerivedMeshConfig,
  deriveMeshConfig,
  meshConfigName,
  widening,
} from './mesh-config/mesh-config.ts';
import { AddressFeed, AuthorizationFeed } from './push/feeds.ts';
import { WaypointFeed } from './push/waypoint-feed.ts';
import type { AddressEntry } from './push/encode.ts';
import type { TranslatedPolicy } from './translate/authorization-policy.ts';

export interface Graph {
  /** What is looked at: see mesh-config/discovered.ts. */
  readonly inputs: DiscoveredInputs;
  /** Nothing here means anything before the settings have been read. */
  readonly settings: DerivedMeshConfig;
  readonly addressFeed: AddressFeed;
  readonly authorizationFeed: AuthorizationFeed;
  /** What waypoints are sent, in the order in which they ask. */
  readonly waypointFeeds: readonly WaypointFeed[];
  /** By `namespace/name` of the AuthorizationPolicy: what its status shall say. */
  readonly translatedPolicies: Collection<string, TranslatedPolicy>;
  /** What the statuses of objects shall say. */
  readonly conditions: Conditions;
  readonly routeStatuses: RouteStatuses;
  readonly backendTlsStatuses: BackendTls['statuses'];
  readonly waypoints: Waypoints;
  readonly gatewayInstances: GatewayInstances;
  /** For those who allot addresses to ServiceEntries. */
  readonly serviceEntries: Pick<ServiceEntries, 'checked' | 'claims'>;
  /** By resource name: workloads and services. */
  readonly addresses: Collection<string, AddressEntry>;
  /** What everything here is computed from and ends in, for the dump. */
  readonly roots: readonly GraphNode[];
}

export type GraphOptions = Omit<GraphContext, 'inputs' | 'meshConfig'> & {
  readonly inputs: AllInputs;
  /** Of this control plane; empty: objects of every revision are ours. */
  readonly revision: string;
};

export function buildGraph({ inputs: all, revision, ...options }: GraphOptions): Graph {
  const { scheduler, clock } = options;
  const meshConfigKey = `${options.settings.systemNamespace}/${meshConfigName(revision)}`;
  const { meshConfig, problem } = deriveMeshConfig(all.meshConfigMaps, meshConfigKey, scheduler);
  meshConfig.subscribe(([event]) => {
    const wide = widening(event?.previous, event?.value);
    if (wide !== undefined) options.log.warn(wide);
    const waiting = waitsForStart(event?.value ?? {}, options.settings);
    if (waiting !== undefined) options.log.warn('counts from the next start of istiod on', { waiting });
  });
  const inputs = discoveredInputs(all, {
    meshConfig,
    scheduler,
    revision,
    rootNamespace: options.settings.rootNamespace,
  });
  const context: GraphContext = { ...options, inputs, meshConfig };
  const policies = derivePolicies(context);
  const network = deriveNetwork(context);
  const visibilities = deriveVisibilities(context);
  const waypoints = deriveWaypoints(context, network, visibilities);
  const services = deriveServices(context, network, waypoints, visibilities);
  const attachments = deriveAttachments(context, services, waypoints);
  const gatewayInstances = deriveGatewayInstances(context);
  const waypointPolicies = deriveWaypointPolicies(context, waypoints, attachments, gatewayInstances);
  const workloads = deriveWorkloads(context, services, policies, waypoints, waypointPolicies);
  const authorizations = new JoinedCollection({
    name: 'all authorizations',
    from: [policies.authorizations, ...waypointPolicies.authorizations],
  });
  const addresses = new JoinedCollection({
    name: 'addresses',
    from: [
      workloads.ofPods,
      workloads.ofWorkloadEntries,
      workloads.ofServiceEntries,
      workloads.ofSlices,
      services.addresses,
    ],
  });
  const byService = new IndexCollection({
    name: 'addresses by service',
    scheduler,
    from: addresses,
    keysOf: ({ memberOf }) => memberOf,
  });
  const catalogs = deriveCatalog(context, services, visibilities);
  const routes = deriveRoutes(context, catalogs, attachments);
  const virtualServices = deriveVirtualServices(context, catalogs, attachments);
  const relevant = relevantServices(context, attachments, [
    ...routes.httpRoutes,
    ...routes.streamRoutes,
    virtualServices.httpRoutes,
    virtualServices.streamRoutes,
  ]);
  const backendTls = deriveBackendTls(context, catalogs, relevant);
  const targeted = deriveTargetedPolicies(context, catalogs, attachments, waypoints);
  const destinations = deriveDestinations(context, { catalogs, relevant, byService });
  const waypointResources = deriveWaypointResources(context, {
    routes,
    virtualServices,
    policies: targeted,
    destinations: [...destinations, backendTls.destinations, ...deriveHealthChecks(context, relevant)],
  });
  const refusals = deriveRefusals(context, { routes, virtualServices, destinations, policies: targeted });
  const routeStatuses = deriveRouteStatuses(context, routes, waypoints, refusals);
  const conditions = deriveConditions(context, policies, waypoints, visibilities, refusals);
  const authorizationFeed = new AuthorizationFeed(scheduler, authorizations, clock);
  return {
    inputs,
    settings: { meshConfig, problem },
    waypointFeeds: WAYPOINT_RESOURCE_KINDS.map(
      (kind) => new WaypointFeed(kind, waypointResources[kind], options),
    ),
    routeStatuses,
    backendTlsStatuses: backendTls.statuses,
    authorizationFeed,
    addressFeed: new AddressFeed(scheduler, addresses, byService, authorizationFeed, clock),
    translatedPolicies: policies.translated,
    addresses,
    conditions,
    waypoints,
    gatewayInstances,
    serviceEntries: services.entries,
    roots: [
      addresses,
      authorizations,
      gatewayInstances,
      ...Object.values(waypointResources),
      ...Object.values(conditions),
      ...Object.values(routeStatuses),
      backendTls.statuses,
    ],
  };
}
