/**
 * Why a verdict is what it is: every policy that is attached, and for each the rule that matched or, rule by rule, the first
 * condition that did not hold, what it wants and what the subject has.
 *
 * The matchers are those of the verdict (match-policy.ts), so an explanation cannot disagree with the decision.
 */
import type {
  AttributeTest,
  AuthorizationAction,
  AuthorizationCondition,
  AuthorizationPolicy,
  AuthorizationRule,
} from '../resources/authorization-policy.ts';
import type { BoundPolicies } from '../resources/snapshot.ts';
import { formatIp } from '@ambit/core/ip';
import { AuthorizationFacts, type AuthorizationSubject } from './authorization-facts.ts';
import { externalChecks, shadowVerdict, verdictOf } from './authorize.ts';
import { MAX_EXPLAINED, MAX_EXPLAINED_TEXT, MAX_EXPLAINED_VALUES } from './explain-limits.ts';
import { failingCondition, failingPart, matchingRule } from './match-policy.ts';
import { isSecretName, NOT_SHOWN } from '@ambit/core/secret-names';
import type { ExternalCheck, Verdict } from './verdict.ts';

/** A condition that did not hold. */
export interface ConditionTrace {
  /** As the user wrote it, such as `notPaths` or `request.headers[x-id]`. */
  readonly field: string;
  /** None of the values may be there, instead of one. */
  readonly negated: boolean;
  readonly wants: readonly string[];
  /** What the subject has; empty where it has nothing, or nothing that may be shown. */
  readonly has: readonly string[];
}

/** Why a rule does not match. Rules count from 0. */
export interface RuleTrace {
  readonly rule: number;
  readonly part: 'from' | 'to' | 'when';
  /** For each alternative of the part the first condition that did not hold. */
  readonly failed: readonly ConditionTrace[];
}

export interface PolicyTrace {
  readonly policy: string;
  readonly action: AuthorizationAction;
  readonly dryRun: boolean;
  /** Why it cannot be read: it denies. */
  readonly unreadable: string | undefined;
  /** `undefined` when the policy does not match. */
  readonly matchedRule: number | undefined;
  /** Empty when a rule matched, and when there are none. */
  readonly failures: readonly RuleTrace[];
}

export interface AuthorizationTrace {
  readonly verdict: Verdict;
  /** What it would be if policies that are not enforced were; `undefined`: there are none. */
  readonly dryRunVerdict: Verdict | undefined;
  /** Whom the waypoint would ask before. */
  readonly externalChecks: readonly ExternalCheck[];
  readonly policies: readonly PolicyTrace[];
}

export function explainPolicies(bound: BoundPolicies, subject: AuthorizationSubject): AuthorizationTrace {
  const facts = new AuthorizationFacts(subject);
  const { unreadable, custom, deny, allow, audit } = bound.withDryRun ?? bound;
  const all = [...unreadable, ...custom, ...deny, ...allow, ...audit];
  return {
    verdict: verdictOf(bound, facts),
    dryRunVerdict: shadowVerdict(bound, subject),
    externalChecks: externalChecks(bound, subject),
    policies: all.slice(0, MAX_EXPLAINED).map((policy) => tracePolicy(policy, facts)),
  };
}

function tracePolicy(policy: AuthorizationPolicy, facts: AuthorizationFacts): PolicyTrace {
  const { key, action, dryRun, unreadable, rules } = policy;
  const matched = matchingRule(policy, facts);
  const failures =
    matched >= 0
      ? []
      : rules.slice(0, MAX_EXPLAINED).map((rule, index) => traceRule(rule, index, action, facts));
  return {
    policy: key,
    action,
    dryRun,
    unreadable,
    matchedRule: matched < 0 ? undefined : matched,
    failures,
  };
}

function traceRule(
  rule: AuthorizationRule,
  index: number,
  action: AuthorizationAction,
  facts: AuthorizationFacts,
): RuleTrace {
  const part = failingPart(rule, action, facts) ?? 'when';
  const alternatives = part === 'when' ? [rule.when] : rule[part];
  const failed = alternatives
    .slice(0, MAX_EXPLAINED_VALUES)
    .flatMap((conditions) => failingCondition(conditions, action, facts) ?? []);
  return { rule: index, part, failed: failed.map((condition) => traceCondition(condition, facts)) };
}

function traceCondition(
  { field, negated, written, test }: AuthorizationCondition,
  facts: AuthorizationFacts,
): ConditionTrace {
  const shown = (texts: readonly string[]) =>
    texts.slice(0, MAX_EXPLAINED_VALUES).map((text) => text.slice(0, MAX_EXPLAINED_TEXT));
  const isSecret = test.attribute === 'request-header' && isSecretName(test.name);
  const wants = isSecret ? [NOT_SHOWN] : shown(written);
  return { field, negated, wants, has: shown(valuesOf(test, facts)) };
}

function valuesOf(test: AttributeTest, facts: AuthorizationFacts): readonly string[] {
  switch (test.attribute) {
    case 'path':
      return facts.subject.request ? [facts.path] : [];
    case 'host':
      return facts.subject.request ? [facts.hosts[0]] : [];
    case 'request-header': {
      const value = facts.header(test.name);
      if (value === undefined) return [];
      return [isSecretName(test.name) ? NOT_SHOWN : value];
    }
    case 'claim':
      return facts.claim(test.path);
    case 'source-ip':
      return address(facts.sourceIp);
    case 'remote-ip':
      return address(facts.remoteIp);
    case 'destination-ip':
      return address(facts.destinationIp);
    case 'destination-port':
      return [String(facts.subject.connection.destination.port)];
    default:
      return facts.texts(test.attribute);
  }
}

function address(bytes: Uint8Array | undefined): readonly string[] {
  const text = bytes && formatIp(bytes);
  return text === undefined ? [] : [text];
}
