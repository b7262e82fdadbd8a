/**
 * What this waypoint enforces now: the resources joined, by service and port. The store answers; so may a test.
 *
 * Consistent between two synchronous calls: changes are applied as one batch, and `version` grows with each. The values
 * are immutable, and one that nothing touched stays the same object, so that a holder can tell whether to decide again.
 */
import type { ServiceKey } from '@ambit/model/address';
import type { AuthorizationPolicy } from './authorization-policy.ts';
import type { Destination } from './destination-policy.ts';
import type { MeshSettings } from './mesh-settings.ts';
import type { RequestAuthentication } from './request-authentication.ts';
import type { RouteTable } from '../decide/route-table.ts';
import type { StreamRoute } from './stream-route.ts';
import type { Telemetry } from './telemetry.ts';

export interface Snapshot {
  /** Grows with every batch of changes. */
  readonly version: number;
  /** Every kind has arrived once: what is not here does not exist. Until then nothing may be let through. */
  readonly complete: boolean;
  readonly settings: MeshSettings;

  /** What applies to traffic for a port of a service. */
  servicePort(service: ServiceKey, port: number): PortConfig;
  /** What applies to traffic for the address of a workload: no routes, and the policies of the waypoint alone. */
  workloads(): PortConfig;
  /** How endpoints are used, of any service: a route may lead to one that is not behind this waypoint. */
  destination(service: ServiceKey, port: number, subset: string): Destination;
}

export interface PortConfig {
  readonly http: RouteTable;
  /** Of all routes, in the order in which they are asked: by age. */
  readonly streams: readonly StreamRoute[];
  readonly authorization: BoundPolicies;
  readonly authentication: readonly RequestAuthentication[];
  /** Those of the service, of the waypoint, of its namespace, of the mesh: the first that says something wins. */
  readonly telemetry: readonly Telemetry[];
}

/** Policies by action, in the order of their keys. Those that are not enforced are in {@link withDryRun} alone. */
export interface BoundPolicies {
  readonly custom: readonly AuthorizationPolicy[];
  readonly deny: readonly AuthorizationPolicy[];
  readonly allow: readonly AuthorizationPolicy[];
  readonly audit: readonly AuthorizationPolicy[];
  /** Those that deny everything since they cannot be read. */
  readonly unreadable: readonly AuthorizationPolicy[];
  /** The same if those that are not enforced were; `undefined`: there are none. */
  readonly withDryRun: BoundPolicies | undefined;
}
