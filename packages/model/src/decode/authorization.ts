/**
 * Policies from the bytes of an `istio.security.Authorization`.
 *
 * A matcher that says nothing (a block of three bytes, a string match of no kind) is dropped from a deny, which then
 * denies more; it makes its match in an allow one that never holds. Neither way does it open anything.
 */
import {
  Action,
  decodeAuthorization as decodeMessage,
  Scope,
  type Address as BlockMessage,
  type Authorization as AuthorizationMessage,
  type Match as MatchMessage,
  type StringMatch as StringMatchMessage,
} from '@ambit/api/authorization';
import { messageOf } from '@ambit/core/errors';
import { type Cidr, cidrOf } from '@ambit/core/ip';
import { MAX_POLICY_MATCHERS } from '../limits.ts';
import type { Policy, PolicyMatch, StringMatch } from '../policy.ts';
import { nameOf, pick, Problem } from './problem.ts';

export type DecodedPolicy =
  | { readonly kind: 'policy'; readonly policy: Policy }
  | { readonly kind: 'problem'; readonly problem: string };

/** @param name - Of the xDS resource, by which workloads refer to it. */
export function decodePolicy(name: string, bytes: Uint8Array): DecodedPolicy {
  try {
    return { kind: 'policy', policy: policyOf(name, decodeMessage(bytes)) };
  } catch (error) {
    return { kind: 'problem', problem: messageOf(error) };
  }
}

const SCOPES = {
  [Scope.GLOBAL]: 'Global',
  [Scope.NAMESPACE]: 'Namespace',
  [Scope.WORKLOAD_SELECTOR]: 'WorkloadSelector',
} as const;
const ACTIONS = { [Action.ALLOW]: 'Allow', [Action.DENY]: 'Deny' } as const;

function policyOf(key: string, message: AuthorizationMessage): Policy {
  const matches = message.rules.flatMap(({ clauses }) => clauses.flatMap((clause) => clause.matches));
  const matchers = matches.reduce(
    (sum, match) => sum + matchersIn(match),
    message.rules.length + matches.length,
  );
  if (matchers > MAX_POLICY_MATCHERS) throw new Problem(`more than ${MAX_POLICY_MATCHERS} matchers`);
  const action = pick(ACTIONS, message.action, 'action');
  return {
    key,
    name: nameOf(message.name, 'name'),
    namespace: nameOf(message.namespace, 'namespace'),
    scope: pick(SCOPES, message.scope, 'scope'),
    action,
    rules: message.rules.map(({ clauses }) =>
      clauses.map((clause) => clause.matches.map((match) => matchOf(match, action))),
    ),
    dryRun: message.dryRun,
  };
}

function matchersIn(match: MatchMessage): number {
  return Object.values(match).reduce(
    (sum: number, values) => sum + (Array.isArray(values) ? values.length : 0),
    0,
  );
}

/** Never holds. */
const NEVER: PolicyMatch = {};

function matchOf(message: MatchMessage, action: Policy['action']): PolicyMatch {
  const match: PolicyMatch = {
    ...field('namespaces', message.namespaces, textOf),
    ...field('notNamespaces', message.notNamespaces, textOf),
    ...field('principals', message.principals, textOf),
    ...field('notPrincipals', message.notPrincipals, textOf),
    ...field('sourceIps', message.sourceIps, blockOf),
    ...field('notSourceIps', message.notSourceIps, blockOf),
    ...field('destinationIps', message.destinationIps, blockOf),
    ...field('notDestinationIps', message.notDestinationIps, blockOf),
    ...field('destinationPorts', message.destinationPorts, (port) => port),
    ...field('notDestinationPorts', message.notDestinationPorts, (port) => port),
    ...field('serviceAccounts', message.serviceAccounts, (account) => account),
    ...field('notServiceAccounts', message.notServiceAccounts, (account) => account),
  };
  const kept = Object.values(match).reduce(
    (sum: number, values: readonly unknown[]) => sum + values.length,
    0,
  );
  const dropped = matchersIn(message) - message.extensions.length - kept;
  return action === 'Allow' && dropped > 0 ? NEVER : match;
}

function field<Name extends keyof PolicyMatch, Message, Value>(
  name: Name,
  messages: readonly Message[],
  read: (message: Message) => Value | undefined,
): Partial<Record<Name, readonly Value[]>> {
  const values = messages.map(read).filter((value) => value !== undefined);
  return values.length === 0 ? {} : ({ [name]: values } as Record<Name, readonly Value[]>);
}

function textOf({ matchType }: StringMatchMessage): StringMatch | undefined {
  switch (matchType?.$case) {
    case undefined:
      return undefined;
    case 'presence':
      return { kind: 'presence' };
    case 'exact':
    case 'prefix':
    case 'suffix':
      return { kind: matchType.$case, text: matchType.value };
    default:
      return matchType satisfies never;
  }
}

function blockOf({ address, length }: BlockMessage): Cidr | undefined {
  return cidrOf(address, length);
}
