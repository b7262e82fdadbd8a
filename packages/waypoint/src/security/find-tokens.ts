/** Where tokens are in a request, and the parts of one. Nothing is believed here. */
import type { JwtRule } from '../resources/request-authentication.ts';
import { cookieOf, type RequestView } from '../decide/request-view.ts';
import { MAX_TOKEN_LENGTH, MAX_TOKENS } from './limits.ts';

/** The tokens in the places that a rule names, in the order of the places. */
export function findTokens(
  { locations }: Pick<JwtRule, 'locations'>,
  request: RequestView,
): readonly string[] {
  const found: string[] = [];
  for (const location of locations) {
    if (location.kind === 'header') addHeaderTokens(found, request, location.name, location.prefix);
    else if (location.kind === 'cookie') add(found, cookieOf(request, location.name) ?? '');
    else addQueryTokens(found, request.path, location.name);
  }
  return found;
}

function add(found: string[], token: string): void {
  if (token !== '' && found.length < MAX_TOKENS && !found.includes(token)) found.push(token);
}

/** All of them, however their names are spelled: nobody knows which one the application reads. */
function addQueryTokens(found: string[], path: string, name: string): void {
  const question = path.indexOf('?');
  if (question < 0) return;
  for (const value of new URLSearchParams(path.slice(question + 1)).getAll(name)) add(found, value);
}

/** Of each field of the name: what follows the prefix. One without it holds no token. */
function addHeaderTokens(found: string[], { fields }: RequestView, name: string, prefix: string): void {
  for (let i = 0; i < fields.length; i += 2) {
    const value = fields[i + 1] ?? '';
    if (fields[i] === name && value.startsWith(prefix)) add(found, value.slice(prefix.length).trim());
  }
}

/** A token taken apart, its signature not looked at. */
export interface ParsedToken {
  readonly text: string;
  readonly algorithm: string;
  /** Empty: it does not say. */
  readonly keyId: string;
  readonly claims: Readonly<Record<string, unknown>>;
  /** As it stands in the token: base64url of the claims. */
  readonly payload: string;
}

/** @returns Envoy's words for what is wrong with it. */
export function parseToken(text: string): ParsedToken | string {
  const parts = text.split('.');
  const [header = '', payload = '', signature = ''] = parts;
  if (parts.length !== 3 || text.length > MAX_TOKEN_LENGTH) {
    return 'Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections';
  }
  if (!isBase64Url(header)) return 'Jwt header is an invalid Base64url encoded';
  if (!isBase64Url(payload)) return 'Jwt payload is an invalid Base64url encoded';
  if (!isBase64Url(signature)) return 'Jwt signature is an invalid Base64url encoded';
  const fields = objectOf(header);
  if (fields === undefined) return 'Jwt header is an invalid JSON';
  const { alg, kid = '', crit } = fields;
  if (typeof alg !== 'string') return 'Jwt header [alg] field is required and must be a string';
  if (typeof kid !== 'string') return 'Jwt header [kid] field is not a string';
  if (crit !== undefined) return 'Jwt header [crit] field is not supported';
  const claims = objectOf(payload);
  if (claims === undefined) return 'Jwt payload is an invalid JSON';
  for (const claim of ['iss', 'sub']) {
    if (claims[claim] !== undefined && typeof claims[claim] !== 'string') {
      return `Jwt payload [${claim}] field is not a string`;
    }
  }
  for (const claim of ['iat', 'nbf', 'exp']) {
    const time = claims[claim];
    if (time !== undefined && (typeof time !== 'number' || time < 0)) {
      return `Jwt payload [${claim}] field is not a positive integer`;
    }
  }
  return { text, algorithm: alg, keyId: kid, claims, payload };
}

function isBase64Url(text: string): boolean {
  return /^[A-Za-z0-9_-]+$/.test(text) && text.length % 4 !== 1;
}

function objectOf(base64Url: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(base64Url, 'base64url'));
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}
