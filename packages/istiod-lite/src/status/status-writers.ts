/** Every status that the control plane writes: which kind, under which field manager, from which part of the graph. */
import type { Collection } from '@ambit/collections/collection';
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import type { Resource } from '@ambit/kube/resource';
import { backendTlsPolicies } from '@ambit/kube/resources/backend-tls';
import { services } from '@ambit/kube/resources/core';
import {
  destinationRules,
  serviceEntries,
  virtualServices,
  workloadEntries,
} from '@ambit/kube/resources/networking';
import { grpcRoutes, httpRoutes, type Route, tcpRoutes, tlsRoutes } from '@ambit/kube/resources/routes';
import { authorizationPolicies, requestAuthentications } from '@ambit/kube/resources/security';
import type { BackendTls } from '../derive/backend-tls.ts';
import { type Conditions, type WantedConditions, ZTUNNEL_ACCEPTED } from '../derive/conditions.ts';
import type { RouteStatuses } from '../derive/route-statuses.ts';
import type { Inputs } from '../inputs.ts';
import { MESH_CONTROLLER } from '../translate/destinations/backend-tls-status.ts';
import { WAYPOINT_ACCEPTED } from '../translate/policy-targets.ts';
import { ROUTE_CONTROLLER, type WantedParent } from '../translate/routes/route-status.ts';
import { HEALTH_CHECKED } from '../translate/destinations/health-check.ts';
import { VISIBILITY_APPLIED, WAYPOINT_BOUND, WAYPOINT_MISSING } from '../translate/waypoint-status.ts';
import { ConditionWriter } from './condition-writer.ts';
import type { Conditioned } from './conditions.ts';
import { ANCESTORS, PARENTS } from './controller-entries.ts';
import { EntriesWriter } from './entries-writer.ts';

/** Said of ServiceEntries before waypoints looked up names below wildcards: what an upgrade finds of it is taken away. */
const OUTLIVED = 'ambit.mesh/Supported';

/** All that is said of Services: the API server lets istiod say nothing else (the chart's admission-policy.yaml). */
export const SERVICE_CONDITIONS: readonly string[] = [WAYPOINT_BOUND, HEALTH_CHECKED];

export interface StatusWritersOptions {
  readonly client: KubeClient;
  readonly inputs: Inputs;
  readonly conditions: Conditions;
  readonly routes: RouteStatuses;
  readonly backendTls: BackendTls['statuses'];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** Writes until disposed of. Only one replica may: see leadership.ts. */
export function startStatusWriters(options: StatusWritersOptions): AsyncDisposable {
  const { client, inputs, conditions, clock, random } = options;
  const common = { client, clock, random, log: options.log.scope('status') };
  const scope = new AsyncDisposableStack();
  scope.use(
    new ConditionWriter({
      ...common,
      resource: services,
      fieldManager: 'istio-ambient-service',
      types: SERVICE_CONDITIONS,
      objects: inputs.services,
      wanted: conditions.ofServices,
    }),
  );
  scope.use(
    new ConditionWriter({
      ...common,
      resource: serviceEntries,
      fieldManager: 'istio-ambient-service',
      types: [WAYPOINT_BOUND, WAYPOINT_MISSING, HEALTH_CHECKED, VISIBILITY_APPLIED, OUTLIVED],
      objects: inputs.serviceEntries,
      wanted: conditions.ofServiceEntries,
    }),
  );
  scope.use(
    new ConditionWriter({
      ...common,
      resource: workloadEntries,
      fieldManager: 'istio-ambient-workloadentry',
      types: [WAYPOINT_BOUND],
      objects: inputs.workloadEntries,
      wanted: conditions.ofWorkloadEntries,
    }),
  );
  scope.use(
    new ConditionWriter({
      ...common,
      resource: authorizationPolicies,
      fieldManager: 'istio-ambient-ztunnel-policy',
      types: [ZTUNNEL_ACCEPTED],
      objects: inputs.authorizationPolicies,
      wanted: conditions.ofPoliciesAtZtunnels,
    }),
  );
  scope.use(
    new ConditionWriter({
      ...common,
      resource: authorizationPolicies,
      fieldManager: 'istio-ambient-waypoint-policy',
      types: [WAYPOINT_ACCEPTED],
      objects: inputs.authorizationPolicies,
      wanted: conditions.ofPoliciesAtWaypoints,
    }),
  );
  scope.use(
    new ConditionWriter({
      ...common,
      resource: requestAuthentications,
      fieldManager: 'istio-ambient-waypoint-policy',
      types: [WAYPOINT_ACCEPTED],
      objects: inputs.requestAuthentications,
      wanted: conditions.ofRequestAuthentications,
    }),
  );
  const rules = <T extends Conditioned>(
    resource: Resource<T>,
    objects: Collection<string, T>,
    wanted: WantedConditions,
  ) =>
    scope.use(
      new ConditionWriter({
        ...common,
        resource,
        fieldManager: 'istio-ambient-waypoint-policy',
        types: [WAYPOINT_ACCEPTED],
        objects,
        wanted,
      }),
    );
  rules(virtualServices, inputs.virtualServices, conditions.ofVirtualServices);
  rules(destinationRules, inputs.destinationRules, conditions.ofDestinationRules);
  const { routes } = options;
  const parents = <T extends Route<unknown>>(
    resource: Resource<T>,
    objects: Collection<string, T>,
    wanted: Collection<string, readonly WantedParent[]>,
  ) =>
    scope.use(
      new EntriesWriter({
        ...common,
        resource,
        list: PARENTS,
        controllerName: ROUTE_CONTROLLER,
        fieldManager: 'istio-ambient-route',
        objects,
        wanted,
      }),
    );
  parents(httpRoutes, inputs.httpRoutes, routes.HTTPRoute);
  parents(grpcRoutes, inputs.grpcRoutes, routes.GRPCRoute);
  parents(tcpRoutes, inputs.tcpRoutes, routes.TCPRoute);
  parents(tlsRoutes, inputs.tlsRoutes, routes.TLSRoute);
  scope.use(
    new EntriesWriter({
      ...common,
      resource: backendTlsPolicies,
      list: ANCESTORS,
      controllerName: MESH_CONTROLLER,
      fieldManager: 'istio-ambient-backend-tls',
      objects: inputs.backendTlsPolicies,
      wanted: options.backendTls,
    }),
  );
  return scope;
}
