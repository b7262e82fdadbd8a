/** What the statuses of objects shall say: by `namespace/name` of each object, the conditions that are ours. */
import type { Collection } from '@ambit/collections/collection';
import { derivedValues } from '@ambit/collections/derived';
import type { Fetch } from '@ambit/collections/fetch';
import type { ObjectMeta } from '@ambit/kube/resource';
import type { DestinationRule, VirtualService } from '@ambit/kube/resources/networking';
import type { AuthorizationPolicy, RequestAuthentication } from '@ambit/kube/resources/security';
import type { WantedCondition } from '../translate/condition.ts';
import {
  checkedEntry,
  checkedService,
  healthCheckConditions,
} from '../translate/destinations/health-check.ts';
import { targetConditions, targetsOf, WAYPOINT_ACCEPTED } from '../translate/policy-targets.ts';
import { INGRESS_USE_WAYPOINT_LABEL } from '../translate/service.ts';
import { isForMesh } from '../translate/virtual-services/scope.ts';
import {
  type IngressUse,
  missingWaypointConditions,
  visibilityConditions,
  waypointConditions,
} from '../translate/waypoint-status.ts';
import { labelsOfWorkloadEntry } from '../translate/workload-entry.ts';
import { validateAuthorizationPolicy } from '../validate/authorization-policy.ts';
import { validateDestinationRule } from '../validate/destination-rule.ts';
import { validateRequestAuthentication } from '../validate/request-authentication.ts';
import { validateVirtualService } from '../validate/virtual-service.ts';
import { type GraphContext, sameContent } from './context.ts';
import type { Policies } from './policies.ts';
import type { Refusals } from './refusals.ts';
import { targetInputs, targetState } from './targets.ts';
import type { Visibilities } from './visibility.ts';
import type { Waypoints } from './waypoints.ts';

export type WantedConditions = Collection<string, readonly WantedCondition[]>;

export interface Conditions {
  /** `istio.io/WaypointBound` and `ambit.mesh/HealthCheckAccepted` of Services. */
  readonly ofServices: WantedConditions;
  /**
   * `istio.io/WaypointBound`, `istio.io/WaypointMissing`, `ambit.mesh/HealthCheckAccepted` and `istio.io/VisibilityApplied` of
   * ServiceEntries.
   */
  readonly ofServiceEntries: WantedConditions;
  /** `istio.io/WaypointBound` of WorkloadEntries. */
  readonly ofWorkloadEntries: WantedConditions;
  /** `ZtunnelAccepted` of AuthorizationPolicies. */
  readonly ofPoliciesAtZtunnels: WantedConditions;
  /** `WaypointAccepted` of AuthorizationPolicies. */
  readonly ofPoliciesAtWaypoints: WantedConditions;
  /** `WaypointAccepted` of RequestAuthentications. */
  readonly ofRequestAuthentications: WantedConditions;
  /** `WaypointAccepted` of VirtualServices and DestinationRules that are refused. */
  readonly ofVirtualServices: WantedConditions;
  readonly ofDestinationRules: WantedConditions;
}

