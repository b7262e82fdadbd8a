/**
 * Writes heads (RFC 9112 §3, §4, §6), and decides with which framing the body follows.
 *
 * Nothing that would end a line early leaves here, whoever made it: the octets are looked at once more as they are written.
 */
import { STATUS_CODES } from 'node:http';
import type { RequestHead, ResponseHead } from '../exchange.ts';
import { HttpError } from '../errors.ts';
import type { HeaderFields } from '../header-fields.ts';
import type { SendQueue } from '../transport/send-queue.ts';
import { CR, HTAB, LF, SP } from './octets.ts';
import { hasNoBody } from './response-head.ts';

/** How a body goes out: so many octets, in chunks, or until the connection ends. */
export type Framing = number | 'chunked' | 'until-close';

const VISIBLE = /^[\x21-\x7e]+$/;

const statusLines = new Map<number, string>();

function statusLine(status: number): string {
  const known = statusLines.get(status);
  if (known !== undefined) return known;
  const line = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
  statusLines.set(status, line);
  return line;
}

/**
 * Appends a request.
 *
 * @throws {@link HttpError} A field, the target or the authority has octets that may not be there. Nothing was appended.
 */
export function writeRequest(queue: SendQueue, head: RequestHead): Framing {
  const { fields, method } = head;
  const isConnect = method === 'CONNECT';
  const target = isConnect ? head.authority : head.path;
  if (!VISIBLE.test(target) || !VISIBLE.test(method)) throw illegal();
  let text = `${method} ${target} HTTP/1.1\r\nhost: ${head.authority}\r\n`;
  let lines = 3 + fields.length / 2;
  let connection = '';
  let length = -1;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (name === 'te') connection = 'te';
    else if (name === 'content-length') length = Number(fields[i + 1]);
    text += `${name}: ${fields[i + 1] ?? ''}\r\n`;
  }
  let framing: Framing = 0;
  if (!head.endsHere) {
    framing = length >= 0 ? length : 'chunked';
    if (length < 0) {
      text += 'transfer-encoding: chunked\r\n';
      lines++;
    }
    if (head.expectsContinue) {
      text += 'expect: 100-continue\r\n';
      lines++;
    }
  } else if (length < 0 && mayHaveBody(method)) {
    text += 'content-length: 0\r\n';
    lines++;
  }
  if (head.upgrade !== undefined && !isConnect) {
    text += `upgrade: ${head.upgrade}\r\n`;
    lines++;
    connection = connection === '' ? 'upgrade' : `${connection}, upgrade`;
  }
  if (connection !== '') {
    text += `connection: ${connection}\r\n`;
    lines++;
  }
  append(queue, `${text}\r\n`, lines);
  return framing;
}

export interface ResponseContext {
  readonly method: string;
  /** The client is of HTTP/1.0: no chunks, and it must be told when the connection stays. */
  readonly isOld: boolean;
  readonly keepsAlive: boolean;
}

/**
 * Appends a final response.
 *
 * @throws {@link HttpError} as {@link writeRequest}.
 */
export function writeResponse(
  queue: SendQueue,
  head: ResponseHead,
  endsHere: boolean,
  { method, isOld, keepsAlive }: ResponseContext,
): Framing {
  const { status, fields } = head;
  const isBare = status < 200 || status === 204;
  let text = statusLine(status);
  let lines = 2;
  let length = -1;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    const value = fields[i + 1] ?? '';
    if (name === 'content-length') {
      if (isBare) continue;
      length = Number(value);
    }
    text += `${name}: ${value}\r\n`;
    lines++;
  }
  const hasNone = hasNoBody(status, method);
  let framing: Framing = 0;
  if (!endsHere && !hasNone) {
    framing = length >= 0 ? length : isOld ? 'until-close' : 'chunked';
    if (framing === 'chunked') {
      text += 'transfer-encoding: chunked\r\n';
      lines++;
    }
  } else if (length < 0 && !hasNone) {
    text += 'content-length: 0\r\n';
    lines++;
  }
  if (!keepsAlive || framing === 'until-close') {
    text += 'connection: close\r\n';
    lines++;
  } else if (isOld) {
    text += 'connection: keep-alive\r\n';
    lines++;
  }
  append(queue, `${text}\r\n`, lines);
  return framing;
}

/** Appends a 1xx; 101 with the protocol it switches to. */
export function writeInformational(queue: SendQueue, head: ResponseHead, upgrade?: string): void {
  let text = statusLine(head.status);
  let lines = 2;
  for (let i = 0; i < head.fields.length; i += 2) {
    if (head.fields[i] === 'content-length') continue;
    text += `${head.fields[i] ?? ''}: ${head.fields[i + 1] ?? ''}\r\n`;
    lines++;
  }
  if (upgrade !== undefined) {
    text += `connection: upgrade\r\nupgrade: ${upgrade}\r\n`;
    lines += 2;
  }
  append(queue, `${text}\r\n`, lines);
}

/** Appends the last chunk with its trailers. */
export function writeLastChunk(queue: SendQueue, trailers: HeaderFields = []): void {
  let text = '0\r\n';
  for (let i = 0; i < trailers.length; i += 2) text += `${trailers[i] ?? ''}: ${trailers[i + 1] ?? ''}\r\n`;
  append(queue, `${text}\r\n`, 2 + trailers.length / 2);
}

/** Appends the line that begins a chunk. */
export function writeChunkSize(queue: SendQueue, bytes: number): void {
  append(queue, `${bytes.toString(16)}\r\n`, 1);
}

function append(queue: SendQueue, text: string, lines: number): void {
  if (!queue.appendText(text, lines, linesIn)) throw illegal();
}

function illegal(): HttpError {
  return new HttpError('protocol', 'illegal-outgoing-field');
}

/** How many lines these are; -1 if a control octet is in one, one but the last is empty, or one begins with white space. */
function linesIn(bytes: Buffer, from: number, to: number): number {
  let lines = 0;
  let lineFrom = from;
  for (let at = from; at < to; at++) {
    const octet = bytes[at] ?? 0;
    if (octet >= SP) {
      if (octet === 0x7f || (octet === SP && at === lineFrom)) return -1;
    } else if (octet === CR) {
      if (bytes[at + 1] !== LF || (at === lineFrom && at + 2 !== to)) return -1;
      at++;
      lines++;
      lineFrom = at + 1;
    } else if (octet !== HTAB || at === lineFrom) return -1;
  }
  return lines;
}

/** Methods whose requests say so when they have no body (RFC 9110 §8.6). */
function mayHaveBody(method: string): boolean {
  return method === 'POST' || method === 'PUT' || method === 'PATCH';
}
