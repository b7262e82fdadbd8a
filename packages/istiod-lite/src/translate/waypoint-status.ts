/** What the status of a Service, ServiceEntry or WorkloadEntry says about its waypoint and who may see it, as in Istio. Pure. */
import type { ServiceEntry } from '@ambit/kube/resources/networking';
import type { EntryVisibility } from '../mesh-config/read.ts';
import type { WantedCondition } from './condition.ts';
import { isWildcard, resolutionOf } from './service-entry.ts';
import { waypointKey } from './waypoint.ts';
import type { WaypointBinding } from './waypoint-binding.ts';

export const WAYPOINT_BOUND = 'istio.io/WaypointBound';
export const VISIBILITY_APPLIED = 'istio.io/VisibilityApplied';
export const WAYPOINT_MISSING = 'istio.io/WaypointMissing';
const CONNECT_STRATEGY_ANNOTATION = 'istio.io/connect-strategy';
const RACING = 'RACE_FIRST_TCP_CONNECT';

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

/** What a ServiceEntry asks for that only a waypoint can do, where there is none. */
export function missingWaypointConditions(
  { metadata, spec }: ServiceEntry,
  { waypoint }: WaypointBinding,
): readonly WantedCondition[] {
  if (waypoint) return [];
  const missing = (reason: string, message: string) => [
    { type: WAYPOINT_MISSING, isTrue: true, reason, message },
  ];
  // The entry need not be a valid one.
  const hosts: unknown = spec?.hosts;
  const hasWildcard =
    Array.isArray(hosts) && hosts.some((host) => typeof host === 'string' && isWildcard(host));
  if (spec && hasWildcard && resolutionOf(spec) === 'DYNAMIC_DNS')
    return missing(
      'NoWaypointForWildcardService',
      'ServiceEntry will not apply until it is bound to a valid waypoint.',
    );
  if (metadata.annotations?.[CONNECT_STRATEGY_ANNOTATION] === RACING)
    return missing(
      'NoWaypointForRacingConnectStrategy',
      'ServiceEntry has a non-default connect strategy but no waypoint bound. A waypoint is required for connect strategies to take effect for ambient clients.',
    );
  return [];
}

/** What the mesh's settings make of a ServiceEntry. One that nobody may see has no status. */
export function visibilityConditions(visibility: EntryVisibility): readonly WantedCondition[] {
  if (visibility === 'NONE') return [];
  const [reason, message] =
    visibility === 'NAMESPACE'
      ? ['Namespace', 'ServiceEntry is visible in its own namespace']
      : ['Public', 'ServiceEntry is visible in the whole mesh'];
  return [{ type: VISIBILITY_APPLIED, isTrue: true, reason, message }];
}
