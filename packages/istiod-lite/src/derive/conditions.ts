/** What the statuses of objects shall say: by `namespace/name` of each object, the conditions that are ours. */
import type { Collection } from '@ambit/collections/collection';
import { derivedValues } from '@ambit/collections/derived';
import type { Fetch } from '@ambit/collections/fetch';
import type { WantedCondition } from '../translate/condition.ts';
import { targetConditions, type TargetState, targetsOf } from '../translate/policy-targets.ts';
import { INGRESS_USE_WAYPOINT_LABEL } from '../translate/service.ts';
import { WAYPOINT_CONTROLLER, waypointKey } from '../translate/waypoint.ts';
import { type IngressUse, waypointConditions } from '../translate/waypoint-status.ts';
import { validateAuthorizationPolicy } from '../validate/authorization-policy.ts';
import { type GraphContext, sameContent } from './context.ts';
import type { Policies } from './policies.ts';
import type { Waypoints } from './waypoints.ts';

export type WantedConditions = Collection<string, readonly WantedCondition[]>;

export interface Conditions {
  /** `istio.io/WaypointBound` of Services. */
  readonly ofServices: WantedConditions;
  /** `ZtunnelAccepted` of AuthorizationPolicies. */
  readonly ofPoliciesAtZtunnels: WantedConditions;
  /** `WaypointAccepted` of AuthorizationPolicies. */
  readonly ofPoliciesAtWaypoints: WantedConditions;
}

export function deriveConditions(
  { inputs, settings, scheduler }: GraphContext,
  policies: Policies,
  waypoints: Waypoints,
): Conditions {
  const ofServices = derivedValues({
    name: 'conditions of services',
    scheduler,
    from: inputs.services,
    inputs: [waypoints.ofServices, inputs.namespaces],
    compute: ({ metadata }, key, fetch) => {
      const binding = fetch.get(waypoints.ofServices, key);
      if (!binding) return undefined;
      const namespace = binding.waypoint && fetch.get(inputs.namespaces, metadata.namespace ?? '');
      const label =
        metadata.labels?.[INGRESS_USE_WAYPOINT_LABEL] ??
        namespace?.metadata.labels?.[INGRESS_USE_WAYPOINT_LABEL];
      return someOf(waypointConditions(binding, ingressUse(label)));
    },
    equals: sameContent,
  });

  const ofPoliciesAtZtunnels = derivedValues({
    name: 'conditions of policies at ztunnels',
    scheduler,
    from: policies.translated,
    compute: ({ acceptance, generation }) => {
      if (!acceptance) return undefined;
      const { accepted: isTrue, reason, message } = acceptance;
      const observed = generation === undefined ? {} : { observedGeneration: generation };
      return [{ type: ZTUNNEL_ACCEPTED, isTrue, reason, message, ...observed }];
    },
    equals: sameContent,
  });

  const lookUp = (kind: string, namespace: string, name: string, fetch: Fetch): TargetState => {
    const key = `${namespace}/${name}`;
    switch (kind) {
      case 'Service': {
        const waypoint = fetch.get(waypoints.ofServices, key)?.waypoint;
        return fetch.get(inputs.services, key)
          ? { found: true, waypoint: waypoint && waypointKey(waypoint) }
          : { found: false };
      }
      case 'Gateway': {
        const waypoint = fetch.get(waypoints.all, key);
        return fetch.get(inputs.gateways, key)
          ? { found: true, waypoint: waypoint && waypointKey(waypoint) }
          : { found: false };
      }
      case 'GatewayClass': {
        const found = fetch.get(inputs.gatewayClasses, name);
        if (!found) return { found: false };
        const isForWaypoints = found.spec?.controllerName === WAYPOINT_CONTROLLER;
        return { found: true, waypoint: isForWaypoints ? name : undefined };
      }
      default:
        return { found: false };
    }
  };
  const ofPoliciesAtWaypoints = derivedValues({
    name: 'conditions of policies at waypoints',
    scheduler,
    from: inputs.authorizationPolicies,
    inputs: [waypoints.ofServices, waypoints.all, inputs.services, inputs.gateways, inputs.gatewayClasses],
    compute: (policy, _, fetch) => {
      const { metadata, spec = {} } = policy;
      const conditions = targetConditions(targetsOf(spec), {
        namespace: metadata.namespace ?? '',
        rootNamespace: settings.rootNamespace,
        errors: validateAuthorizationPolicy(policy, { l7WithoutWaypoint: 'istio' }).errors,
        generation: metadata.generation,
        lookUp: (kind, namespace, name) => lookUp(kind, namespace, name, fetch),
      });
      return someOf(conditions);
    },
    equals: sameContent,
  });
  return { ofServices, ofPoliciesAtZtunnels, ofPoliciesAtWaypoints };
}

export const ZTUNNEL_ACCEPTED = 'ZtunnelAccepted';

export function ingressUse(label: string | undefined): IngressUse {
  return label === undefined ? undefined : label.toLowerCase() === 'true';
}

function someOf(conditions: readonly WantedCondition[]): readonly WantedCondition[] | undefined {
  return conditions.length === 0 ? undefined : conditions;
}