export function deriveConditions(
  { inputs, settings, scheduler }: GraphContext,
  policies: Policies,
  waypoints: Waypoints,
  visibilities: Visibilities,
  refusals: Refusals,
): Conditions {
  const ingressOf = ({ labels, namespace = '' }: ObjectMeta, fetch: Fetch): IngressUse => {
    const own = labels?.[INGRESS_USE_WAYPOINT_LABEL];
    const label =
      own ?? fetch.get(inputs.namespaces, namespace)?.metadata.labels?.[INGRESS_USE_WAYPOINT_LABEL];
    return label === undefined ? undefined : label.toLowerCase() === 'true';
  };
  const ofServices = derivedValues({
    name: 'conditions of services',
    scheduler,
    from: inputs.services,
    inputs: [waypoints.ofServices, inputs.namespaces],
    compute: (service, key, fetch) => {
      const binding = fetch.get(waypoints.ofServices, key);
      return (
        binding &&
        someOf([
          ...waypointConditions(binding, binding.waypoint && ingressOf(service.metadata, fetch)),
          ...(binding.waypoint ? healthCheckConditions(checkedService(service)) : []),
        ])
      );
    },
    equals: sameContent,
  });
  const ofServiceEntries = derivedValues({
    name: 'conditions of service entries',
    scheduler,
    from: inputs.serviceEntries,
    inputs: [waypoints.ofServiceEntries, inputs.namespaces, ...visibilities.inputs],
    compute: (entry, key, fetch) => {
      const binding = fetch.get(waypoints.ofServiceEntries, key);
      return (
        binding &&
        someOf([
          ...waypointConditions(binding, binding.waypoint && ingressOf(entry.metadata, fetch)),
          ...missingWaypointConditions(entry, binding),
          ...(binding.waypoint ? healthCheckConditions(checkedEntry(entry)) : []),
          ...(visibilities.isSaid(fetch)
            ? visibilityConditions(visibilities.of(entry.metadata.namespace ?? '', fetch))
            : []),
        ])
      );
    },
    equals: sameContent,
  });
  const ofWorkloadEntries = derivedValues({
    name: 'conditions of workload entries',
    scheduler,
    from: inputs.workloadEntries,
    inputs: waypoints.inputs,
    compute: (entry, _, fetch) => {
      const labels = labelsOfWorkloadEntry(entry);
      const { namespace = '', name } = entry.metadata;
      const object = { name, namespace, ...(labels && { labels }) };
      return someOf(waypointConditions(waypoints.bindingOf('workload', object, fetch), undefined));
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

  const atWaypoints = <T extends AuthorizationPolicy | RequestAuthentication>(
    kind: 'AuthorizationPolicy' | 'RequestAuthentication',
    from: Collection<string, T>,
    errorsOf: (policy: T) => readonly string[],
  ) =>
    derivedValues({
      name: kind === 'AuthorizationPolicy' ? 'conditions of policies at waypoints' : `conditions of ${kind}s`,
      scheduler,
      from,
      inputs: [...targetInputs(inputs, waypoints), ...refusals.inputs[kind]],
      compute: (policy, key, fetch) => {
        const { metadata, spec = {} } = policy;
        const errors = errorsOf(policy);
        const refused = errors.length > 0 ? undefined : refusals.of(kind, key, fetch);
        const conditions = targetConditions(targetsOf(spec), {
          kind,
          namespace: metadata.namespace ?? '',
          rootNamespace: settings.rootNamespace,
          errors: refused === undefined ? errors : [refused],
          generation: metadata.generation,
          lookUp: (targetKind, namespace, name) =>
            targetState(inputs, waypoints, fetch, { kind: targetKind, namespace, name }),
        });
        return someOf(conditions);
      },
      equals: sameContent,
    });
  const ofPoliciesAtWaypoints = atWaypoints(
    'AuthorizationPolicy',
    inputs.authorizationPolicies,
    (policy) => validateAuthorizationPolicy(policy, { l7WithoutWaypoint: 'istio' }).errors,
  );
  const ofRequestAuthentications = atWaypoints(
    'RequestAuthentication',
    inputs.requestAuthentications,
    (policy) => validateRequestAuthentication(policy).errors,
  );
  const ofRules = <T extends VirtualService | DestinationRule>(
    kind: 'VirtualService' | 'DestinationRule',
    from: Collection<string, T>,
    errorsOf: (rule: T) => readonly string[],
  ) =>
    derivedValues({
      name: `conditions of ${kind}s`,
      scheduler,
      from,
      inputs: refusals.inputs[kind],
      compute: (rule, key, fetch): readonly WantedCondition[] | undefined => {
        const errors = errorsOf(rule);
        const message = errors.length > 0 ? errors.join('; ') : refusals.of(kind, key, fetch);
        if (message === undefined) return undefined;
        const { generation } = rule.metadata;
        const observed = generation === undefined ? {} : { observedGeneration: generation };
        return [{ type: WAYPOINT_ACCEPTED, isTrue: false, reason: 'Invalid', message, ...observed }];
      },
      equals: sameContent,
    });
  const ofVirtualServices = ofRules('VirtualService', inputs.virtualServices, (rule) =>
    // What is for gateways alone is read by somebody else.
    isForMesh(rule.spec?.gateways) ? validateVirtualService(rule).errors : [],
  );
  const ofDestinationRules = ofRules(
    'DestinationRule',
    inputs.destinationRules,
    (rule) => validateDestinationRule(rule).errors,
  );
  return {
    ofVirtualServices,
    ofDestinationRules,
    ofServices,
    ofServiceEntries,
    ofWorkloadEntries,
    ofPoliciesAtZtunnels,
    ofPoliciesAtWaypoints,
    ofRequestAuthentications,
  };
}

export const ZTUNNEL_ACCEPTED = 'ZtunnelAccepted';

function someOf(conditions: readonly WantedCondition[]): readonly WantedCondition[] | undefined {
  return conditions.length === 0 ? undefined : conditions;
}
