/**
 * An authorization policy, compiled: strings are split by kind, address blocks are bytes.
 *
 * Rules are alternatives, a rule's clauses must all hold, a clause's matches are alternatives, and all fields of a match
 * must hold. Three edges differ from what those words suggest, each on purpose (decide/match.ts): no rules never match,
 * no clauses or no matches always do, and a match without any field never does.
 */
import type { Cidr } from '@ambit/core/ip';

export type StringMatch =
  | { readonly kind: 'exact' | 'prefix' | 'suffix'; readonly text: string }
  | { readonly kind: 'presence' };

export interface ServiceAccountMatch {
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** Every field is a list of alternatives; an absent field says nothing. Empty lists do not occur. */
export interface PolicyMatch {
  readonly namespaces?: readonly StringMatch[];
  readonly notNamespaces?: readonly StringMatch[];
  readonly serviceAccounts?: readonly ServiceAccountMatch[];
  readonly notServiceAccounts?: readonly ServiceAccountMatch[];
  /** Compared with the identity without `spiffe://`. */
  readonly principals?: readonly StringMatch[];
  readonly notPrincipals?: readonly StringMatch[];
  readonly sourceIps?: readonly Cidr[];
  readonly notSourceIps?: readonly Cidr[];
  readonly destinationIps?: readonly Cidr[];
  readonly notDestinationIps?: readonly Cidr[];
  readonly destinationPorts?: readonly number[];
  readonly notDestinationPorts?: readonly number[];
}

export type PolicyField = keyof PolicyMatch;
export type Clause = readonly PolicyMatch[];
export type Rule = readonly Clause[];

export interface Policy {
  /** The name of its xDS resource: `namespace/name`. */
  readonly key: string;
  readonly name: string;
  readonly namespace: string;
  readonly scope: 'Global' | 'Namespace' | 'WorkloadSelector';
  readonly action: 'Allow' | 'Deny';
  readonly rules: readonly Rule[];
  /** Evaluated and reported, never enforced. */
  readonly dryRun: boolean;
}

/**
 * A policy that the control plane sent and this proxy cannot read. What it says is unknown, so whatever it binds is
 * treated as if the policy had not arrived. What it binds is what could be read of it, at worst everything: a
 * policy of the root namespace binds the whole mesh, and which namespace that is this proxy does not know.
 */
export type UnreadablePolicy = Pick<Policy, 'key' | 'namespace' | 'scope'>;

/** A match of the fields that list anything. */
export function withoutEmptyFields(lists: Required<PolicyMatch>): PolicyMatch {
  return Object.fromEntries(Object.entries(lists).filter(([, values]) => values.length > 0)) as PolicyMatch;
}
