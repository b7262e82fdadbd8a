/** Which protocol a client speaks, by the first octets it sends. Pure. */
import { PREFACE } from './h2/protocol.ts';
import { SP, TOKEN } from './h1/octets.ts';

/** No method that anybody uses is longer. */
const LONGEST_METHOD = 32;
/** So many octets decide in any case. */
export const SNIFF_BYTES = PREFACE.length;

/** `undefined`: more octets are needed. */
export function sniffProtocol(bytes: Buffer): 'http1' | 'http2' | 'tls' | 'other' | undefined {
  const length = Math.min(bytes.length, PREFACE.length);
  if (length === 0) return undefined;
  if (PREFACE.compare(bytes, 0, length, 0, length) === 0)
    return length === PREFACE.length ? 'http2' : undefined;
  if (bytes[0] === 0x16 && (bytes.length === 1 || bytes[1] === 0x03))
    return bytes.length === 1 ? undefined : 'tls';
  let at = bytes[0] === 0x0d && bytes[1] === 0x0a ? 2 : 0;
  const from = at;
  while (at < bytes.length && at - from <= LONGEST_METHOD && (TOKEN[bytes[at] ?? 0] ?? 0) !== 0) at++;
  if (at === bytes.length && at - from <= LONGEST_METHOD) return undefined;
  return bytes[at] === SP && at > from ? 'http1' : 'other';
}
