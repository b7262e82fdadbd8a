/** A DestinationRule as waypoints are sent it. Pure. One that is wrong refuses what goes to its host. */
import type { DestinationPolicy, Subset, WaypointFields } from '@ambit/api/waypoint';
import type { Labels } from '@ambit/kube/label-selector';
import type { DestinationRule, DestinationRuleSpec } from '@ambit/kube/resources/networking';
import { MAX_TOLD_WORKLOADS, MAX_WORKLOAD_QUESTIONS } from '../../limits.ts';
import { validateDestinationRule } from '../../validate/destination-rule.ts';
import { fullHost, isWildcardHost } from '../hosts.ts';
import { originOf } from '../routes/translated.ts';
import { trafficPolicy } from './traffic-policy.ts';

export interface RuleScope {
  /** `cart.shop.svc.cluster.local`, or a name that begins with `*`. */
  readonly host: string;
  readonly isWildcard: boolean;
  readonly namespace: string;
  readonly exportTo: readonly string[] | undefined;
}

/** What a rule is about; `undefined` if that cannot be read, or if it is for clients that are never waypoints. */
export function ruleScope({ metadata, spec }: DestinationRule, domain: string): RuleScope | undefined {
  const given: unknown = spec?.host;
  if (typeof given !== 'string' || given === '' || spec?.workloadSelector !== undefined) return undefined;
  const namespace = metadata.namespace ?? '';
  const host = fullHost(given, namespace, domain);
  return { host, isWildcard: isWildcardHost(host), namespace, exportTo: namesOf(spec?.exportTo) };
}

/** Whom nobody can read is nobody: an empty list would be everybody. */
function namesOf(given: unknown): readonly string[] | undefined {
  if (given === undefined) return undefined;
  return Array.isArray(given) ? given.filter((name): name is string => typeof name === 'string') : ['.'];
}

/** What is asked of the workloads of the rule's services. */
export interface RuledWorkloads {
  /** uids of those that have all of these labels, sorted. */
  readonly members: (labels: Labels) => readonly string[];
  /** By uid what those that have the label have there, sorted. */
  readonly valuesOf: (label: string) => readonly (readonly [uid: string, value: string])[];
}

export function destinationPolicy(
  rule: DestinationRule,
  { host }: RuleScope,
  workloads: RuledWorkloads,
): WaypointFields<DestinationPolicy> {
  const { spec = {} } = rule;
  const shared = { origin: originOf('DestinationRule', rule), hostname: host };
  const { errors } = validateDestinationRule(rule);
  if (errors.length > 0) return { ...shared, unreadable: errors.join('; ') };
  const { trafficPolicy: policy = {} } = spec;
  const bounded = new BoundedWorkloads(workloads);
  const fields = {
    ...shared,
    policy: trafficPolicy(policy, bounded),
    ports: portPolicies(policy, bounded),
    subsets: (spec.subsets ?? []).map((subset) => translateSubset(subset, bounded)),
  };
  return bounded.problem === undefined ? fields : { ...shared, unreadable: bounded.problem };
}

/**
 * Workloads are told again for each subset, and each label for failover of each policy: a rule as long as is stored could
 * come to gigabytes. Beyond the bounds nothing is looked for any more.
 */
class BoundedWorkloads implements RuledWorkloads {
  readonly #workloads: RuledWorkloads;
  #questions = 0;
  #told = 0;

  constructor(workloads: RuledWorkloads) {
    this.#workloads = workloads;
  }

  get problem(): string | undefined {
    if (this.#questions > MAX_WORKLOAD_QUESTIONS)
      return `more than ${MAX_WORKLOAD_QUESTIONS} subsets and labels for failover`;
    if (this.#told > MAX_TOLD_WORKLOADS)
      return `its subsets and labels for failover come to more than ${MAX_TOLD_WORKLOADS} workloads`;
    return undefined;
  }

  readonly members: RuledWorkloads['members'] = (labels) => this.#ask(() => this.#workloads.members(labels));

  readonly valuesOf: RuledWorkloads['valuesOf'] = (label) => this.#ask(() => this.#workloads.valuesOf(label));

  #ask<T>(look: () => readonly T[]): readonly T[] {
    this.#questions += 1;
    if (this.problem !== undefined) return [];
    const found = look();
    this.#told += found.length;
    return found;
  }
}

function portPolicies(
  { portLevelSettings = [] }: NonNullable<DestinationRuleSpec['trafficPolicy']>,
  workloads: RuledWorkloads,
) {
  return portLevelSettings.flatMap(({ port, ...settings }) =>
    port?.number === undefined ? [] : [{ port: port.number, policy: trafficPolicy(settings, workloads) }],
  );
}

function translateSubset(
  { name, labels = {}, trafficPolicy: policy = {} }: NonNullable<DestinationRuleSpec['subsets']>[number],
  workloads: RuledWorkloads,
): WaypointFields<Subset> {
  return {
    name,
    labels: new Map(Object.entries(labels)),
    policy: trafficPolicy(policy, workloads),
    ports: portPolicies(policy, workloads),
    workloads: workloads.members(labels),
  };
}
