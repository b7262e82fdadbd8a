/** Reads the head of a response (RFC 9112 §4, §6.3): status line, fields, and how its body ends. */
import { HttpError } from '../errors.ts';
import type { ResponseHead } from '../exchange.ts';
import { FieldSection, malformed, readFields } from './field-section.ts';
import { CR, HTAB, LF, SP, VALUE } from './octets.ts';
import type { HeadLimits } from './request-head.ts';

/** What `bodyBytes` says besides a number. */
export const CHUNKED = -1;
export const UNTIL_CLOSE = -2;

export interface ParsedResponse {
  readonly head: ResponseHead;
  /** Octets of body, {@link CHUNKED} or {@link UNTIL_CLOSE}. */
  readonly bodyBytes: number;
  /** The server keeps the connection after this. */
  readonly keepsAlive: boolean;
  /** The protocol that a 101 switches to. */
  readonly upgrade: string | undefined;
}

const STATUS_AT = 'HTTP/1.1 '.length;
const STATUS_TO = 'HTTP/1.1 200'.length;

/**
 * Reads the head that is `bytes[from..to)`, its last four octets being CRLF CRLF.
 *
 * @throws {@link HttpError}
 */
export function parseResponse(
  bytes: Buffer,
  from: number,
  to: number,
  method: string,
  limits: HeadLimits,
): ParsedResponse {
  if (to - from > limits.maxHeadBytes) throw new HttpError('limit', 'header-too-large');
  const text = bytes.toString('latin1', from, to);
  const isModern = text.startsWith('HTTP/1.1 ');
  if (!isModern && !text.startsWith('HTTP/1.0 ')) throw malformed('illegal-status-line');
  const status = statusOf(text);
  let at = from + STATUS_TO;
  if (bytes[at] === SP) while (bytes[at] === HTAB || (VALUE[bytes[at] ?? 0] ?? 0) !== 0) at++;
  if (bytes[at] !== CR || bytes[at + 1] !== LF) throw malformed('illegal-status-line');

  const section = new FieldSection();
  readFields(section, bytes, at + 2, to - 2, text, from, limits.maxFields);
  if (section.host !== undefined || section.expectsContinue) throw malformed('request-field-in-response');
  const { contentLength, chunked } = section;
  if (chunked) {
    if (contentLength >= 0) throw malformed('content-length-and-transfer-encoding');
    if (!isModern) throw malformed('transfer-encoding-in-http-1.0');
    if (status < 200 || status === 204) throw malformed('transfer-encoding-without-body');
  }
  const bodyBytes = hasNoBody(status, method)
    ? 0
    : chunked
      ? CHUNKED
      : contentLength >= 0
        ? contentLength
        : UNTIL_CLOSE;
  return {
    head: { status, fields: section.fields },
    bodyBytes,
    keepsAlive: bodyBytes !== UNTIL_CLOSE && !section.closes && (isModern || section.keepsAlive),
    upgrade: section.upgrades ? section.upgrade?.toLowerCase() : undefined,
  };
}

/** Whether a response has no body whatever its fields say. */
export function hasNoBody(status: number, method: string): boolean {
  return status < 200 || status === 204 || status === 304 || method === 'HEAD';
}

function statusOf(text: string): number {
  let status = 0;
  for (let at = STATUS_AT; at < STATUS_TO; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (!(digit >= 0 && digit <= 9)) throw malformed('illegal-status-line');
    status = status * 10 + digit;
  }
  if (status < 100) throw malformed('illegal-status-line');
  return status;
}
