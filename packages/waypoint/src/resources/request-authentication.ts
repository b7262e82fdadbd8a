/** RequestAuthentication: which tokens are believed, where they are found, and what becomes of them. */
import type { Origin } from './origin.ts';
import type { PolicyTarget } from './policy-target.ts';

export interface RequestAuthentication {
  /** `namespace/name`. */
  readonly key: string;
  readonly origin: Origin;
  readonly targets: readonly PolicyTarget[];
  readonly rules: readonly JwtRule[];
  /** Why it could not be read: every token is refused where it is attached. */
  readonly unreadable: string | undefined;
}

export interface JwtRule {
  readonly issuer: string;
  /** One of them must be among the token's; none: any audience will do. */
  readonly audiences: readonly string[];
  readonly keys: KeySource;
  /** Where tokens are looked for, all of them: headers, then query parameters, then cookies. */
  readonly locations: readonly TokenLocation[];
  /** The token is left on the request. */
  readonly forward: boolean;
  /** The payload goes into this header, base64url; empty: into none. */
  readonly payloadHeader: string;
  readonly claimHeaders: readonly ClaimHeader[];
  /** Claims besides `scope` and `permission` whose text is a list with spaces. */
  readonly spaceDelimitedClaims: readonly string[];
}

export type KeySource =
  /** A JSON Web Key Set, as text. */
  | { readonly kind: 'inline'; readonly jwks: string }
  | { readonly kind: 'uri'; readonly uri: string; readonly timeoutMs: number }
  /** OpenID discovery at the issuer. */
  | { readonly kind: 'discovery'; readonly issuer: string; readonly timeoutMs: number };

export type TokenLocation =
  /** The token is what follows `prefix`. Names are in lower case. */
  | { readonly kind: 'header'; readonly name: string; readonly prefix: string }
  | { readonly kind: 'query-parameter' | 'cookie'; readonly name: string };

export interface ClaimHeader {
  /** In lower case. */
  readonly header: string;
  /** Into nested objects. */
  readonly claim: readonly string[];
}
