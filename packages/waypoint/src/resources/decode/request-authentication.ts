/** A RequestAuthentication from its message. */
import type {
  JwtRule as JwtRuleMessage,
  RequestAuthentication as RequestAuthenticationMessage,
} from '@ambit/api/waypoint';
import { atMost, nameOf, Problem } from '@ambit/model/decode/problem';
import { isForOthers } from '../protected-fields.ts';
import { MAX_PARTS } from '../limits.ts';
import type { JwtRule, KeySource, RequestAuthentication, TokenLocation } from '../request-authentication.ts';
import { durationOf, headerNameOf, originOf, said, requiredTargetsOf, textOf } from './read.ts';

/** Istio's. */
const DEFAULT_TIMEOUT_MS = 5_000;

/** @throws {@link Problem} */
export function requestAuthenticationOf(
  key: string,
  message: RequestAuthenticationMessage,
): RequestAuthentication {
  return {
    key,
    origin: originOf(message.origin),
    targets: requiredTargetsOf(message.targets),
    rules: atMost(message.rules, MAX_PARTS, 'rules').map(ruleOf),
    unreadable: said(message.unreadable),
  };
}

function ruleOf(message: JwtRuleMessage): JwtRule {
  const issuer = nameOf(message.issuer, 'issuer');
  if (issuer === '') throw new Problem('issuer: missing');
  return {
    issuer,
    audiences: atMost(message.audiences, MAX_PARTS, 'audiences').map((name) => nameOf(name, 'audiences')),
    keys: keysOf(message, issuer),
    locations: locationsOf(message),
    forward: message.forwardOriginalToken,
    payloadHeader:
      message.outputPayloadToHeader === ''
        ? ''
        : filledHeaderOf(message.outputPayloadToHeader, 'outputPayloadToHeader'),
    claimHeaders: atMost(message.outputClaimToHeaders, MAX_PARTS, 'outputClaimToHeaders').map(
      ({ header, claim }) => ({
        header: filledHeaderOf(header, 'outputClaimToHeaders'),
        claim: nameOf(claim, 'outputClaimToHeaders').split('.'),
      }),
    ),
    spaceDelimitedClaims: atMost(message.spaceDelimitedClaims, MAX_PARTS, 'spaceDelimitedClaims').map(
      (name) => nameOf(name, 'spaceDelimitedClaims'),
    ),
  };
}

/** A header that a token's issuer may fill: none that says where a message goes, or where it ends. */
function filledHeaderOf(name: string, field: string): string {
  const lower = headerNameOf(name, field);
  if (!isForOthers(lower)) throw new Problem(`${field}: ${name} is not for claims`);
  return lower;
}

function keysOf(message: JwtRuleMessage, issuer: string): KeySource {
  const timeoutMs = durationOf(message.timeoutMs, 'timeout') ?? DEFAULT_TIMEOUT_MS;
  if (message.jwks !== '') return { kind: 'inline', jwks: textOf(message.jwks, 'jwks') };
  if (message.jwksUri === '') return { kind: 'discovery', issuer, timeoutMs };
  return { kind: 'uri', uri: urlOf(message.jwksUri), timeoutMs };
}

function urlOf(text: string): string {
  const url = URL.parse(nameOf(text, 'jwksUri'));
  if (!url || !['http:', 'https:'].includes(url.protocol))
    throw new Problem(`jwksUri: ${text} is no address`);
  return url.href;
}

/** Istio's, where the user says nothing. */
const DEFAULT_LOCATIONS: readonly TokenLocation[] = [
  { kind: 'header', name: 'authorization', prefix: 'Bearer ' },
  { kind: 'query-parameter', name: 'access_token' },
];

function locationsOf(message: JwtRuleMessage): readonly TokenLocation[] {
  const locations: readonly TokenLocation[] = [
    ...atMost(message.fromHeaders, MAX_PARTS, 'fromHeaders').map(
      ({ name, prefix }): TokenLocation => ({
        kind: 'header',
        name: headerNameOf(name, 'fromHeaders'),
        prefix: nameOf(prefix, 'fromHeaders'),
      }),
    ),
    ...atMost(message.fromParams, MAX_PARTS, 'fromParams').map(
      (name): TokenLocation => ({ kind: 'query-parameter', name: nameOf(name, 'fromParams') }),
    ),
    ...atMost(message.fromCookies, MAX_PARTS, 'fromCookies').map(
      (name): TokenLocation => ({ kind: 'cookie', name: nameOf(name, 'fromCookies') }),
    ),
  ];
  return locations.length > 0 ? locations : DEFAULT_LOCATIONS;
}
