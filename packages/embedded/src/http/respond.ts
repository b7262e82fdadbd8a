/** Answers: JSON, or YAML for those who ask for it; failures as a Status. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { LimitError, MeshError, messageOf } from '@ambit/core/errors';
import { stringify } from 'yaml';
import { StatusError, statusOf } from '../errors.ts';
import type { Json } from '../json.ts';
import { WARNINGS } from '../limits.ts';

export interface Reply {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly warnings: string[];
}

export function sendJson(reply: Reply, status: number, body: Json, contentType = 'application/json'): void {
  const yaml =
    contentType === 'application/json' && /^application\/yaml\b/.test(reply.request.headers.accept ?? '');
  sendText(
    reply,
    status,
    yaml ? stringify(body) : `${JSON.stringify(body)}\n`,
    yaml ? 'application/yaml' : contentType,
  );
}

export function sendText(reply: Reply, status: number, body: string | Buffer, contentType: string): void {
  const { response } = reply;
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-cache, private',
    ...warningHeader(reply.warnings),
  });
  response.end(reply.request.method === 'HEAD' ? undefined : body);
}

export function warningHeader(warnings: readonly string[]): Readonly<Record<string, string[]>> {
  if (warnings.length === 0) return {};
  const texts = [...new Set(warnings)].slice(0, WARNINGS).map((text) => {
    const safe = text.replace(/[^\x20-\x7e]/g, '?').slice(0, 1_000);
    return `299 - "${safe.replace(/[\\"]/g, '\\$&')}"`;
  });
  return { Warning: texts };
}

/** Any failure as a `StatusError`; what nobody foresaw says only what it was. */
export function asStatusError(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  if (error instanceof LimitError) {
    return new StatusError('TooManyRequests', error.message, { retryAfterSeconds: 5, cause: error });
  }
  // What one of our own parts says is the caller's fault: a pod that does not run, say.
  if (error instanceof MeshError && error.side === 'downstream') {
    return new StatusError('BadRequest', error.message, { cause: error });
  }
  return new StatusError('InternalError', `Internal error occurred: ${messageOf(error)}`, { cause: error });
}

export function sendError(reply: Reply, error: unknown): void {
  const status = asStatusError(error);
  if (status.retryAfterSeconds !== undefined && !reply.response.headersSent) {
    reply.response.setHeader('Retry-After', String(status.retryAfterSeconds));
  }
  if (!reply.response.headersSent && !reply.request.complete) reply.response.setHeader('Connection', 'close');
  sendJson(reply, status.status, statusOf(status));
}
