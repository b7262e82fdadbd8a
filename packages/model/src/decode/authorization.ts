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
import {
  type Policy,
  type PolicyMatch,
  type StringMatch,
  type UnreadablePolicy,
  withoutEmptyFields,
} from '../policy.ts';
import { nameOf, pick, Problem } from './problem.ts';

export type DecodedPolicy =
  | { readonly kind: 'policy'; readonly policy: Policy }
  | { readonly kind: 'problem'; readonly problem: string; readonly unreadable: UnreadablePolicy };

/** @param name - Of the xDS resource, by which workloads refer to it. */
export function decodePolicy(name: string, bytes: Uint8Array): DecodedPolicy {
  let message: AuthorizationMessage | undefined;
  try {
    message = decodeMessage(bytes);
    return { kind: 'policy', policy: policyOf(name, message) };
  } catch (error) {
    return { kind: 'problem', problem: messageOf(error), unreadable: unreadablePolicy(name, message) };
  }
}

/** @param message - What the bytes say, if they are a message at all. */
function unreadablePolicy(key: string, message: AuthorizationMessage | undefined): UnreadablePolicy {
  const namespace = key.slice(0, Math.max(0, key.indexOf('/')));
  const scopes: Readonly<Record<number, Policy['scope']>> = SCOPES;
  return { key, namespace, scope: (message && scopes[message.scope]) ?? 'Global' };
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
  const lists: Required<PolicyMatch> = {
    namespaces: read(message.namespaces, stringMatchOf),
    notNamespaces: read(message.notNamespaces, stringMatchOf),
    principals: read(message.principals, stringMatchOf),
    notPrincipals: read(message.notPrincipals, stringMatchOf),
    sourceIps: read(message.sourceIps, blockOf),
    notSourceIps: read(message.notSourceIps, blockOf),
    destinationIps: read(message.destinationIps, blockOf),
    notDestinationIps: read(message.notDestinationIps, blockOf),
    destinationPorts: message.destinationPorts,
    notDestinationPorts: message.notDestinationPorts,
    serviceAccounts: message.serviceAccounts,
    notServiceAccounts: message.notServiceAccounts,
  };
  const kept = Object.values(lists).reduce((sum: number, values) => sum + values.length, 0);
  const dropped = matchersIn(message) - message.extensions.length - kept;
  return action === 'Allow' && dropped > 0 ? NEVER : withoutEmptyFields(lists);
}

function read<M, V>(messages: readonly M[], toValue: (message: M) => V | undefined): readonly V[] {
  return messages.map(toValue).filter((value) => value !== undefined);
}

/** `undefined`: of a kind that is not known here. */
export function stringMatchOf({ matchType }: StringMatchMessage): StringMatch | undefined {
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

/** Copied: the policy outlives the response that the bytes are part of. */
function blockOf({ address, length }: BlockMessage): Cidr | undefined {
  return cidrOf(new Uint8Array(address), length);
}
