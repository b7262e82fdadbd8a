/**
 * Why a verdict is what it is: every policy that binds the workload, and for each the rule that matched or, rule by
 * rule, the first clause that did not hold and what in it failed.
 *
 * The matchers are those of the verdict (match.ts), so an explanation cannot disagree with the decision.
 */
import type { MeshView } from '../mesh.ts';
import type { Policy, PolicyField, Rule } from '../policy.ts';
import type { Workload } from '../workload.ts';
import { type AuthorizationRequest, type AuthorizeOptions, type Verdict, verdictOf } from './authorize.ts';
import { type Facts, factsOf, failingClause, failingField, matchingRule } from './match.ts';

/** Indexes count from 0 in the order of the policy as the proxy holds it. */
export interface RuleTrace {
  readonly rule: number;
  /** The first clause that did not hold. */
  readonly clause: number;
  /** For each alternative of that clause the first field that did not hold. */
  readonly failed: readonly (PolicyField | 'empty')[];
}

export interface PolicyTrace {
  readonly policy: string;
  readonly action: Policy['action'];
  readonly scope: Policy['scope'];
  readonly dryRun: boolean;
  /** The rule that matched; `undefined` when the policy does not match. */
  readonly matchedRule: number | undefined;
  /** Why each rule failed; empty when one matched, and when there are none. */
  readonly failures: readonly RuleTrace[];
}

export interface AuthorizationTrace {
  readonly verdict: Verdict;
  /** What the verdict would be if dry-run policies were enforced; `undefined` when there are none. */
  readonly dryRunVerdict: Verdict | undefined;
  /** What the policies looked at. */
  readonly seen: SeenByPolicies;
  readonly policies: readonly PolicyTrace[];
  readonly missing: readonly string[];
}

/** What a connection shows to policies, under the field that asks for it; empty where there is nothing to see. */
export type SeenByPolicies = Readonly<Record<Exclude<PolicyField, `not${string}`>, string>>;

export function explainAuthorization(
  mesh: MeshView,
  workload: Workload,
  request: AuthorizationRequest,
  options: AuthorizeOptions,
): AuthorizationTrace {
  const facts = factsOf(request.identity, request.sourceIp, request.destination);
  const bound = mesh.policiesFor(workload);
  const enforced = bound.policies.map((policy) => ({ ...policy, dryRun: false }));
  const hasDryRun = bound.policies.some((policy) => policy.dryRun);
  return {
    verdict: verdictOf(bound, facts, options),
    dryRunVerdict: hasDryRun ? verdictOf({ ...bound, policies: enforced }, facts, options) : undefined,
    seen: seenByPolicies(request, facts),
    policies: bound.policies.map((policy) => tracePolicy(policy, facts)),
    missing: bound.missing,
  };
}

function seenByPolicies({ sourceIp, destination }: AuthorizationRequest, facts: Facts): SeenByPolicies {
  const { namespace, serviceAccount, principal } = facts;
  return {
    namespaces: namespace,
    serviceAccounts: serviceAccount === '' ? '' : `${namespace}/${serviceAccount}`,
    principals: principal,
    sourceIps: sourceIp,
    destinationIps: destination.ip,
    destinationPorts: String(destination.port),
  };
}

function tracePolicy(policy: Policy, facts: Facts): PolicyTrace {
  const { key, action, scope, dryRun } = policy;
  const matched = matchingRule(policy, facts);
  return {
    policy: key,
    action,
    scope,
    dryRun,
    matchedRule: matched < 0 ? undefined : matched,
    failures: matched < 0 ? policy.rules.map((rule, index) => traceRule(rule, index, facts)) : [],
  };
}

function traceRule(rule: Rule, index: number, facts: Facts): RuleTrace {
  const clause = failingClause(rule, facts);
  const alternatives = rule[clause] ?? [];
  return { rule: index, clause, failed: alternatives.flatMap((match) => failingField(match, facts) ?? []) };
}
