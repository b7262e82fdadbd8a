/** Policies as the control plane sends them (istio.security): the messages, their enumerations and their bytes. */
import { decodeBounded, encodeWhole } from './codec.ts';
import {
  Action as ActionNumbers,
  Authorization as AuthorizationMessage,
  Match as MatchMessage,
  Scope as ScopeNumbers,
} from './gen/istio/authorization.ts';
import { MAX_RESOURCE_BYTES } from './limits.ts';

export type {
  Address,
  Authorization,
  Clause,
  Extension,
  Match,
  Rule,
  ServiceAccountMatch,
  StringMatch,
} from './gen/istio/authorization.ts';

export const AUTHORIZATION_TYPE_URL = 'type.googleapis.com/istio.security.Authorization';

export const Action = ActionNumbers;
export type Action = ActionNumbers;
export const Scope = ScopeNumbers;
export type Scope = ScopeNumbers;

/** @throws {@link ProtobufError} */
export function decodeAuthorization(bytes: Uint8Array): AuthorizationMessage {
  return decodeBounded(AuthorizationMessage, 'istio.security.Authorization', MAX_RESOURCE_BYTES, bytes);
}

export function encodeAuthorization(authorization: AuthorizationMessage): Uint8Array {
  return encodeWhole(AuthorizationMessage, authorization);
}

/** A policy with these fields, and every other one empty. */
export function createAuthorization(fields: Partial<AuthorizationMessage>): AuthorizationMessage {
  return { ...AuthorizationMessage.create(), ...fields };
}

/** A match with these attributes, and every other one empty. */
export function createMatch(fields: Partial<MatchMessage>): MatchMessage {
  return { ...MatchMessage.create(), ...fields };
}
