/** What admission may ask about the cluster as it is now: enough to say that an object will not do what it says. */
import type { Labels } from '@ambit/kube/label-selector';
import type { Service } from '@ambit/kube/resources/core';
import type { AuthorizationPolicy } from '@ambit/kube/resources/security';
import type { L7WithoutWaypoint } from '../translate/authorization-policy.ts';
import type { TargetState } from '../translate/policy-targets.ts';
import type { Waypoint } from '../translate/waypoint.ts';
import type { WaypointBinding, WaypointWishes } from '../translate/waypoint-binding.ts';

export interface PodFacts {
  readonly namespace: string;
  readonly labels: Labels | undefined;
  /** Its service account's name. */
  readonly account: string;
  /** Whether it is, or will be, in the mesh, or is a waypoint of it: whether it takes nothing in clear under STRICT. */
  readonly isInMesh: boolean;
  /** Of a Gateway that others can use, whoever runs it. */
  readonly isWaypoint: boolean;
}

export interface World {
  readonly rootNamespace: string;
  readonly trustDomain: string;
  /** What ztunnels make of a policy that needs a waypoint. */
  readonly l7WithoutWaypoint: L7WithoutWaypoint;
  /** Whether workloads let their waypoints through, whatever ALLOW policies say. */
  readonly autoAllowWaypoints: boolean;
  hasNamespace(name: string): boolean;
  /** Whether the mesh's settings have a provider of that name that authorizes. */
  hasAuthorizer(name: string): boolean;
  /** Whether the label of the namespace puts its pods into the mesh. */
  isEnrolled(namespace: string): boolean;
  /** Pods that have not ended; of every namespace, if none is named. */
  pods(namespace: string | undefined): Iterable<PodFacts>;
  /** Of every namespace. */
  services(): Iterable<Service>;
  /** Those that are stored, of every namespace. */
  authorizationPolicies(): Iterable<AuthorizationPolicy>;
  /** Names of the service accounts that the waypoint's pods run as, whoever runs them; empty while it has none. */
  accountsOf(waypoint: Waypoint): ReadonlySet<string>;
  target(kind: string, namespace: string, name: string): TargetState;
  /** Whether a ServiceEntry of any other namespace was allotted the address. */
  isAllottedOutside(namespace: string, ip: string): boolean;
  /** `namespace/name` of the waypoints that are ready there. */
  waypointsIn(namespace: string): readonly string[];
  /** @param namespaceObject - Instead of the namespace as it is stored. */
  binding(
    of: 'service' | 'workload',
    namespace: string,
    object: WaypointWishes,
    namespaceObject?: WaypointWishes,
  ): WaypointBinding;
}
