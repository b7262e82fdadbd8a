/**
 * Whether a policy's rules match a connection; the one set of matchers that verdicts and explanations share.
 *
 * The edges are Istio's: a policy without rules never matches, a rule without clauses and a clause without matches
 * always do, and a match without any field never does. A peer without identity meets no positive field that speaks of
 * identity, and passes every negative one.
 */
import { bytesOfIp, type Cidr, cidrContainsBytes, type Endpoint } from '@ambit/core/ip';
import type {
  Clause,
  Policy,
  PolicyField,
  PolicyMatch,
  Rule,
  ServiceAccountMatch,
  StringMatch,
} from '../policy.ts';
import { parseIdentity } from '../workload.ts';

/** A connection, taken apart once for all the matchers that look at it. */
export interface Facts {
  /** Identity without `spiffe://`; empty without identity. */
  readonly principal: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly sourceIp: Uint8Array | undefined;
  readonly destinationIp: Uint8Array | undefined;
  readonly destinationPort: number;
}

const SCHEME = 'spiffe://';

export function factsOf(identity: string | undefined, sourceIp: string, destination: Endpoint): Facts {
  const parts = identity === undefined ? undefined : parseIdentity(identity);
  return {
    principal: identity?.startsWith(SCHEME) ? identity.slice(SCHEME.length) : '',
    namespace: parts?.namespace ?? '',
    serviceAccount: parts?.serviceAccount ?? '',
    sourceIp: bytesOfIp(sourceIp),
    destinationIp: bytesOfIp(destination.ip),
    destinationPort: destination.port,
  };
}

/** The index of the first rule that matches; −1 when none does. */
export function matchingRule(policy: Policy, facts: Facts): number {
  return policy.rules.findIndex((rule) => failingClause(rule, facts) < 0);
}

/** The index of the first clause of a rule that does not hold; −1 when the rule matches. */
export function failingClause(rule: Rule, facts: Facts): number {
  return rule.findIndex((clause) => !clauseHolds(clause, facts));
}

function clauseHolds(clause: Clause, facts: Facts): boolean {
  return clause.length === 0 || clause.some((match) => failingField(match, facts) === undefined);
}

/** The first field of a match that does not hold, `empty` for a match without fields, `undefined` when it holds. */
export function failingField(match: PolicyMatch, facts: Facts): PolicyField | 'empty' | undefined {
  let fields = 0;
  for (const field of FIELDS) {
    const values = match[field];
    if (values === undefined) continue;
    fields += 1;
    if (!HOLDS[field](match, facts)) return field;
  }
  return fields === 0 ? 'empty' : undefined;
}

type Holds = (match: PolicyMatch, facts: Facts) => boolean;

/** Negative fields hold where the positive does not; so a missing identity passes them. */
const HOLDS: Readonly<Record<PolicyField, Holds>> = {
  namespaces: (match, facts) => anyText(match.namespaces, facts.namespace),
  notNamespaces: (match, facts) => !anyText(match.notNamespaces, facts.namespace),
  serviceAccounts: (match, facts) => anyAccount(match.serviceAccounts, facts),
  notServiceAccounts: (match, facts) => !anyAccount(match.notServiceAccounts, facts),
  principals: (match, facts) => anyText(match.principals, facts.principal),
  notPrincipals: (match, facts) => !anyText(match.notPrincipals, facts.principal),
  sourceIps: (match, facts) => anyBlock(match.sourceIps, facts.sourceIp),
  notSourceIps: (match, facts) => !anyBlock(match.notSourceIps, facts.sourceIp),
  destinationIps: (match, facts) => anyBlock(match.destinationIps, facts.destinationIp),
  notDestinationIps: (match, facts) => !anyBlock(match.notDestinationIps, facts.destinationIp),
  destinationPorts: (match, facts) => match.destinationPorts?.includes(facts.destinationPort) ?? false,
  notDestinationPorts: (match, facts) => !match.notDestinationPorts?.includes(facts.destinationPort),
};

/** The order in which fields are looked at, and thus which failure an explanation names. */
const FIELDS = Object.keys(HOLDS) as readonly PolicyField[];

function anyText(matches: readonly StringMatch[] | undefined, text: string): boolean {
  return text !== '' && (matches?.some((match) => textMatches(match, text)) ?? false);
}

export function textMatches(match: StringMatch, text: string): boolean {
  switch (match.kind) {
    case 'exact':
      return text === match.text;
    case 'prefix':
      return text.startsWith(match.text);
    case 'suffix':
      return text.endsWith(match.text);
    case 'presence':
      return text !== '';
    default:
      return match satisfies never;
  }
}

function anyAccount(matches: readonly ServiceAccountMatch[] | undefined, facts: Facts): boolean {
  if (facts.serviceAccount === '') return false;
  return (
    matches?.some(
      (match) => match.namespace === facts.namespace && match.serviceAccount === facts.serviceAccount,
    ) ?? false
  );
}

function anyBlock(blocks: readonly Cidr[] | undefined, ip: Uint8Array | undefined): boolean {
  return ip !== undefined && (blocks?.some((block) => cidrContainsBytes(block, ip)) ?? false);
}
