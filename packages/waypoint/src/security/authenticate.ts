/**
 * RequestAuthentication: whose token a request brings, if it brings one.
 *
 * No token is no problem: who must have one is a matter of AuthorizationPolicy. Every token that is there must be one that
 * some rule believes, since nobody knows which of them the application reads; the first of them is who the request is from,
 * and what its rule wants of it goes into headers. Headers that rules fill are taken from what the client sent in any case,
 * so that nobody can write them himself. While one policy cannot be read nobody knows which headers those are, and every
 * request is refused.
 */
import type { Clock } from '@ambit/core/clock';
import type { HeaderFields } from '@ambit/http/header-fields';
import { headerOf, pathOnly, type RequestView, type TokenClaims } from '../decide/request-view.ts';
import type { JwtRule, RequestAuthentication } from '../resources/request-authentication.ts';
import { claimProblem, claimText, policyClaims, type TokenProblem, WRONG_ISSUER } from './check-claims.ts';
import { findTokens, type ParsedToken, parseToken } from './find-tokens.ts';
import type { KeySets } from './jwks.ts';
import {
  MAX_REALM_LENGTH,
  MAX_DIFFERENT_TOKENS,
  MAX_VERIFIED_LENGTH,
  MAX_VERIFIED_TOKENS,
} from './limits.ts';
import type { KeySet } from './key-set.ts';

/** Fields to remove from the request, and then to set. */
export interface FieldChanges {
  readonly remove: readonly string[];
  readonly set: HeaderFields;
}

export type Authentication =
  | { readonly kind: 'ok'; readonly token: TokenClaims | undefined; readonly changes: FieldChanges }
  | {
      readonly kind: 'refuse';
      readonly status: number;
      readonly reason: string;
      readonly fields: HeaderFields;
    };

interface Believed {
  readonly rule: JwtRule;
  readonly token: ParsedToken;
}

interface Verified {
  readonly token: ParsedToken;
  readonly keys: KeySet;
}

/** A token that a rule might believe. */
interface Candidate {
  readonly rule: JwtRule;
  readonly text: string;
}

const UNREADABLE: TokenProblem = { reason: 'Jwt cannot be verified: the policy cannot be read', status: 401 };

const TOO_MANY: TokenProblem = { reason: 'Jwt is one of too many', status: 401 };

export class Authenticator {
  readonly #keySets: KeySets;
  readonly #clock: Clock;
  /** By token: the keys that verified it, and what it says. The last used is last. */
  readonly #verified = new Map<string, Verified>();
  /** Of their texts, in characters. */
  #verifiedLength = 0;

  constructor(keySets: KeySets, clock: Clock) {
    this.#keySets = keySets;
    this.#clock = clock;
  }

