/** What makes a header section malformed (RFC 9113 §8.2, §8.3, §8.5, §8.6). Pure; the words go into logs. */
import { fieldValue, type HeaderFields, NOT_IN_TRAILERS } from '../header-fields.ts';

const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const REQUEST_PSEUDO: ReadonlySet<string> = new Set([':method', ':scheme', ':authority', ':path']);
const EXTENDED_PSEUDO: ReadonlySet<string> = new Set([...REQUEST_PSEUDO, ':protocol']);
const RESPONSE_PSEUDO: ReadonlySet<string> = new Set([':status']);
const NO_PSEUDO: ReadonlySet<string> = new Set();
const CONNECTION_SPECIFIC: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/** Why a request is malformed, or `undefined`. */
export function requestProblem(fields: HeaderFields, extendedConnect: boolean): string | undefined {
  const problem = sectionProblem(fields, extendedConnect ? EXTENDED_PSEUDO : REQUEST_PSEUDO);
  if (problem !== undefined) return problem;
  const method = fieldValue(fields, ':method');
  const path = fieldValue(fields, ':path');
  const scheme = fieldValue(fields, ':scheme');
  if (method === undefined) return 'no :method';
  const hasProtocol = extendedConnect && fieldValue(fields, ':protocol') !== undefined;
  if (hasProtocol && method !== 'CONNECT') return ':protocol without CONNECT';
  if (method === 'CONNECT' && !hasProtocol) {
    if (path !== undefined || scheme !== undefined) return 'CONNECT with :path or :scheme';
    return fieldValue(fields, ':authority') ? undefined : 'CONNECT without :authority';
  }
  if (scheme === undefined) return 'no :scheme';
  return path ? undefined : 'no :path';
}

/** Why a response is malformed, or `undefined`. */
export function responseProblem(fields: HeaderFields): string | undefined {
  const problem = sectionProblem(fields, RESPONSE_PSEUDO);
  if (problem !== undefined) return problem;
  const status = fieldValue(fields, ':status') ?? '';
  if (status === '101') return ':status 101, which HTTP/2 does not have';
  return /^[1-9][0-9]{2}$/.test(status) ? undefined : 'no :status of three digits';
}

/** Why trailers are malformed, or `undefined`. */
export function trailersProblem(fields: HeaderFields): string | undefined {
  const problem = sectionProblem(fields, NO_PSEUDO);
  if (problem !== undefined) return problem;
  for (let i = 0; i < fields.length; i += 2) {
    if (NOT_IN_TRAILERS.has(fields[i] ?? '')) return `${fields[i]} as a trailer`;
  }
  return undefined;
}

function sectionProblem(fields: HeaderFields, pseudo: ReadonlySet<string>): string | undefined {
  let regular = false;
  const seen: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    const value = fields[i + 1] ?? '';
    if (name.charCodeAt(0) === 0x3a) {
      if (regular) return `${name} after a regular field`;
      if (!pseudo.has(name)) return `unknown pseudo-header ${JSON.stringify(name)}`;
      if (seen.includes(name)) return `${name} twice`;
      seen.push(name);
    } else {
      regular = true;
      if (!NAME.test(name)) return `field name ${JSON.stringify(name)}`;
      if (CONNECTION_SPECIFIC.has(name)) return `connection-specific field ${name}`;
      if (name === 'te' && value !== 'trailers') return 'te other than trailers';
    }
    if (!isValue(value)) return `value of ${name}`;
  }
  return undefined;
}

function isValue(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const char = value.charCodeAt(i);
    if ((char < 0x20 && char !== 9) || char === 0x7f) return false;
  }
  const first = value.charCodeAt(0);
  const last = value.charCodeAt(value.length - 1);
  return first !== 0x20 && first !== 9 && last !== 0x20 && last !== 9;
}
