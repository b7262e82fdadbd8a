/** The request that `ambit why` asks about, from its options; as a waypoint is asked. Pure. */
import { isToken } from '@ambit/core/http-text';
import type { Service } from '@ambit/kube/resources/core';
import { UsageError } from '../errors.ts';

export const PROTOCOLS = ['http', 'tcp', 'tls'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** What a waypoint reads. */
export interface RequestOptions {
  /** `undefined`: as the port of the destination declares. */
  readonly protocol: Protocol | undefined;
  readonly method: string;
  readonly path: string;
  /** Host of the request; `undefined`: as the destination is called. */
  readonly authority: string | undefined;
  /** `name: value` or `name=value`. */
  readonly headers: readonly string[];
  /** A token, or its claims as JSON. */
  readonly token: string | undefined;
  /** Whether any of this was said. */
  readonly isGiven: boolean;
}

const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*[:=](.*)$/s;

/** `undefined`: it is no request, and the waypoint carries the bytes as they are. */
export function requestText({ method, path }: RequestOptions, protocol: Protocol): string | undefined {
  return protocol === 'http' ? `${method} ${path}` : undefined;
}

const DECLARED: Readonly<Record<string, Protocol>> = {
  https: 'tls',
  mongo: 'tcp',
  mysql: 'tcp',
  redis: 'tcp',
  tcp: 'tcp',
  tls: 'tls',
};

/** What a port of a Service says is spoken there; a port that says nothing may well speak HTTP. */
export function declaredProtocol(service: Service | undefined, port: number): Protocol {
  const { appProtocol, name = '' } = service?.spec?.ports?.find((one) => one.port === port) ?? {};
  const word = (appProtocol ?? name.split('-')[0] ?? '').toLowerCase();
  return Object.hasOwn(DECLARED, word) ? (DECLARED[word] ?? 'http') : 'http';
}

/** @throws {@link UsageError} naming the option that is wrong. */
export function requestQuery(
  options: RequestOptions,
  protocol: Protocol,
): readonly (readonly [name: string, value: string])[] {
  const { method, path, authority, headers, token } = options;
  if (!isToken(method)) throw new UsageError(`--method: "${method}" is no method`);
  if (!/^[/*]/.test(path)) throw new UsageError(`--path: "${path}" does not begin with /`);
  return [
    ['protocol', protocol],
    ['method', method],
    ['path', path],
    ...(authority === undefined ? [] : [[protocol === 'tls' ? 'sni' : 'authority', authority] as const]),
    ...headers.map((header) => ['header', headerOf(header)] as const),
    ...(token === undefined ? [] : [tokenQuery(token)]),
  ];
}

function headerOf(text: string): string {
  const [, name, value] = HEADER.exec(text) ?? [];
  if (name === undefined) throw new UsageError(`--header: "${text}" is not NAME=VALUE`);
  return `${name.toLowerCase()}: ${(value ?? '').trim()}`;
}

const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]*$/;

/** A token is for the waypoint to verify; claims are taken as believed. */
function tokenQuery(token: string): readonly [name: 'jwt' | 'claims', value: string] {
  if (TOKEN.test(token)) return ['jwt', token];
  try {
    const claims: unknown = JSON.parse(token);
    if (typeof claims === 'object' && claims !== null && !Array.isArray(claims))
      return ['claims', JSON.stringify(claims)];
  } catch {
    // Said below.
  }
  throw new UsageError('--jwt wants a token, or its claims as JSON');
}
