/**
 * Whether the policies attached to a service or a waypoint let a request or a connection through.
 *
 * Asked in this order: {@link externalChecks} names the providers of CUSTOM policies that match, each of which must let the
 * subject pass; then {@link authorize}: a policy that cannot be read denies everything, DENY wins over ALLOW, and where
 * ALLOW policies are attached one of them must match. AUDIT changes nothing. Policies that are not enforced are told of by
 * {@link shadowVerdict}.
 */
import type { AuthorizationPolicy } from '../resources/authorization-policy.ts';
import type { BoundPolicies } from '../resources/snapshot.ts';
import { AuthorizationFacts, type AuthorizationSubject } from './authorization-facts.ts';
import { matchingRule } from './match-policy.ts';
import type { ExternalCheck, Verdict } from './verdict.ts';

const NOTHING_SAID: Verdict = { kind: 'allow', by: undefined };
const NONE_MATCHED: Verdict = { kind: 'no-allow-matched' };
const NO_CHECKS: readonly ExternalCheck[] = [];

/** By provider, in the order of the policies. */
export function externalChecks(
  { custom }: BoundPolicies,
  subject: AuthorizationSubject,
): readonly ExternalCheck[] {
  if (custom.length === 0) return NO_CHECKS;
  const facts = new AuthorizationFacts(subject);
  const matching = custom.filter((policy) => matchingRule(policy, facts) >= 0);
  const byProvider = Map.groupBy(matching, ({ provider }) => provider);
  return [...byProvider].map(([provider, policies]) => ({
    provider,
    policies: policies.map(({ key }) => key),
  }));
}

export function authorize(policies: BoundPolicies, subject: AuthorizationSubject): Verdict {
  const { unreadable, deny, allow } = policies;
  if (unreadable.length + deny.length + allow.length === 0) return NOTHING_SAID;
  return verdictOf(policies, new AuthorizationFacts(subject));
}

/** The verdict alone; {@link authorize} and the explanation both end here. */
export function verdictOf({ unreadable, deny, allow }: BoundPolicies, facts: AuthorizationFacts): Verdict {
  const [broken] = unreadable;
  if (broken) return { kind: 'unreadable', by: broken.key, problem: broken.unreadable ?? '' };
  for (const policy of deny) {
    const rule = matchingRule(policy, facts);
    if (rule >= 0) return { kind: 'deny', by: policy.key, rule };
  }
  if (allow.length === 0) return NOTHING_SAID;
  for (const policy of allow) {
    if (matchingRule(policy, facts) >= 0) return { kind: 'allow', by: policy.key };
  }
  return NONE_MATCHED;
}

/** What the verdict would be if policies that are not enforced were; `undefined` when there are none. */
export function shadowVerdict(policies: BoundPolicies, subject: AuthorizationSubject): Verdict | undefined {
  return policies.withDryRun && authorize(policies.withDryRun, subject);
}

/** The AUDIT policies that match. */
export function auditing(
  { audit }: BoundPolicies,
  subject: AuthorizationSubject,
): readonly AuthorizationPolicy[] {
  if (audit.length === 0) return audit;
  const facts = new AuthorizationFacts(subject);
  return audit.filter((policy) => matchingRule(policy, facts) >= 0);
}
