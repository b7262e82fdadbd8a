/** A request and its connection, as decisions see them. `RequestHead` of @ambit/http is a {@link RequestView}. */
import type { RequestHead } from '@ambit/http/exchange';
import { type HeaderFields, joinedValue } from '@ambit/http/header-fields';
import type { Endpoint } from '@ambit/core/ip';
import { parseIdentity } from '@ambit/model/workload';

export interface RequestView {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  /** With query. Decisions see none that does not begin with a slash: `*`, and that of CONNECT, are refused before. */
  readonly path: string;
  readonly fields: HeaderFields;
  /** As the client sent it. */
  readonly version: RequestHead['version'];
  /** Names that tokens and authorizing services have the say of, whether the field is there or not. Default: none. */
  readonly vouched?: readonly string[];
  /** Where tokens were looked for. Default: nowhere. */
  readonly tokenPlaces?: TokenPlaces | undefined;
}

export interface TokenPlaces {
  /** In lower case; `cookie` for those in cookies. */
  readonly fields: readonly string[];
  readonly isQuery: boolean;
}

/** What the client spoke, as Envoy names it. */
export function protocolOf({ version }: Pick<RequestView, 'version'>): string {
  return version === '2' ? 'HTTP/2' : `HTTP/${version}`;
}

/** The connection that the request came on, as HBONE told of it. */
export interface ConnectionView {
  /** `spiffe://…` that the client proved; `undefined` for one that proved nothing. */
  readonly identity: string | undefined;
  /** Canonical address of the TCP peer: the client, or a gateway before us. */
  readonly sourceIp: string;
  /** What the client asked for: the service's or the workload's address, and the port. */
  readonly destination: Endpoint;
  /** Of the TLS that the connection carries; `undefined` without it. */
  readonly sni: string | undefined;
}

/** The namespace of the client; `undefined` when its identity names none. */
export function sourceNamespaceOf({ identity }: ConnectionView): string | undefined {
  return identity === undefined ? undefined : parseIdentity(identity)?.namespace;
}

/** Who a believed token speaks of. */
export interface TokenClaims {
  /** `issuer/subject`. */
  readonly principal: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** Without query. */
export function pathOnly(path: string): string {
  const query = path.indexOf('?');
  return query < 0 ? path : path.slice(0, query);
}

/**
 * What a header says: all values of a repeated one joined by commas, as HTTP reads them. Pseudo-headers are asked for with
 * their colon; `host` is the authority.
 */
export function headerOf(request: RequestView, name: string): string | undefined {
  return joinedValue(request.fields, name) ?? pseudoHeader(request, name);
}

function pseudoHeader(request: RequestView, name: string): string | undefined {
  switch (name) {
    case 'host':
    case ':authority':
      return request.authority;
    case ':method':
      return request.method;
    case ':path':
      return request.path;
    case ':scheme':
      return request.scheme;
    default:
      return undefined;
  }
}

/** The first value of a query parameter, as it stands in the path: nothing is decoded. */
export function queryParameterOf(path: string, name: string): string | undefined {
  let at = path.indexOf('?') + 1;
  if (at === 0) return undefined;
  while (at <= path.length) {
    const ampersand = path.indexOf('&', at);
    const end = ampersand < 0 ? path.length : ampersand;
    const equals = path.indexOf('=', at);
    const nameEnd = equals < 0 || equals > end ? end : equals;
    if (nameEnd - at === name.length && path.startsWith(name, at)) {
      return path.slice(Math.min(nameEnd + 1, end), end);
    }
    at = end + 1;
  }
  return undefined;
}

/** The first value of a cookie. */
export function cookieOf(request: RequestView, name: string): string | undefined {
  const { fields } = request;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== 'cookie') continue;
    for (const pair of (fields[i + 1] ?? '').split(';')) {
      const equals = pair.indexOf('=');
      if (equals < 0 || pair.slice(0, equals).trim() !== name) continue;
      const value = pair.slice(equals + 1).trim();
      const isQuoted = value.length > 1 && value.startsWith('"') && value.endsWith('"');
      return isQuoted ? value.slice(1, -1) : value;
    }
  }
  return undefined;
}

/** The host of an authority, in brackets if it is IPv6, and its port if it names one. */
export function splitAuthority(authority: string): {
  readonly host: string;
  readonly port: number | undefined;
} {
  const match = /^(.*):([0-9]{1,5})$/.exec(authority);
  // Without brackets, the last group of an IPv6 address is no port.
  if (!match || (match[1]?.includes(':') && !match[1].endsWith(']')))
    return { host: authority, port: undefined };
  return { host: match[1] ?? '', port: Number(match[2]) };
}
