/**
 * What a client speaks, from the first bytes that it sends on a port that declares nothing.
 *
 * Only beginnings that can be nothing else decide: the preface of HTTP/2, a request line, a ClientHello. Everything else is
 * carried as it is.
 */
import { SNIFF_BYTES } from '../limits.ts';

export type Spoken = 'http1' | 'http2' | 'tls' | 'other';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const TLS_HANDSHAKE = 0x16;
const TLS_MAJOR_VERSION = 3;
/** The longest method that anybody uses: a longer word is no method. */
const MAX_METHOD_CHARS = 32;
const METHOD = /^[A-Z][A-Z0-9_-]*$/;

/**
 * @param bytes - All that came so far.
 * @returns `undefined`: the bytes so far may become several things.
 */
export function spokenBy(bytes: Uint8Array): Spoken | undefined {
  const [first, second] = bytes;
  if (first === undefined) return undefined;
  if (first === TLS_HANDSHAKE) {
    if (second === undefined) return undefined;
    return second === TLS_MAJOR_VERSION ? 'tls' : 'other';
  }
  const text = String.fromCharCode(...bytes.subarray(0, SNIFF_BYTES));
  if (text.startsWith(PREFACE)) return 'http2';
  if (PREFACE.startsWith(text)) return undefined;
  return spokenInLine(text);
}

/** `METHOD target HTTP/1.x`: decided at the end of the line, or as soon as it can be none. */
function spokenInLine(text: string): Spoken | undefined {
  const space = text.indexOf(' ');
  const method = space < 0 ? text : text.slice(0, space);
  if (method.length > MAX_METHOD_CHARS || !METHOD.test(method)) return 'other';
  if (space < 0) return undefined;
  const end = text.indexOf('\n');
  const line = end < 0 ? text : text.slice(0, end);
  if (/[^\x21-\x7e\x80-\xff \r]/.test(line)) return 'other';
  if (end >= 0) return /^[A-Z0-9_-]+ \S+ HTTP\/1\.[0-9]\r?$/.test(line) ? 'http1' : 'other';
  // A request's target is one word: what follows a second space can only be the version.
  const rest = text.slice(space + 1).split(' ');
  const version = rest[1];
  if (rest.length > 2) return 'other';
  return version === undefined || 'HTTP/1.'.startsWith(version.slice(0, 7)) ? undefined : 'other';
}

/** What a connection is served as. `tls`: carried, and looked at for its server name. */
export type Carrier = 'http' | 'tls' | 'tcp';

/**
 * @param bytes - All that came so far.
 * @param isGuarded - There are rules for requests: whatever some server may read as one is served as HTTP, which refuses
 *   what is not well-formed.
 * @returns `undefined`: more is needed to tell.
 */
export function carrierFor(bytes: Uint8Array, isGuarded: boolean): Carrier | undefined {
  const spoken = spokenBy(bytes);
  switch (spoken) {
    case 'http1':
    case 'http2':
      return 'http';
    case 'tls':
      return 'tls';
    case 'other': {
      const isRequest = isGuarded && resemblesRequest(bytes);
      return isRequest === undefined ? undefined : isRequest ? 'http' : 'tcp';
    }
    case undefined:
      return bytes.length >= SNIFF_BYTES ? 'http' : undefined;
    default:
      return spoken satisfies never;
  }
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}/;

/**
 * Whether some server may read these bytes as a request, however badly it is written: methods in small letters, empty
 * lines before it, HTTP/0.9. What begins like that is never carried as something else where requests have rules.
 *
 * @param bytes - All that came so far, nothing of TLS or HTTP/2.
 * @returns `undefined`: the bytes so far may become one.
 */
function resemblesRequest(bytes: Uint8Array): boolean | undefined {
  const text = String.fromCharCode(...bytes.subarray(0, SNIFF_BYTES)).trimStart();
  const isAll = bytes.length >= SNIFF_BYTES;
  const more = isAll ? true : undefined;
  if (text === '') return more;
  const [token] = TOKEN.exec(text) ?? [];
  if (token === undefined) return false;
  const rest = text.slice(token.length);
  if (rest === '' || rest === '\r') return more;
  if (!/^\s/.test(rest) || /^\r?\n/.test(rest)) return false;
  const end = rest.indexOf('\n');
  const line = end < 0 ? rest : rest.slice(0, end);
  if (/HTTP\//i.test(line) || /^\s+(\/|\*|https?:)/i.test(line)) return true;
  return end < 0 ? more : false;
}
