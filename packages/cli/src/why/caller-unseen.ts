/**
 * A refusal behind a waypoint that is about who connects: the destination sees the waypoint there, and never the caller.
 *
 * Whoever reads the policy finds the caller in it, or knows that it is not, and looks at the wrong end.
 */
import type { DumpedPolicy } from '../config-dump.ts';
import { objectOf, textOf } from '../json-value.ts';
import { policiesOf, type Step } from './answer.ts';
import { rulesOf, seenBy } from './policy-lines.ts';

export interface CallerUnseen {
  /** The waypoint's identity without `spiffe://`. */
  readonly principal: string;
  /** Those that refused it for its identity, `namespace/name`. */
  readonly policies: readonly string[];
  readonly action: 'allow' | 'deny';
}

/** @param step - The `authorization` step of the destination behind the waypoint. */
export function callerUnseen(step: Step, held: readonly DumpedPolicy[]): CallerUnseen | undefined {
  const principal = seenBy(step, 'principals') ?? '';
  if (step.outcome !== 'refuse' || principal === '') return undefined;
  const verdict = objectOf(step.detail['verdict']);
  const action = textOf(verdict['kind']) === 'deny' ? 'deny' : 'allow';
  const policies =
    action === 'deny'
      ? denying(step, textOf(verdict['by']), held)
      : notAllowing(step, textOf(verdict['kind']));
  return policies.length === 0 ? undefined : { principal, policies, action };
}

/**
 * What to do about it.
 *
 * @param service - `namespace/name` of what was asked for; `undefined`: a pod, whose waypoint stands before itself.
 */
export function adviceOf({ principal, policies, action }: CallerUnseen, service: string | undefined): string {
  const [namespace, name = ''] = service?.split('/') ?? [];
  const apart = namespace !== undefined && policies.some((key) => !key.startsWith(`${namespace}/`));
  const target = namespace === undefined ? 'the Gateway of the waypoint' : `Service ${name}`;
  const attach = apart
    ? `put what ${policies.join(', ')} says into a policy of namespace ${namespace} with targetRefs to ${target}`
    : `attach ${policies.join(', ')} by targetRefs to ${target}`;
  const otherwise = action === 'deny' ? `except principal ${principal}` : `allow principal ${principal} too`;
  return `the waypoint alone sees the caller: ${attach} instead of to pods, and the waypoint enforces it; or ${otherwise}, which is the waypoint`;
}

const OF_IDENTITY = /^(?:not)?(?:namespaces|serviceAccounts|principals)$/i;

/** The policy that matched, if anything in the rule is about identities. */
function denying(step: Step, by: string, held: readonly DumpedPolicy[]): readonly string[] {
  const matched = policiesOf(step).find(({ policy }) => policy === by)?.matchedRule;
  const rule = matched === undefined ? undefined : rulesOf(by, held)[matched];
  const fields = (rule ?? []).flat().flatMap((match) => Object.keys(match));
  return fields.some((field) => OF_IDENTITY.test(field)) ? [by] : [];
}

function notAllowing(step: Step, kind: string): readonly string[] {
  if (kind !== 'no-allow-matched') return [];
  return policiesOf(step)
    .filter(({ action, dryRun }) => action === 'Allow' && !dryRun)
    .filter(({ failures }) => failures.some(({ failed }) => failed.some((field) => OF_IDENTITY.test(field))))
    .map(({ policy }) => policy);
}
