/**
 * What a service that authorizes is asked about a request, and what becomes of the request then: for both protocols.
 *
 * The parts that translate are pure and stand in external-http.ts and external-grpc.ts; asking stands in ask-external.ts.
 */
import { isToken } from '@ambit/core/http-text';
import { type HeaderFields, isFieldValue } from '@ambit/http/header-fields';
import type { AuthorizationSubject } from '../decide/authorization-facts.ts';
import { isForOthers } from '../resources/protected-fields.ts';
import type { FieldChanges } from './authenticate.ts';

/** A body, as far as it was kept for the question. */
export interface KeptBody {
  readonly bytes: Uint8Array;
  /** There is no more of it. */
  readonly isWhole: boolean;
}

export interface ExternalQuestion {
  readonly subject: AuthorizationSubject;
  /** `undefined`: nobody wants it. */
  readonly body: KeptBody | undefined;
  /** `spiffe://…` of this waypoint, which the service sees as the destination. */
  readonly ownIdentity: string;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

/** Parameters to set, in place of all of their name, and then to remove. */
export interface QueryChanges {
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly remove: readonly string[];
}

/** What a service tells of a request besides, for logs. */
export type AuthorizerMetadata = Readonly<Record<string, unknown>>;

export type ExternalVerdict =
  | {
      readonly kind: 'allow';
      readonly changes: FieldChanges;
      /** Of the request's query; `undefined`: none. */
      readonly query: QueryChanges | undefined;
      /** For the client, with whatever is answered. */
      readonly responseFields: HeaderFields;
      readonly metadata?: AuthorizerMetadata | undefined;
    }
  | {
      readonly kind: 'deny';
      readonly status: number;
      readonly fields: HeaderFields;
      readonly body: Uint8Array;
      /** Nobody answered, or nobody could be asked. */
      readonly failed: boolean;
      readonly metadata?: AuthorizerMetadata | undefined;
    }
  /** Nobody was asked, as its body is longer than may be shown. */
  | { readonly kind: 'too-large' };

export const NO_CHANGES: FieldChanges = { remove: [], set: [], vouched: [] };

/** Of what a service removes and sets it has the say. */
export function externalChanges(remove: readonly string[], set: HeaderFields): FieldChanges {
  return { remove, set, vouched: [...remove, ...set.filter((_, i) => i % 2 === 0)] };
}

/** A name that HTTP takes, in lower case, and a value that it takes; `undefined` otherwise. */
export function fieldOf(name: string, value: string): readonly [name: string, value: string] | undefined {
  const lower = name.toLowerCase();
  const isField = isToken(lower) && isFieldValue(value);
  return isField && isForOthers(lower) ? [lower, value] : undefined;
}
