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
import {
  headerOf,
  pathOnly,
  type RequestView,
  type TokenClaims,
  type TokenPlaces,
} from '../decide/request-view.ts';
import type { JwtRule, RequestAuthentication } from '../resources/request-authentication.ts';
import { claimProblem, claimText, policyClaims, type TokenProblem, WRONG_ISSUER } from './check-claims.ts';
import { findTokens, type ParsedToken, parseToken } from './find-tokens.ts';
import { RecentlyUsed } from './recently-used.ts';
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
  /** Names of which nobody else has the say from then on. */
  readonly vouched: readonly string[];
}

export type Authentication =
  | {
      readonly kind: 'ok';
      readonly token: TokenClaims | undefined;
      readonly changes: FieldChanges;
      /** Where tokens were looked for, whether there was one or not; absent: nowhere. */
      readonly places?: TokenPlaces;
    }
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

/** A token, and the rules that might believe it. */
interface Candidate {
  readonly text: string;
  readonly rules: JwtRule[];
}

/** What is asked of every request that the same policies apply to. */
interface Asked {
  readonly rules: readonly JwtRule[];
  /** Headers that rules fill. */
  readonly strip: readonly string[];
  readonly places: TokenPlaces;
  readonly isBroken: boolean;
  readonly nobody: Authentication;
}

const UNREADABLE: TokenProblem = { reason: 'Jwt cannot be verified: the policy cannot be read', status: 401 };

const TOO_MANY: TokenProblem = { reason: 'Jwt is one of too many', status: 401 };

export class Authenticator {
  readonly #keySets: KeySets;
  readonly #clock: Clock;
  readonly #asked = new WeakMap<readonly RequestAuthentication[], Asked>();
  /** By token: the keys that verified it, and what it says. */
  readonly #verified = new RecentlyUsed<Verified>();
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
    const asked = this.#askedOf(policies);
    const { rules, isBroken, nobody } = asked;
    if (isPreflight(request)) return nobody;
    if (isBroken) return refusal(UNREADABLE, request);
    const candidates = candidatesOf(rules, request);
    if (candidates.length === 0) return nobody;
    if (candidates.length > MAX_DIFFERENT_TOKENS) return refusal(TOO_MANY, request);
    const outcome = this.#believeAll(candidates, 0, undefined);
    return outcome instanceof Promise
      ? outcome.then((settled) => conclude(settled, request, asked))
      : conclude(outcome, request, asked);
  }

  #askedOf(policies: readonly RequestAuthentication[]): Asked {
    const known = this.#asked.get(policies);
    if (known) return known;
    const asked = askedOf(policies);
    this.#asked.set(policies, asked);
    return asked;
  }

  /** Those from `at` on, each of which must be believed; waits only where keys have to be fetched or a signature looked at. */
  #believeAll(
    candidates: readonly Candidate[],
    at: number,
    first: Believed | undefined,
  ): Believed | TokenProblem | Promise<Believed | TokenProblem> {
    let believed = first;
    for (let i = at; i < candidates.length; i++) {
      const candidate = candidates[i];
      if (candidate === undefined) break;
      const outcome = this.#try(candidate, 0, undefined);
      if (outcome instanceof Promise) {
        const before = believed;
        return outcome.then((settled) =>
          isBelieved(settled) ? this.#believeAll(candidates, i + 1, before ?? settled) : settled,
        );
      }
      if (!isBelieved(outcome)) return outcome;
      believed ??= outcome;
    }
    return believed ?? UNREADABLE;
  }

  /** Its rules from `at` on, in turn, until one believes it. */
  #try(
    candidate: Candidate,
    at: number,
    problem: TokenProblem | undefined,
  ): Believed | TokenProblem | Promise<Believed | TokenProblem> {
    const { text, rules } = candidate;
    let worst = problem;
    for (let i = at; i < rules.length; i++) {
      const rule = rules[i];
      if (rule === undefined) break;
      const outcome = this.#believe(rule, text);
      if (outcome instanceof Promise) {
        const before = worst;
        return outcome.then((settled) =>
          isBelieved(settled) ? settled : this.#try(candidate, i + 1, worse(before, settled)),
        );
      }
      if (isBelieved(outcome)) return outcome;
      worst = worse(worst, outcome);
    }
    return worst ?? UNREADABLE;
  }

  #believe(rule: JwtRule, text: string): Believed | TokenProblem | Promise<Believed | TokenProblem> {
    const known = this.#verified.get(text);
    const token = known?.token ?? parseToken(text);
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
    if ('problem' in found) return { reason: found.problem, status: 401 };
    return known?.keys === found.keys ? { rule, token } : this.#verify(rule, token, found.keys);
  }

  async #verify(rule: JwtRule, token: ParsedToken, keys: KeySet): Promise<Believed | TokenProblem> {
    if (this.#verified.get(token.text)?.keys !== keys) {
      if (!(await keys.verifies(token))) return { reason: 'Jwt verification fails', status: 401 };
      this.#remember(token, keys);
    }
    return { rule, token };
  }

  #remember(token: ParsedToken, keys: KeySet): void {
    const { text } = token;
    if (!this.#verified.has(text)) this.#verifiedLength += text.length;
    this.#verified.set(text, { token, keys });
    while (this.#verified.size > MAX_VERIFIED_TOKENS || this.#verifiedLength > MAX_VERIFIED_LENGTH)
      this.#verifiedLength -= (this.#verified.dropOldest() ?? '').length;
  }
}

function askedOf(policies: readonly RequestAuthentication[]): Asked {
  const rules = policies.flatMap((policy) => policy.rules);
  const strip = rules.flatMap(({ payloadHeader, claimHeaders }) => [
    ...(payloadHeader === '' ? [] : [payloadHeader]),
    ...claimHeaders.map(({ header }) => header),
  ]);
  const places = placesOf(rules);
  return {
    rules,
    strip,
    places,
    isBroken: policies.some(({ unreadable }) => unreadable !== undefined),
    nobody: { kind: 'ok', token: undefined, changes: { remove: strip, set: [], vouched: strip }, places },
  };
}

function placesOf(rules: readonly JwtRule[]): TokenPlaces {
  const locations = rules.flatMap((rule) => rule.locations);
  const fields = locations.flatMap(({ kind, name }) =>
    kind === 'header' ? [name] : kind === 'cookie' ? ['cookie'] : [],
  );
  return {
    fields: [...new Set(fields)],
    isQuery: locations.some(({ kind }) => kind === 'query-parameter'),
  };
}

/** By token, in the order in which rules and their places have them. */
function candidatesOf(rules: readonly JwtRule[], request: RequestView): readonly Candidate[] {
  const candidates: Candidate[] = [];
  for (const rule of rules) {
    for (const text of findTokens(rule, request)) {
      const known = candidates.find((candidate) => candidate.text === text);
      if (known) known.rules.push(rule);
      else candidates.push({ text, rules: [rule] });
    }
  }
  return candidates;
}

function conclude(outcome: Believed | TokenProblem, request: RequestView, asked: Asked): Authentication {
  return isBelieved(outcome) ? accepted(outcome, request, asked) : refusal(outcome, request);
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

function accepted({ rule, token }: Believed, request: RequestView, { strip, places }: Asked): Authentication {
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
    changes: {
      remove: [...strip, ...(rule.forward ? [] : headersWith(text, rule, request))],
      set,
      vouched: strip,
    },
    places,
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