  /** At once where the token is known, or there is none. Never rejects. */
  authenticate(
    policies: readonly RequestAuthentication[],
    request: RequestView,
  ): Authentication | Promise<Authentication> {
    const rules = policies.flatMap((policy) => policy.rules);
    const strip = rules.flatMap(({ payloadHeader, claimHeaders }) => [
      ...(payloadHeader === '' ? [] : [payloadHeader]),
      ...claimHeaders.map(({ header }) => header),
    ]);
    const nobody: Authentication = { kind: 'ok', token: undefined, changes: { remove: strip, set: [] } };
    if (isPreflight(request)) return nobody;
    const isBroken = policies.some(({ unreadable }) => unreadable !== undefined);
    if (isBroken) return refusal(UNREADABLE, request);
    const candidates = rules.flatMap((rule) => findTokens(rule, request).map((text) => ({ rule, text })));
    const tokens = [...new Set(candidates.map(({ text }) => text))];
    if (tokens.length === 0) return nobody;
    if (tokens.length > MAX_DIFFERENT_TOKENS) return refusal(TOO_MANY, request);
    const conclude = (outcome: Believed | TokenProblem) =>
      isBelieved(outcome) ? accepted(outcome, request, strip) : refusal(outcome, request);
    const outcome = this.#believeAll(
      tokens.map((token) => candidates.filter(({ text }) => text === token)),
      undefined,
    );
    return outcome instanceof Promise ? outcome.then(conclude) : conclude(outcome);
  }

  /** One group of candidates for each token; waits only where keys have to be fetched or a signature looked at. */
  #believeAll(
    groups: readonly (readonly Candidate[])[],
    first: Believed | undefined,
  ): Believed | TokenProblem | Promise<Believed | TokenProblem> {
    const [group, ...rest] = groups;
    if (group === undefined) return first ?? UNREADABLE;
    const goOn = (outcome: Believed | TokenProblem) =>
      isBelieved(outcome) ? this.#believeAll(rest, first ?? outcome) : outcome;
    const outcome = this.#try(group, 0, undefined);
    return outcome instanceof Promise ? outcome.then(goOn) : goOn(outcome);
  }

  /** The candidates from `at` on, in turn, until one is believed. */
  #try(
    candidates: readonly Candidate[],
    at: number,
    problem: TokenProblem | undefined,
  ): Believed | TokenProblem | Promise<Believed | TokenProblem> {
    let worst = problem;
    for (let i = at; i < candidates.length; i++) {
      const candidate = candidates[i];
      if (candidate === undefined) break;
      const outcome = this.#believe(candidate);
      if (outcome instanceof Promise) {
        return outcome.then((settled) =>
          isBelieved(settled) ? settled : this.#try(candidates, i + 1, worse(worst, settled)),
        );
      }
      if (isBelieved(outcome)) return outcome;
      worst = worse(worst, outcome);
    }
    return worst ?? UNREADABLE;
  }

  #believe({ rule, text }: Candidate): Believed | TokenProblem | Promise<Believed | TokenProblem> {
    const token = this.#verified.get(text)?.token ?? parseToken(text);
    if (typeof token === 'string') return { reason: token, status: 401 };
    const problem = claimProblem(rule, token, this.#clock.now() / 1_000);
    if (problem) return problem;
    const found = this.#keySets.keysFor(rule.keys, token);
    if (found instanceof Promise) {
      return found.then((settled) =>
        'problem' in settled
          ? { reason: settled.problem, status: 401 }
          : this.#verify(rule, token, settled.keys),
      );
    }
    return 'problem' in found
      ? { reason: found.problem, status: 401 }
      : this.#verify(rule, token, found.keys);
  }

  #verify(rule: JwtRule, token: ParsedToken, keys: KeySet): Believed | Promise<Believed | TokenProblem> {
    if (this.#verified.get(token.text)?.keys === keys) {
      this.#remember(token, keys);
      return { rule, token };
    }
    return keys.verifies(token).then((isGood): Believed | TokenProblem => {
      if (!isGood) return { reason: 'Jwt verification fails', status: 401 };
      this.#remember(token, keys);
      return { rule, token };
    });
  }

  #remember(token: ParsedToken, keys: KeySet): void {
    const { text } = token;
    if (!this.#verified.delete(text)) this.#verifiedLength += text.length;
    this.#verified.set(text, { token, keys });
    for (const oldest of this.#verified.keys()) {
      if (this.#verified.size <= MAX_VERIFIED_TOKENS && this.#verifiedLength <= MAX_VERIFIED_LENGTH) return;
      this.#verified.delete(oldest);
      this.#verifiedLength -= oldest.length;
    }
  }
}

function isBelieved(outcome: Believed | TokenProblem): outcome is Believed {
  return 'token' in outcome;
}

/** That a token is another issuer's says less than anything that a rule for its own issuer finds. */
function worse(known: TokenProblem | undefined, other: TokenProblem): TokenProblem {
  return known === undefined || known === WRONG_ISSUER ? other : known;
}

/** Browsers send no token with it. */
function isPreflight(request: RequestView): boolean {
  return (
    request.method === 'OPTIONS' &&
    headerOf(request, 'origin') !== undefined &&
    headerOf(request, 'access-control-request-method') !== undefined
  );
}

function accepted({ rule, token }: Believed, request: RequestView, strip: readonly string[]): Authentication {
  const { claims, payload, text } = token;
  const set = [
    ...(rule.payloadHeader === '' ? [] : [rule.payloadHeader, payload]),
    ...rule.claimHeaders.flatMap(({ header, claim }) => {
      const value = claimText(claims, claim);
      return value === undefined ? [] : [header, value];
    }),
  ];
  const { iss, sub } = claims;
  const principal = typeof iss === 'string' && typeof sub === 'string' ? `${iss}/${sub}` : '';
  return {
    kind: 'ok',
    token: { principal, claims: policyClaims(rule, claims) },
    changes: { remove: [...strip, ...(rule.forward ? [] : headersWith(text, rule, request))], set },
  };
}

/** The headers that brought the token. In a query or a cookie it stays, as in Envoy. */
function headersWith(text: string, rule: JwtRule, request: RequestView): readonly string[] {
  return rule.locations.flatMap((location) =>
    location.kind === 'header' && findTokens({ locations: [location] }, request).includes(text)
      ? [location.name]
      : [],
  );
}

/** As Envoy answers, the address of the request included; its query is left out, since that may hold the token. */
function refusal({ reason, status }: TokenProblem, { scheme, authority, path }: RequestView): Authentication {
  const address = `${scheme}://${authority}${pathOnly(path)}`
    .slice(0, MAX_REALM_LENGTH)
    .replace(/["\\]/g, '');
  const challenge = `Bearer realm="${address}", error="invalid_token"`;
  return { kind: 'refuse', status, reason, fields: ['www-authenticate', challenge] };
}
