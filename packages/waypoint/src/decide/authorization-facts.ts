/**
 * What policies may ask of a request or a connection, each found when it is first asked for: most policies look at two or
 * three attributes.
 */
import { bytesOfIp, parseHostPort, parseIp } from '@ambit/core/ip';
import { type IdentityParts, parseIdentity } from '@ambit/model/workload';
import type { TextAttribute } from '../resources/authorization-policy.ts';
import {
  type ConnectionView,
  headerOf,
  pathOnly,
  type RequestView,
  splitAuthority,
  type TokenClaims,
} from './request-view.ts';

export interface AuthorizationSubject {
  /** `undefined`: the connection is no HTTP. */
  readonly request: RequestView | undefined;
  readonly connection: ConnectionView;
  /** What RequestAuthentication found. `undefined`: no token, or none that is asked for. */
  readonly token: TokenClaims | undefined;
}

const SCHEME = 'spiffe://';

export class AuthorizationFacts {
  readonly subject: AuthorizationSubject;
  #identity: IdentityParts | undefined | 'unasked' = 'unasked';
  readonly #texts: Partial<Record<TextAttribute, readonly string[]>> = {};
  #path: string | undefined;
  #sourceIp: Uint8Array | undefined | 'unasked' = 'unasked';
  #remoteIp: Uint8Array | undefined | 'unasked' = 'unasked';

  constructor(subject: AuthorizationSubject) {
    this.subject = subject;
  }

  /** The values of an attribute; none, where the subject has it not. */
  texts(attribute: TextAttribute): readonly string[] {
    this.#texts[attribute] ??= this.#find(attribute);
    return this.#texts[attribute];
  }

  #find(attribute: TextAttribute): readonly string[] {
    const { connection, request, token } = this.subject;
    switch (attribute) {
      case 'principal':
        return one(
          connection.identity?.startsWith(SCHEME) ? connection.identity.slice(SCHEME.length) : undefined,
        );
      case 'namespace':
        return one(this.identity?.namespace);
      case 'trust-domain':
        return one(this.identity?.trustDomain);
      case 'service-account':
        return one(this.identity && `${this.identity.namespace}/${this.identity.serviceAccount}`);
      case 'request-principal':
        return one(token?.principal);
      case 'audience':
        return textsOf(token?.claims['aud']);
      case 'presenter':
        return textsOf(token?.claims['azp']);
      case 'method':
        return one(request?.method);
      case 'sni':
        return one(connection.sni);
      default:
        return attribute satisfies never;
    }
  }

  get identity(): IdentityParts | undefined {
    if (this.#identity === 'unasked') {
      const { identity } = this.subject.connection;
      this.#identity = identity === undefined ? undefined : parseIdentity(identity);
    }
    return this.#identity;
  }

  /** Without query. */
  get path(): string {
    this.#path ??= pathOnly(this.subject.request?.path ?? '');
    return this.#path;
  }

  /** As the client wrote it, and without its port and the dot behind it, where that differs. */
  get hosts(): readonly [written: string, bare: string] {
    const written = this.subject.request?.authority ?? '';
    const { host } = splitAuthority(written);
    return [written, host.endsWith('.') ? host.slice(0, -1) : host];
  }

  header(name: string): string | undefined {
    return this.subject.request && headerOf(this.subject.request, name);
  }

  /** A claim of the token, by its way into nested objects. Only texts, and lists of texts, have values. */
  claim(path: readonly string[]): readonly string[] {
    let value: unknown = this.subject.token?.claims;
    for (const name of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return [];
      value = (value as Readonly<Record<string, unknown>>)[name];
    }
    return textsOf(value);
  }

  get sourceIp(): Uint8Array | undefined {
    if (this.#sourceIp === 'unasked') this.#sourceIp = bytesOfIp(this.subject.connection.sourceIp);
    return this.#sourceIp;
  }

  /** Who began the request, as the proxy before us tells: the last address of X-Forwarded-For, else the TCP peer. */
  get remoteIp(): Uint8Array | undefined {
    if (this.#remoteIp === 'unasked') this.#remoteIp = this.#forwardedIp() ?? this.sourceIp;
    return this.#remoteIp;
  }

  #forwardedIp(): Uint8Array | undefined {
    const last = this.header('x-forwarded-for')?.split(',').at(-1)?.trim();
    if (last === undefined) return undefined;
    const ip = parseIp(last) ?? parseHostPort(last)?.ip;
    return ip === undefined ? undefined : bytesOfIp(ip);
  }

  get destinationIp(): Uint8Array | undefined {
    return bytesOfIp(this.subject.connection.destination.ip);
  }
}

const NONE: readonly string[] = [];

function one(text: string | undefined): readonly string[] {
  return text === undefined || text === '' ? NONE : [text];
}

function textsOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return one(value);
  return Array.isArray(value) ? value.filter((element) => typeof element === 'string') : NONE;
}
