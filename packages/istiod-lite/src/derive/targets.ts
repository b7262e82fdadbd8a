/** What there is under the name of a policy's target, and whether it is behind a waypoint. */
import type { GraphNode } from '@ambit/collections/collection';
import type { Fetch } from '@ambit/collections/fetch';
import type { Inputs } from '../inputs.ts';
import type { TargetState } from '../translate/policy-targets.ts';
import { type Waypoint, WAYPOINT_CONTROLLER, waypointKey } from '../translate/waypoint.ts';
import type { Waypoints } from './waypoints.ts';

export interface TargetName {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** What a computation that calls {@link targetState} must give as its inputs. */
export function targetInputs(inputs: Inputs, waypoints: Waypoints): readonly GraphNode[] {
  return [
    waypoints.ofServices,
    waypoints.ofServiceEntries,
    waypoints.all,
    inputs.services,
    inputs.serviceEntries,
    inputs.gateways,
    inputs.gatewayClasses,
  ];
}

export function targetState(
  inputs: Inputs,
  waypoints: Waypoints,
  fetch: Pick<Fetch, 'get'>,
  { kind, namespace, name }: TargetName,
): TargetState {
  const key = `${namespace}/${name}`;
  const behind = (object: unknown, waypoint: Waypoint | undefined): TargetState =>
    object === undefined ? { found: false } : { found: true, waypoint: waypoint && waypointKey(waypoint) };
  switch (kind) {
    case 'Service':
      return behind(fetch.get(inputs.services, key), fetch.get(waypoints.ofServices, key)?.waypoint);
    case 'ServiceEntry':
      return behind(
        fetch.get(inputs.serviceEntries, key),
        fetch.get(waypoints.ofServiceEntries, key)?.waypoint,
      );
    case 'Gateway':
      return behind(fetch.get(inputs.gateways, key), fetch.get(waypoints.all, key));
    case 'GatewayClass': {
      const found = fetch.get(inputs.gatewayClasses, name);
      if (!found) return { found: false };
      const isForWaypoints = found.spec?.controllerName === WAYPOINT_CONTROLLER;
      return { found: true, waypoint: isForWaypoints ? name : undefined };
    }
    default:
      return { found: false };
  }
}
