/**
 * Whether a policy's rules match; and if not, what in them does not hold. Verdicts and explanations share these functions,
 * so that they cannot disagree.
 *
 * A subject that lacks an attribute meets no positive condition on it, and every negative one. On a connection that is no
 * HTTP, conditions on requests fail in ALLOW and hold in DENY and CUSTOM: what cannot be looked at lets nothing through.
 */
import { type Cidr, cidrContainsBytes } from '@ambit/core/ip';
import {
  type AuthorizationAction,
  type AuthorizationCondition,
  type AuthorizationPolicy,
  type AuthorizationRule,
  HTTP_ATTRIBUTES,
} from '../resources/authorization-policy.ts';
import { type ValueMatch, valueMatches } from '../resources/value-match.ts';
import type { AuthorizationFacts } from './authorization-facts.ts';
import { type PathTemplate, pathTemplateMatches } from './path-template.ts';

/** The index of the first rule that matches; −1 when none does. */
export function matchingRule({ rules, action }: AuthorizationPolicy, facts: AuthorizationFacts): number {
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i];
    if (rule && failingPart(rule, action, facts) === undefined) return i;
  }
  return -1;
}

/** The first part of a rule that does not hold; `undefined` when the rule matches. */
export function failingPart(
  { from, to, when }: AuthorizationRule,
  action: AuthorizationAction,
  facts: AuthorizationFacts,
): 'from' | 'to' | 'when' | undefined {
  if (from.length > 0 && !anyHolds(from, action, facts)) return 'from';
  if (to.length > 0 && !anyHolds(to, action, facts)) return 'to';
  return failingCondition(when, action, facts) === undefined ? undefined : 'when';
}

function anyHolds(
  alternatives: readonly (readonly AuthorizationCondition[])[],
  action: AuthorizationAction,
  facts: AuthorizationFacts,
): boolean {
  for (const conditions of alternatives) {
    if (failingCondition(conditions, action, facts) === undefined) return true;
  }
  return false;
}

/** The first that does not hold. */
export function failingCondition(
  conditions: readonly AuthorizationCondition[],
  action: AuthorizationAction,
  facts: AuthorizationFacts,
): AuthorizationCondition | undefined {
  for (const condition of conditions) if (!holds(condition, action, facts)) return condition;
  return undefined;
}

function holds(
  condition: AuthorizationCondition,
  action: AuthorizationAction,
  facts: AuthorizationFacts,
): boolean {
  if (facts.subject.request === undefined && HTTP_ATTRIBUTES.has(condition.test.attribute)) {
    return action === 'DENY' || action === 'CUSTOM';
  }
  return matches(condition, facts) !== condition.negated;
}

/** Without functions within: they would make a place for what they see with every call, and a request makes many. */
function matches({ test }: AuthorizationCondition, facts: AuthorizationFacts): boolean {
  switch (test.attribute) {
    case 'path':
      return valueMatches(test.values, facts.path) || anyTemplate(test.templates, facts.path);
    case 'host': {
      const [written, bare] = facts.hosts;
      return valueMatches(test.values, written) || (test.anySpelling && valueMatches(test.values, bare));
    }
    case 'request-header': {
      const value = facts.header(test.name);
      return value !== undefined && (test.values.present || valueMatches(test.values, value));
    }
    case 'claim':
      return anyValue(test.values, facts.claim(test.path));
    case 'source-ip':
      return anyContains(test.blocks, facts.sourceIp);
    case 'remote-ip':
      return anyContains(test.blocks, facts.remoteIp);
    case 'destination-ip':
      return anyContains(test.blocks, facts.destinationIp);
    case 'destination-port':
      return test.ports.has(facts.subject.connection.destination.port);
    default:
      return anyValue(test.values, facts.texts(test.attribute));
  }
}

function anyValue(match: ValueMatch, values: readonly string[]): boolean {
  for (const value of values) if (valueMatches(match, value)) return true;
  return false;
}

function anyTemplate(templates: readonly PathTemplate[], path: string): boolean {
  for (const template of templates) if (pathTemplateMatches(template, path)) return true;
  return false;
}

function anyContains(blocks: readonly Cidr[], ip: Uint8Array | undefined): boolean {
  if (ip === undefined) return false;
  for (const block of blocks) if (cidrContainsBytes(block, ip)) return true;
  return false;
}
