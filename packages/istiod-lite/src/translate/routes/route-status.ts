/**
 * What the status of a route says of each of its parents, in the Gateway API's types and reasons and, where tools read
 * them, Istio's sentences. Pure.
 */
import type { ParentReference } from '@ambit/kube/resources/routes';
import type { WantedCondition } from '../condition.ts';
import type { Parent } from './parents.ts';
import type { TranslatedRoute } from './translated.ts';

/** As Istio names whoever makes routes work, also where no Gateway is involved. */
export const ROUTE_CONTROLLER = 'istio.io/gateway-controller';

/** Whose waypoint stands before a parent: ours (or one that is anybody's), somebody else's, or none, and then why. */
export type ParentWaypoint =
  | { readonly is: 'ours' }
  | { readonly is: 'theirs' }
  | { readonly is: 'none'; readonly problem: string | undefined };

/** Says something in its message alone. */
export const RESOLVED_WAYPOINTS = 'ResolvedWaypoints';
export const ALL_RESOLVED = 'All waypoints resolved';

export interface WantedParent {
  readonly parentRef: ParentReference;
  readonly conditions: readonly WantedCondition[];
}

/**
 * Without those parents whose waypoint is somebody else's: their controller speaks of them.
 *
 * @param refused - Why waypoints cannot read the route as they are sent it.
 */
export function wantedParents(
  route: TranslatedRoute,
  waypointOf: (parent: Parent) => ParentWaypoint,
  refused?: string,
): readonly WantedParent[] {
  return route.parents.flatMap((parent): readonly WantedParent[] => {
    const waypoint = waypointOf(parent);
    if (waypoint.is === 'theirs') return [];
    const observed = route.generation === undefined ? {} : { observedGeneration: route.generation };
    const conditions = [
      accepted(route, parent, refused),
      resolvedRefs(route),
      resolvedWaypoints(parent, waypoint),
    ];
    return [
      {
        parentRef: parent.reference,
        conditions: conditions.map((condition) => ({ ...condition, ...observed })),
      },
    ];
  });
}

function accepted(
  { rules, unheeded }: TranslatedRoute,
  { refusal, services }: Parent,
  refused: string | undefined,
): WantedCondition {
  const type = 'Accepted';
  if (refusal) return { type, isTrue: false, ...refusal };
  const [first] = rules;
  if (first) {
    const message = `requests that a rule matches which cannot be read are refused: ${said(rules)}`;
    return { type, isTrue: false, reason: first.reason, message };
  }
  if (refused !== undefined)
    return {
      type,
      isTrue: false,
      reason: 'UnsupportedValue',
      message: `all requests are refused: ${refused}`,
    };
  const valid =
    services.length > 1 ? `Route was valid, bound to ${services.length} parents` : 'Route was valid';
  return { type, isTrue: true, reason: 'Accepted', message: [valid, ...unheeded].join('; ') };
}

function resolvedRefs({ references }: TranslatedRoute): WantedCondition {
  const type = 'ResolvedRefs';
  const [first] = references;
  return first
    ? { type, isTrue: false, reason: first.reason, message: said(references) }
    : { type, isTrue: true, reason: 'ResolvedRefs', message: 'All references resolved' };
}

const NO_LABEL =
  'istio.io/use-waypoint label missing from parent and parent namespace; in ambient mode, route will not be respected';

/** True whatever it says, as in Istio: the message is what matters. */
function resolvedWaypoints({ refusal }: Parent, waypoint: ParentWaypoint): WantedCondition {
  const message =
    refusal !== undefined
      ? 'parent not found'
      : waypoint.is === 'none'
        ? (waypoint.problem ?? NO_LABEL)
        : ALL_RESOLVED;
  return { type: RESOLVED_WAYPOINTS, isTrue: true, reason: 'ResolvedWaypoints', message };
}

function said(problems: readonly { readonly message: string }[]): string {
  return problems.map(({ message }) => message).join('; ');
}
