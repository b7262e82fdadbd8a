/**
 * AuthorizationPolicy, with its conditions compiled.
 *
 * A condition that cannot be read takes its policy with it (`unreadable`), which then denies everything that it is
 * attached to: a rule that lost a condition would let more through, or less, than its author meant.
 */
import type { Cidr } from '@ambit/core/ip';
import type { PathTemplate } from '../decide/path-template.ts';
import type { Origin } from './origin.ts';
import type { PolicyTarget } from './policy-target.ts';

export type AuthorizationAction = 'ALLOW' | 'DENY' | 'AUDIT' | 'CUSTOM';

export interface AuthorizationPolicy {
  /** `namespace/name`. */
  readonly key: string;
  readonly origin: Origin;
  readonly targets: readonly PolicyTarget[];
  readonly action: AuthorizationAction;
  /** Who decides, for CUSTOM; empty otherwise. */
  readonly provider: string;
  /** Any of them; none: the policy never matches. */
  readonly rules: readonly AuthorizationRule[];
  /** Its verdict is told and not enforced. */
  readonly dryRun: boolean;
  readonly unreadable: string | undefined;
}

/** All three parts; one without alternatives holds. */
export interface AuthorizationRule {
  /** Any of them; of each, all conditions. */
  readonly from: readonly (readonly AuthorizationCondition[])[];
  /** Any of them; of each, all conditions. */
  readonly to: readonly (readonly AuthorizationCondition[])[];
  /** All of them. */
  readonly when: readonly AuthorizationCondition[];
}

/** One attribute that must have one of some values, or none of them. */
export interface AuthorizationCondition {
  /** As the user wrote it, such as `notPaths` or `request.headers[x-id]`: what explanations and logs name. */
  readonly field: string;
  /** None of the values may match, instead of one. */
  readonly negated: boolean;
  /** Needs a parsed request: on a TCP connection it can be neither true nor false. */
  readonly http: boolean;
  readonly test: AttributeTest;
}

/** What is looked at, and what it must be. The values are alternatives. */
export type AttributeTest =
  | { readonly attribute: TextAttribute; readonly values: readonly ValueMatch[] }
  | { readonly attribute: 'request-header'; readonly name: string; readonly values: readonly ValueMatch[] }
  | { readonly attribute: 'claim'; readonly path: readonly string[]; readonly values: readonly ValueMatch[] }
  | { readonly attribute: 'path'; readonly values: readonly (ValueMatch | PathTemplateMatch)[] }
  | { readonly attribute: 'source-ip' | 'remote-ip' | 'destination-ip'; readonly blocks: readonly Cidr[] }
  | { readonly attribute: 'destination-port'; readonly ports: readonly number[] };

/** Attributes that are one text, or nothing. */
export type TextAttribute =
  | 'principal'
  | 'namespace'
  | 'trust-domain'
  /** `namespace/name`. */
  | 'service-account'
  | 'request-principal'
  | 'audience'
  | 'presenter'
  | 'host'
  | 'method'
  | 'sni';

export type ValueMatch =
  | { readonly kind: 'exact' | 'prefix' | 'suffix'; readonly text: string }
  /** Written `*`: any value but the empty one. */
  | { readonly kind: 'presence' };

export interface PathTemplateMatch {
  readonly kind: 'template';
  readonly template: PathTemplate;
}
