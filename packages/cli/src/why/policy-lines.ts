/**
 * Each policy that was considered, as one sentence: what it did, and the first clause of each rule that did not hold. Rules and
 * clauses count from 0, as in the logs of Istio and of a waypoint.
 */
import type { DumpedPolicy } from '../config-dump.ts';
import { type JsonObject, listOf, objectOf, textOf } from '../json-value.ts';
import { policiesOf, type PolicyTrace, type Step } from './answer.ts';
import { isStrictPolicy, peerAuthenticationTitle } from './peer-authentication.ts';

/**
 * @param held - The policies with their rules, where they could be had; without them only the fields are named.
 * @param strictBy - The PeerAuthentication by which the destination is STRICT, if it is known.
 */
export function describePolicies(
  step: Step,
  held: readonly DumpedPolicy[],
  strictBy?: string,
): readonly string[] {
  return policiesOf(step).flatMap((trace) => {
    const converted = peerAuthenticationTitle(trace.policy, strictBy);
    const head = converted ?? `policy ${trace.policy} (${trace.action.toUpperCase()}${dryRunNote(trace)})`;
    return isStrictPolicy(trace.policy)
      ? [`${head}: ${strictText(trace, seenBy(step, 'principals'))}`]
      : describe(head, trace, rulesOf(trace.policy, held), step);
  });
}

/** What the connection shows where a field of a policy looks; `undefined` if an older proxy did not say. */
export function seenBy({ detail }: Step, field: string): string | undefined {
  const seen = objectOf(detail['seen']);
  // A negative field looks where the positive does: `notSourceIps`, `sourceIps`.
  const positive = field.replace(/^not(.)/, (_, first: string) => first.toLowerCase());
  return Object.hasOwn(seen, positive) ? textOf(seen[positive]) : undefined;
}

function dryRunNote({ dryRun }: PolicyTrace): string {
  return dryRun ? ', dry run: not enforced' : '';
}

/** It has one rule, which a user never wrote: who proves no identity is refused. */
function strictText({ matchedRule }: PolicyTrace, principal: string | undefined): string {
  if (matchedRule !== undefined) return 'the connection proves no identity';
  return `the connection proves an identity${here(principal)}`;
}

function here(seen: string | undefined): string {
  return seen === undefined ? '' : ` (here: ${seen || 'nothing'})`;
}

type Rules = DumpedPolicy['rules'];

/** Of a policy, `namespace/name`; empty where it is not held. */
export function rulesOf(key: string, held: readonly DumpedPolicy[]): Rules {
  return held.find(({ namespace, name }) => `${namespace}/${name}` === key)?.rules ?? [];
}

function describe(
  head: string,
  { matchedRule, failures }: PolicyTrace,
  rules: Rules,
  step: Step,
): readonly string[] {
  if (matchedRule !== undefined) return [`${head}: rule ${matchedRule} matches`];
  if (failures.length === 0) return [`${head}: has no rules, so it matches nothing`];
  const reasons = failures.map(({ rule, clause, failed }) => {
    const wanted = failed
      .map((field, i) => alternative(field, rules[rule]?.[clause]?.[i]) + here(seenBy(step, field)))
      .join(' or ');
    return `rule ${rule} does not match, as its clause ${clause} wants ${wanted}`;
  });
  return reasons.length === 1
    ? [`${head}: ${reasons[0]}`]
    : [`${head}:`, ...reasons.map((reason) => `  ${reason}`)];
}

function alternative(field: string, match: JsonObject | undefined): string {
  if (field === 'empty') return 'nothing that can be (an empty match never holds)';
  const values = listOf(match?.[field]).map(valueText);
  return values.length === 0 ? field : `${field} ${values.join(', ')}`;
}

/** `{"Prefix": "a"}` as `a*`; a service account as `namespace/name`. */
function valueText(value: unknown): string {
  const object = objectOf(value);
  if ('Exact' in object) return textOf(object['Exact']);
  if ('Prefix' in object) return `${textOf(object['Prefix'])}*`;
  if ('Suffix' in object) return `*${textOf(object['Suffix'])}`;
  if ('Presence' in object) return '*';
  if ('serviceAccount' in object) return `${textOf(object['namespace'])}/${textOf(object['serviceAccount'])}`;
  return textOf(value);
}
