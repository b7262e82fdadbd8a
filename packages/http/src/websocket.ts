/** The part of a WebSocket's handshake that HTTP/1.1 has and HTTP/2 has not (RFC 6455 §4, RFC 8441 §5). */
import { createHash, randomBytes } from 'node:crypto';
import type { RequestHead } from './exchange.ts';
import { fieldValue, type HeaderFields } from './header-fields.ts';

const MAGIC = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const KEY_BYTES = 16;

/** A request's fields for HTTP/1.1: with the key that a WebSocket must have, if it came without. */
export function withWebSocketKey({ fields, upgrade }: RequestHead): HeaderFields {
  if (upgrade !== 'websocket' || fieldValue(fields, 'sec-websocket-key') !== undefined) return fields;
  return [...fields, 'sec-websocket-key', randomBytes(KEY_BYTES).toString('base64')];
}

/** An answer's fields for HTTP/1.1: with what proves to the client that its key was read, if they came without. */
export function withWebSocketAccept(fields: HeaderFields, request: RequestHead): HeaderFields {
  const key = fieldValue(request.fields, 'sec-websocket-key');
  if (request.upgrade !== 'websocket' || key === undefined) return fields;
  if (fieldValue(fields, 'sec-websocket-accept') !== undefined) return fields;
  const accept = createHash('sha1').update(`${key}${MAGIC}`).digest('base64');
  return [...fields, 'sec-websocket-accept', accept];
}
