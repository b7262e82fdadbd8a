/**
 * The hash that decides which endpoint a request goes to, from a header, a cookie, a query parameter or the client's address.
 *
 * A request without the header or the parameter may go anywhere. One without the cookie gets one, if the policy says how
 * long it lives, and goes where the cookie will lead it from then on.
 */
import type { Random } from '@ambit/core/clock';
import type { ConsistentHash } from '../../resources/destination-policy.ts';
import {
  type ConnectionView,
  cookieOf,
  headerOf,
  queryParameterOf,
  type RequestView,
} from '../request-view.ts';
import { hashText } from './hash-text.ts';

export interface HashOf {
  /** `undefined`: any endpoint will do. */
  readonly hash: number | undefined;
  /** A field `set-cookie` for the response; `undefined`: none. */
  readonly setCookie: string | undefined;
}

const ANY: HashOf = { hash: undefined, setCookie: undefined };

export function hashOf(
  { key }: ConsistentHash,
  request: RequestView,
  connection: ConnectionView,
  random: Random,
): HashOf {
  switch (key.kind) {
    case 'header':
      return ofText(headerOf(request, key.name));
    case 'query-parameter':
      return ofText(queryParameterOf(request.path, key.name));
    case 'source-ip':
      return ofText(connection.sourceIp);
    case 'cookie': {
      const value = cookieOf(request, key.name);
      if (value !== undefined && value !== '') return ofText(value);
      if (key.ttlMs === undefined) return ANY;
      const made = randomText(random);
      return { hash: hashText(made), setCookie: cookieField(key.name, made, key.path, key.ttlMs) };
    }
    default:
      return key satisfies never;
  }
}

function ofText(text: string | undefined): HashOf {
  return text === undefined ? ANY : { hash: hashText(text), setCookie: undefined };
}

/** 64 bits: a name for a client, not a secret. */
function randomText(random: Random): string {
  const half = () =>
    Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0');
  return half() + half();
}

function cookieField(name: string, value: string, path: string, ttlMs: number): string {
  const attributes = [
    ...(ttlMs > 0 ? [`Max-Age=${Math.ceil(ttlMs / 1_000)}`] : []),
    ...(path === '' ? [] : [`Path=${path}`]),
    'HttpOnly',
  ];
  return [`${name}="${value}"`, ...attributes].join('; ');
}
