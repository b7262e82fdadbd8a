/**
 * Reads the head of a request (RFC 9112 §3, §5; RFC 9110 §7): request line, target, Host, and which body follows.
 *
 * Strict where leniency lets requests be smuggled past one of two parsers; each refusal has a word of its own.
 */
import { isAuthority, isSameAuthority } from '../authority.ts';
import type { RequestHead } from '../exchange.ts';
import { HttpError } from '../errors.ts';
import { type FieldSection, FieldSection as Section, malformed, readFields } from './field-section.ts';
import { CR, LF, SP, TARGET, TOKEN } from './octets.ts';

export interface HeadLimits {
  /** The first line. */
  readonly maxLineBytes: number;
  /** The whole head. */
  readonly maxHeadBytes: number;
  readonly maxFields: number;
}

export interface ParsedRequest {
  readonly head: RequestHead;
  /** Octets of body; -1: chunked. */
  readonly bodyBytes: number;
  /** The client keeps the connection after the answer. */
  readonly keepsAlive: boolean;
}

const LONGEST_METHOD = 32;

export class RequestParser {
  readonly #limits: HeadLimits;
  readonly #scheme: 'http' | 'https';
  /** The last authority that was found valid, since a connection's requests are mostly for one host. */
  #knownAuthority = '';

  constructor(limits: HeadLimits, scheme: 'http' | 'https') {
    this.#limits = limits;
    this.#scheme = scheme;
  }

  /**
   * Reads the head that is `bytes[from..to)`, its last four octets being CRLF CRLF.
   *
   * @throws {@link HttpError} with the `status` to answer.
   */
  parse(bytes: Buffer, from: number, to: number): ParsedRequest {
    if (to - from > this.#limits.maxHeadBytes) throw headTooLong();
    const text = bytes.toString('latin1', from, to);
    let at = from;
    while ((TOKEN[bytes[at] ?? 0] ?? 0) !== 0) at++;
    if (bytes[at] !== SP || at === from || at - from > LONGEST_METHOD) throw malformed('illegal-method');
    const method = text.slice(0, at - from);
    const targetFrom = ++at;
    while (TARGET[bytes[at] ?? 0] === 1) at++;
    if (bytes[at] !== SP || at === targetFrom) throw malformed('illegal-target');
    const target = text.slice(targetFrom - from, at - from);
    const version = versionAt(text, at - from + 1);
    at += 1 + 'HTTP/1.1'.length;
    if (bytes[at] !== CR || bytes[at + 1] !== LF) throw malformed('illegal-request-line');
    if (at - from > this.#limits.maxLineBytes) throw lineTooLong();

    const section = new Section();
    readFields(section, bytes, at + 2, to - 2, text, from, this.#limits.maxFields);
    return this.#request(method, target, version, section);
  }

  #request(method: string, target: string, version: '1.0' | '1.1', section: FieldSection): ParsedRequest {
    const { contentLength, chunked } = section;
    if (chunked) {
      if (contentLength >= 0) throw malformed('content-length-and-transfer-encoding');
      if (version === '1.0') throw malformed('transfer-encoding-in-http-1.0');
    }
    const isConnect = method === 'CONNECT';
    if (isConnect && (chunked || contentLength > 0)) throw malformed('connect-with-body');
    const { authority, path } = this.#resolve(method, target, version, section.host);
    const endsHere = !chunked && contentLength <= 0;
    const isModern = version === '1.1';
    return {
      head: {
        method,
        scheme: this.#scheme,
        authority,
        path,
        version,
        fields: section.fields,
        upgrade: isModern && section.upgrades ? protocolOf(section.upgrade) : undefined,
        expectsContinue: section.expectsContinue && isModern && !endsHere,
        endsHere,
      },
      bodyBytes: chunked ? -1 : Math.max(contentLength, 0),
      keepsAlive: !section.closes && (isModern || section.keepsAlive),
    };
  }

  #resolve(
    method: string,
    target: string,
    version: '1.0' | '1.1',
    host: string | undefined,
  ): { readonly authority: string; readonly path: string } {
    if (host === undefined) {
      if (version === '1.1') throw malformed('missing-host');
    } else this.#check(host);
    if (method === 'CONNECT') {
      this.#check(target);
      if (!/:[0-9]+$/.test(target)) throw malformed('illegal-target');
      if (host !== undefined && !isSameAuthority(target, host, this.#scheme))
        throw malformed('host-mismatch');
      return { authority: target, path: '' };
    }
    if (target.charCodeAt(0) === 0x2f) return { authority: host ?? '', path: target };
    if (target === '*') {
      if (method !== 'OPTIONS') throw malformed('illegal-target');
      return { authority: host ?? '', path: '*' };
    }
    return this.#absolute(method, target, host);
  }

  #absolute(
    method: string,
    target: string,
    host: string | undefined,
  ): { readonly authority: string; readonly path: string } {
    const match = /^https?:\/\/([^/?]*)(.*)$/i.exec(target);
    if (!match) throw malformed('illegal-target');
    const [, authority = '', rest = ''] = match;
    this.#check(authority);
    if (host !== undefined && !isSameAuthority(authority, host, this.#scheme))
      throw malformed('host-mismatch');
    if (rest === '' && method === 'OPTIONS') return { authority, path: '*' };
    return { authority, path: rest.startsWith('/') ? rest : `/${rest}` };
  }

  #check(authority: string): void {
    if (authority === this.#knownAuthority && authority !== '') return;
    if (!isAuthority(authority)) throw malformed('illegal-host');
    this.#knownAuthority = authority;
  }
}

function versionAt(text: string, at: number): '1.0' | '1.1' {
  if (text.startsWith('HTTP/1.1', at)) return '1.1';
  if (text.startsWith('HTTP/1.0', at)) return '1.0';
  if (/^HTTP\/[0-9]\.[0-9]\r/.test(text.slice(at, at + 9)))
    throw new HttpError('protocol', 'unsupported-version', { status: 505 });
  throw malformed('illegal-request-line');
}

/** One protocol, as a name in lower case; several cannot be passed on as one. h2c is never taken. */
function protocolOf(upgrade: string | undefined): string | undefined {
  if (upgrade === undefined || upgrade === '' || upgrade.includes(',')) return undefined;
  const name = upgrade.toLowerCase();
  return name === 'h2c' ? undefined : name;
}

export function lineTooLong(): HttpError {
  return new HttpError('limit', 'request-line-too-long', { status: 414 });
}

export function headTooLong(): HttpError {
  return new HttpError('limit', 'header-too-large', { status: 431 });
}
