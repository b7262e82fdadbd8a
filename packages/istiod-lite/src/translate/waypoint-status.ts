/** What the status of a Service, ServiceEntry or WorkloadEntry says about its waypoint, as Istio says it. Pure. */
import type { WantedCondition } from './condition.ts';
import { waypointKey } from './waypoint.ts';
import type { WaypointBinding } from './waypoint-binding.ts';

export const WAYPOINT_BOUND = 'istio.io/WaypointBound';

/** What the label `istio.io/ingress-use-waypoint` says; `undefined`: it is not there, or does not matter. */
export type IngressUse = boolean | undefined;

/** No condition for what asks for no waypoint. */
export function waypointConditions(
  { waypoint, problem }: WaypointBinding,
  ingress: IngressUse,
): readonly WantedCondition[] {
  if (waypoint) {
    const sentences = [
      `Successfully attached to waypoint ${waypointKey(waypoint)}`,
      ...ingressSentences(ingress),
      ...(problem ? [`Canary waypoint not attached: ${problem.message}`] : []),
    ];
    const message = sentences.join('. ');
    return [{ type: WAYPOINT_BOUND, isTrue: true, reason: 'WaypointAccepted', message }];
  }
  if (!problem) return [];
  return [{ type: WAYPOINT_BOUND, isTrue: false, reason: problem.reason, message: problem.message }];
}

function ingressSentences(ingress: IngressUse): readonly string[] {
  if (ingress === undefined) return [];
  return ingress
    ? ['Ingress traffic will traverse the waypoint']
    : [
        'Ingress traffic is not using the waypoint, set the istio.io/ingress-use-waypoint label to true if desired.',
      ];
}
