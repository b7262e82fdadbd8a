/**
 * What a policy with targets is bound to: condition `WaypointAccepted`, as Istio says it. Pure.
 *
 * A target that is not bound to a waypoint has nobody who enforces the policy, so this is where a user sees it.
 */
import type { AuthorizationPolicySpec, PolicyTargetReference } from '@ambit/kube/resources/security';
import type { WantedCondition } from './condition.ts';
import { WAYPOINT_CONTROLLER } from './waypoint.ts';

export const WAYPOINT_ACCEPTED = 'WaypointAccepted';

/** What there is under a target's name. */
export type TargetState =
  | { readonly found: false }
  /** `waypoint`: `namespace/name`, or the name of the class; absent if there is none. */
  | { readonly found: true; readonly waypoint: string | undefined };

export interface TargetLookup {
  /** Of the policy; default AuthorizationPolicy. */
  readonly kind?: string;
  /** Of the policy, and so of its targets. */
  readonly namespace: string;
  readonly rootNamespace: string;
  readonly lookUp: (kind: string, namespace: string, name: string) => TargetState;
}

export interface TargetContext extends TargetLookup {
  /** What validation has to say against the policy. */
  readonly errors: readonly string[];
  readonly generation: number | undefined;
}

/** Every target, the one of `targetRef` included. None, if what is there is not of the form it should be. */
export function targetsOf({
  targetRef,
  targetRefs,
}: Pick<AuthorizationPolicySpec, 'targetRef' | 'targetRefs'>): readonly PolicyTargetReference[] {
  const all: unknown[] = Array.isArray(targetRefs) && targetRefs.length > 0 ? targetRefs : [targetRef];
  return all.filter(isTarget);
}

function isTarget(value: unknown): value is PolicyTargetReference {
  return typeof value === 'object' && value !== null && 'name' in value && 'kind' in value;
}

/** For each target: why nobody enforces the policy there; `undefined` where somebody does. */
export function targetProblems(
  targets: readonly PolicyTargetReference[],
  context: TargetLookup,
): readonly (string | undefined)[] {
  return targets.map((target) => {
    const { bound, message } = resultOf(target, context);
    return bound ? undefined : message;
  });
}

export function targetConditions(
  targets: readonly PolicyTargetReference[],
  context: TargetContext,
): readonly WantedCondition[] {
  const [first] = targets;
  if (!first) return [];
  const { errors, generation } = context;
  const condition = (isTrue: boolean, reason: string, message: string): readonly WantedCondition[] => [
    {
      type: WAYPOINT_ACCEPTED,
      isTrue,
      reason,
      message,
      ...(generation !== undefined && { observedGeneration: generation }),
    },
  ];
  if (errors.length > 0) return condition(false, 'Invalid', `the policy is invalid: ${errors.join('; ')}`);
  const results = targets.map((target) => resultOf(target, context));
  if (targets.length === 1) {
    const { bound, reason, message } = resultOf(first, context);
    return condition(bound, reason, message);
  }
  const unbound = targets.filter((_, i) => results[i]?.bound !== true);
  if (unbound.length === 0) return condition(true, 'Accepted', `bound to ${targets.length} targets`);
  const names = unbound.map(
    ({ kind, group, name }) => `${kind}.${group || 'core'}:${context.namespace}/${name}`,
  );
  const isTrue = unbound.length < targets.length;
  return condition(
    isTrue,
    isTrue ? 'PartiallyInvalid' : 'Invalid',
    `Invalid targetRefs: ${names.join(', ')}`,
  );
}

interface TargetResult {
  readonly bound: boolean;
  readonly reason: 'Accepted' | 'AncestorNotBound' | 'TargetNotFound' | 'Invalid';
  readonly message: string;
}

function resultOf({ kind, name }: PolicyTargetReference, context: TargetLookup): TargetResult {
  const { namespace, rootNamespace, lookUp, kind: of = 'AuthorizationPolicy' } = context;
  if (kind === 'GatewayClass' && namespace !== rootNamespace)
    return unbound(
      'Invalid',
      `${of} must be in the root namespace \`${rootNamespace}\` when referencing a GatewayClass`,
    );
  const target = lookUp(kind, namespace, name);
  const key = kind === 'GatewayClass' ? name : `${namespace}/${name}`;
  if (!target.found) return unbound('TargetNotFound', `${kind} ${key} was not found`);
  if (target.waypoint !== undefined)
    return { bound: true, reason: 'Accepted', message: `bound to ${target.waypoint}` };
  switch (kind) {
    case 'GatewayClass':
      return unbound(
        'Invalid',
        `GatewayClass must use controller name \`${WAYPOINT_CONTROLLER}\` for waypoints`,
      );
    case 'Gateway':
      return unbound('TargetNotFound', `Gateway ${key} has no address yet`);
    default:
      return unbound('AncestorNotBound', `${kind} ${key} is not bound to a waypoint`);
  }
}

function unbound(reason: TargetResult['reason'], message: string): TargetResult {
  return { bound: false, reason, message };
}
