/**
 * Heads as HTTP/2 has them (RFC 9113 §8), to and from what an exchange shows. Pure.
 *
 * The receiver has seen to the form of the section (validate.ts); here is what it means, as strictly as HTTP/1.1 reads it.
 */
import { isAuthority, isSameAuthority } from '../authority.ts';
import { HttpError } from '../errors.ts';
import type { RequestHead, ResponseHead } from '../exchange.ts';
import type { HeaderFields } from '../header-fields.ts';

const TARGET = /^[\x21\x22\x24-\x7e]+$/;
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/;
const LENGTH = /^[0-9]{1,15}$/;

export interface ReceivedRequest {
  readonly head: RequestHead;
  /** -1: not announced. */
  readonly contentLength: number;
}

/** @throws {@link HttpError} with the `status` to answer. */
export function requestOf(fields: HeaderFields, endStream: boolean): ReceivedRequest {
  const pseudo = { method: '', scheme: '', authority: '', path: '', protocol: '' };
  const rest: string[] = [];
  let host: string | undefined;
  let contentLength = -1;
  let cookie: string | undefined;
  let expectsContinue = false;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    const value = fields[i + 1] ?? '';
    switch (name) {
      case ':method':
        pseudo.method = value;
        break;
      case ':scheme':
        pseudo.scheme = value.toLowerCase();
        break;
      case ':authority':
        pseudo.authority = value;
        break;
      case ':path':
        pseudo.path = value;
        break;
      case ':protocol':
        pseudo.protocol = value.toLowerCase();
        break;
      case 'host':
        if (host !== undefined) throw malformed('duplicate-host');
        host = value;
        break;
      case 'cookie':
        cookie = cookie === undefined ? value : `${cookie}; ${value}`;
        break;
      case 'content-length':
        if (contentLength >= 0) throw malformed('duplicate-content-length');
        contentLength = lengthOf(value);
        rest.push(name, value);
        break;
      case 'expect':
        if (value.toLowerCase() !== '100-continue')
          throw new HttpError('protocol', 'unknown-expectation', { status: 417 });
        expectsContinue = true;
        break;
      case 'http2-settings':
        break;
      default:
        rest.push(name, value);
    }
  }
  if (cookie !== undefined) rest.push('cookie', cookie);
  if (endStream && contentLength > 0) throw malformed('content-length-without-body');
  const isPlainConnect = pseudo.method === 'CONNECT' && pseudo.protocol === '';
  const scheme = isPlainConnect ? 'http' : schemeOf(pseudo.scheme);
  checkTarget(pseudo.method, pseudo.path, isPlainConnect);
  return {
    head: {
      method: pseudo.protocol === '' ? pseudo.method : 'GET',
      scheme,
      authority: authorityOf(pseudo.authority, host, scheme),
      path: pseudo.path,
      version: '2',
      fields: rest,
      upgrade: pseudo.protocol === '' ? undefined : pseudo.protocol,
      expectsContinue: expectsContinue && !endStream,
      endsHere: endStream || pseudo.method === 'CONNECT',
    },
    contentLength,
  };
}

/** The section of a request that we send; an upgrade becomes an extended CONNECT. */
export function requestFields(head: RequestHead): string[] {
  const { method, fields, upgrade } = head;
  if (method === 'CONNECT') return [':method', method, ':authority', head.authority, ...fields];
  const { scheme, authority, path } = head;
  if (upgrade !== undefined) {
    const section = [
      ':method',
      'CONNECT',
      ':protocol',
      upgrade,
      ':scheme',
      scheme,
      ':authority',
      authority,
      ':path',
      path,
    ];
    for (let i = 0; i < fields.length; i += 2) {
      if (fields[i] !== 'sec-websocket-key') section.push(fields[i] ?? '', fields[i + 1] ?? '');
    }
    return section;
  }
  const section = [':method', method, ':scheme', scheme, ':authority', authority, ':path', path, ...fields];
  if (head.expectsContinue) section.push('expect', '100-continue');
  return section;
}

export interface ReceivedResponse {
  readonly head: ResponseHead;
  /** -1: not announced. */
  readonly contentLength: number;
}

/** @throws {@link HttpError} */
export function responseOf(fields: HeaderFields): ReceivedResponse {
  const rest: string[] = [];
  let status = 0;
  let contentLength = -1;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    const value = fields[i + 1] ?? '';
    if (name === ':status') {
      status = Number(value);
      continue;
    }
    if (name === 'content-length') {
      if (contentLength >= 0) throw malformed('duplicate-content-length');
      contentLength = lengthOf(value);
    }
    rest.push(name, value);
  }
  return { head: { status, fields: rest }, contentLength };
}

/** The section of a response that we send. */
export function responseFields({ status, fields }: ResponseHead): string[] {
  return [':status', String(status), ...fields];
}

/** The fields of an upgrade's answer without what only HTTP/1.1 has. */
export function switchedFields(fields: HeaderFields): string[] {
  const section = [':status', '200'];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (name !== 'sec-websocket-accept' && name !== 'content-length') section.push(name, fields[i + 1] ?? '');
  }
  return section;
}

function checkTarget(method: string, path: string, isPlainConnect: boolean): void {
  if (!METHOD.test(method)) throw malformed('illegal-method');
  if (isPlainConnect) return;
  const isAsterisk = path === '*' && method === 'OPTIONS';
  if (!isAsterisk && (path.charCodeAt(0) !== 0x2f || !TARGET.test(path))) throw malformed('illegal-target');
}

function authorityOf(authority: string, host: string | undefined, scheme: 'http' | 'https'): string {
  if (authority === '' && host === undefined) throw malformed('missing-host');
  const chosen = authority === '' ? (host ?? '') : authority;
  if (!isAuthority(chosen)) throw malformed('illegal-host');
  if (host !== undefined && !isSameAuthority(chosen, host, scheme)) throw malformed('host-mismatch');
  return chosen;
}

function schemeOf(scheme: string): 'http' | 'https' {
  if (scheme !== 'http' && scheme !== 'https') throw malformed('illegal-scheme');
  return scheme;
}

function lengthOf(value: string): number {
  if (!LENGTH.test(value)) throw malformed('illegal-content-length');
  return Number(value);
}

function malformed(reason: string): HttpError {
  return new HttpError('protocol', reason, { status: 400 });
}
