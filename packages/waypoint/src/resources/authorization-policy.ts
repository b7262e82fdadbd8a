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
import type { ValueMatch } from './value-match.ts';

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
  /** The values as the user wrote them. */
  readonly written: readonly string[];
  /** None of the values may match, instead of one. */
  readonly negated: boolean;
  readonly test: AttributeTest;
}

/** What is looked at, and what it must be. */
export type AttributeTest =
  | { readonly attribute: TextAttribute; readonly values: ValueMatch }
  /** `anySpelling`: a value also matches the host with a port, or with a dot at its end, that it does not name. */
  | { readonly attribute: 'host'; readonly values: ValueMatch; readonly anySpelling: boolean }
  /** The header's name is in lower case; or it is a pseudo-header such as `:method`. */
  | { readonly attribute: 'request-header'; readonly name: string; readonly values: ValueMatch }
  /** Into nested objects. */
  | { readonly attribute: 'claim'; readonly path: readonly string[]; readonly values: ValueMatch }
  | {
      readonly attribute: 'path';
      readonly values: ValueMatch;
      readonly templates: readonly PathTemplate[];
    }
  | { readonly attribute: 'source-ip' | 'remote-ip' | 'destination-ip'; readonly blocks: readonly Cidr[] }
  | { readonly attribute: 'destination-port'; readonly ports: ReadonlySet<number> };

/** Attributes that are one text, several, or nothing. */
export type TextAttribute =
  /** Without `spiffe://`. */
  | 'principal'
  | 'namespace'
  | 'trust-domain'
  /** `namespace/name`. */
  | 'service-account'
  /** Of a token: `issuer/subject`. */
  | 'request-principal'
  | 'audience'
  | 'presenter'
  | 'method'
  | 'sni';

/** Attributes of a parsed request: on a connection that is no HTTP they are neither there nor missing. */
export const HTTP_ATTRIBUTES: ReadonlySet<AttributeTest['attribute']> = new Set([
  'request-principal',
  'audience',
  'presenter',
  'method',
  'host',
  'request-header',
  'claim',
  'path',
]);
