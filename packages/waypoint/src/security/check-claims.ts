/** Whether a token's claims are those of a rule: issuer, times, audience. In Envoy's words, and in its order. */
import { isFieldValue, octetsOf } from '@ambit/http/header-fields';
import type { JwtRule } from '../resources/request-authentication.ts';
import type { ParsedToken } from './find-tokens.ts';
import { CLOCK_SKEW_S } from './limits.ts';

export interface TokenProblem {
  readonly reason: string;
  readonly status: 401 | 403;
}

export const WRONG_ISSUER: TokenProblem = { reason: 'Jwt issuer is not configured', status: 401 };

/** @param nowS - Seconds since 1970. @returns `undefined` when nothing is wrong. */
export function claimProblem(rule: JwtRule, { claims }: ParsedToken, nowS: number): TokenProblem | undefined {
  if (claims['iss'] !== rule.issuer) return WRONG_ISSUER;
  const time = timeProblem(claims, nowS);
  if (time !== undefined) return { reason: time, status: 401 };
  if (rule.audiences.length > 0 && !hasAudience(rule.audiences, claims['aud'])) {
    return { reason: 'Audiences in Jwt are not allowed', status: 403 };
  }
  return undefined;
}

/** A time that is not there does not matter. */
export function timeProblem(claims: Readonly<Record<string, unknown>>, nowS: number): string | undefined {
  const { nbf, exp } = claims;
  if (typeof nbf === 'number' && nowS + CLOCK_SKEW_S < nbf) return 'Jwt not yet valid';
  if (typeof exp === 'number' && nowS > exp + CLOCK_SKEW_S) return 'Jwt is expired';
  return undefined;
}

function hasAudience(wanted: readonly string[], aud: unknown): boolean {
  const audiences = (Array.isArray(aud) ? aud : [aud]).filter((one) => typeof one === 'string').map(bare);
  return wanted.some((one) => audiences.includes(bare(one)));
}

/** As Envoy compares them: without scheme, and without a slash at the end. */
function bare(audience: string): string {
  return audience.replace(/^https?:\/\//, '').replace(/\/$/, '');
}

/** Claims whose text is a list with spaces, besides those that a rule names. */
const SPACE_DELIMITED: readonly string[] = ['scope', 'permission'];

/** The claims as policies see them: lists that were written as one text are lists. */
export function policyClaims(
  { spaceDelimitedClaims }: JwtRule,
  claims: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return [...SPACE_DELIMITED, ...spaceDelimitedClaims].reduce(
    (found, name) => splitClaim(found, name.split('.')),
    claims,
  );
}

function splitClaim(
  claims: Readonly<Record<string, unknown>>,
  [name = '', ...rest]: readonly string[],
): Readonly<Record<string, unknown>> {
  if (!Object.hasOwn(claims, name)) return claims;
  const value = claims[name];
  if (rest.length === 0) {
    return typeof value === 'string' ? { ...claims, [name]: value.split(/\s+/).filter(Boolean) } : claims;
  }
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? { ...claims, [name]: splitClaim(value as Record<string, unknown>, rest) } : claims;
}

/** A claim as a header's value; `undefined`: it is not there, or of a kind that no header can hold. */
export function claimText(
  claims: Readonly<Record<string, unknown>>,
  path: readonly string[],
): string | undefined {
  // A name with dots in it, such as that of an extension, is found as it is.
  const whole = path.join('.');
  let value: unknown = Object.hasOwn(claims, whole) ? claims[whole] : claims;
  if (value === claims) {
    for (const name of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
      value = (value as Readonly<Record<string, unknown>>)[name];
    }
  }
  if (typeof value === 'boolean' || typeof value === 'number') return String(value);
  if (typeof value !== 'string') return undefined;
  const octets = octetsOf(value);
  return isFieldValue(octets) ? octets : undefined;
}
