/**
 * Which waypoint the traffic to an object goes through, from labels on it and on its namespace. Pure.
 *
 * The object's own label counts before its namespace's, also when what it names does not exist: then there is no
 * waypoint at all. Whatever goes wrong is said in `problem`, in Istio's reasons and sentences, since tools read them.
 */
import type { WeightedWaypoint } from '@ambit/api/workload';
import type { ObjectMeta } from '@ambit/kube/resource';
import { admitsNamespace, takesTraffic, type Waypoint, waypointKey } from './waypoint.ts';

export const USE_WAYPOINT_LABEL = 'istio.io/use-waypoint';
const USE_WAYPOINT_NAMESPACE_LABEL = 'istio.io/use-waypoint-namespace';
const CANARY_LABEL = 'istio.io/use-waypoint-canary';
const CANARY_NAMESPACE_LABEL = 'istio.io/use-waypoint-canary-namespace';
const CANARY_WEIGHT_ANNOTATION = 'istio.io/use-waypoint-canary-weight';
const MANAGED_LABEL = 'gateway.istio.io/managed';
/** Services of waypoints and of gateways between networks. */
const WAYPOINTS_OWN: ReadonlySet<string> = new Set([
  'istio.io-mesh-controller',
  'istio.io-eastwest-controller',
]);

/** What of an object, or of a namespace, says which waypoint to use. */
export type WaypointWishes = Pick<ObjectMeta, 'labels' | 'annotations'>;

export interface BindingQuestion {
  readonly of: 'service' | 'workload';
  readonly namespace: string;
  readonly object: WaypointWishes;
  /** Absent: not known. */
  readonly namespaceObject: WaypointWishes | undefined;
  /** By `namespace/name`. */
  readonly waypoint: (key: string) => Waypoint | undefined;
  /** For what only its own namespace sees: it may not go through a waypoint of another. */
  readonly ownNamespaceOnly?: boolean;
}

export interface BindingProblem {
  readonly reason:
    | 'WaypointIsNotReady'
    | 'AttachmentDenied'
    | 'UnsupportedTrafficType'
    | 'CrossNamespaceWaypointForbidden'
    | 'CanaryInvalidWeight'
    | 'CanarySameAsPrimary';
  readonly message: string;
}

export interface WaypointBinding {
  readonly waypoint: Waypoint | undefined;
  /** Never without a waypoint. */
  readonly canary: Waypoint | undefined;
  /** The waypoint and its canary with their shares of 100; empty without a canary. */
  readonly weighted: readonly WeightedWaypoint[];
  /** Next to a waypoint: why its canary was left out. Without one: why there is none; absent: nobody wanted one. */
  readonly problem: BindingProblem | undefined;
}

export const UNBOUND: WaypointBinding = {
  waypoint: undefined,
  canary: undefined,
  weighted: [],
  problem: undefined,
};

export function resolveWaypoint(question: BindingQuestion): WaypointBinding {
  const { of, object, namespaceObject, namespace } = question;
  if (of === 'service' && WAYPOINTS_OWN.has(object.labels?.[MANAGED_LABEL] ?? '')) return UNBOUND;
  const own = wishOf(object, namespace);
  const wish = own ?? (namespaceObject && wishOf(namespaceObject, namespace));
  if (!wish || wish.none) return UNBOUND;
  const found = attach(wish.key, question);
  if ('reason' in found) {
    // A namespace's waypoint for services is no error of each of its pods.
    const inherited = own === undefined && of === 'workload' && found.reason === 'UnsupportedTrafficType';
    return inherited ? UNBOUND : { ...UNBOUND, problem: found };
  }
  if (of === 'workload') return { ...UNBOUND, waypoint: found };
  return withCanary(found, own === undefined ? [object, namespaceObject ?? {}] : [object], question);
}

interface Wish {
  readonly none: boolean;
  /** `namespace/name`. */
  readonly key: string;
}

function wishOf({ labels }: WaypointWishes, fallbackNamespace: string): Wish | undefined {
  const name = labels?.[USE_WAYPOINT_LABEL];
  if (name === undefined) return undefined;
  const namespace = labels?.[USE_WAYPOINT_NAMESPACE_LABEL] ?? fallbackNamespace;
  return { none: name === 'none', key: waypointKey({ namespace, name }) };
}

/** The waypoint, or why it cannot be used. */
function attach(
  key: string,
  { waypoint, of, namespace, namespaceObject, ownNamespaceOnly }: BindingQuestion,
): Waypoint | BindingProblem {
  const found = waypoint(key);
  if (!found) return { reason: 'WaypointIsNotReady', message: `waypoint "${key}" is not ready` };
  if (ownNamespaceOnly && found.namespace !== namespace)
    return {
      reason: 'CrossNamespaceWaypointForbidden',
      message: `cannot bind to waypoint "${key}" in another namespace: cross-namespace waypoint binding is not permitted for a ServiceEntry with NAMESPACE visibility`,
    };
  if (!admitsNamespace(found, namespace, namespaceObject?.labels))
    return {
      reason: 'AttachmentDenied',
      message: `we are not permitted to attach to waypoint "${key}" (missing allowedRoutes?)`,
    };
  if (!takesTraffic(found, of))
    return {
      reason: 'UnsupportedTrafficType',
      message: `attempting to bind to traffic type "${of}" which the waypoint "${key}" does not support`,
    };
  return found;
}

/** @param levels - Where a canary may be asked for; the first that does so counts. */
function withCanary(
  primary: Waypoint,
  levels: readonly WaypointWishes[],
  question: BindingQuestion,
): WaypointBinding {
  const bound: WaypointBinding = { ...UNBOUND, waypoint: primary };
  const labels = levels.find((level) => level.labels?.[CANARY_LABEL] !== undefined)?.labels;
  const name = labels?.[CANARY_LABEL] ?? '';
  if (name === '' || name === 'none') return bound;
  const namespace = labels?.[CANARY_NAMESPACE_LABEL] ?? question.namespace;
  const key = waypointKey({ namespace, name });
  const but = (reason: BindingProblem['reason'], what: string) => ({
    ...bound,
    problem: { reason, message: `canary waypoint "${key}" ${what}` },
  });
  if (key === waypointKey(primary))
    return but('CanarySameAsPrimary', 'must differ from the primary waypoint');
  const weight = weightOf(levels);
  if (weight === undefined)
    return but('CanaryInvalidWeight', 'has an invalid weight; must be an integer in [0,100]');
  const canary = attach(key, question);
  if ('reason' in canary) return { ...bound, problem: canary };
  const weighted = [
    { destination: primary.address, weight: 100 - weight },
    { destination: canary.address, weight },
  ];
  return { ...bound, canary, weighted };
}

/** Per cent; 0 where nobody says any, `undefined` where it is no such number. */
function weightOf(levels: readonly WaypointWishes[]): number | undefined {
  const annotations = levels.map(({ annotations: all }) => all?.[CANARY_WEIGHT_ANNOTATION]);
  const text = annotations.find((annotation) => annotation !== undefined) ?? '0';
  const weight = Number(text);
  return /^[0-9]{1,3}$/.test(text) && weight <= 100 ? weight : undefined;
}
