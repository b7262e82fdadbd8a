/** Request bodies: bounded, decoded from JSON or YAML, and refused where they nest or name fields dangerously. */
import type { IncomingMessage } from 'node:http';
import { messageOf } from '@ambit/core/errors';
import { parse } from 'yaml';
import { badRequest, StatusError } from '../errors.ts';
import { isObject, type Json, type JsonObject, refusalOf } from '../json.ts';
import { BODY_BYTES, JSON_DEPTH } from '../limits.ts';
import { decodeProtobuf } from './protobuf-body.ts';

/** The media type of the body, without parameters. */
export const mediaType = (request: IncomingMessage): string =>
  (request.headers['content-type'] ?? 'application/json').split(';')[0]?.trim().toLowerCase() ?? '';

/** @throws a 413 for more than the limit. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const tooLarge = () =>
    new StatusError('RequestEntityTooLarge', `Request entity too large: limit is ${BODY_BYTES}`);
  if (Number(request.headers['content-length'] ?? 0) > BODY_BYTES) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const PROTOBUF = 'application/vnd.kubernetes.protobuf';

/** @throws a 400 that says where the text goes wrong; a 415 for formats that are not known. */
export function decodeBody(body: Buffer, type: string): Json {
  const text = type === PROTOBUF ? '' : decodeUtf8(body);
  let value: Json;
  if (type === 'application/json' || type.endsWith('+json') || type === '') value = parseJson(text);
  else if (type === PROTOBUF) value = decodeProtobuf(body);
  else if (type === 'application/yaml' || type === 'application/apply-patch+yaml') value = parseYaml(text);
  else {
    throw new StatusError(
      'UnsupportedMediaType',
      `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml (got ${JSON.stringify(type.slice(0, 100))})`,
    );
  }
  const refusal = refusalOf(value, JSON_DEPTH);
  if (refusal !== undefined) throw badRequest(`the body of the request was refused: ${refusal}`);
  return value;
}

/** An object, or `{}` for an empty body. */
export async function readOptionalObject(request: IncomingMessage): Promise<JsonObject> {
  const body = await readBody(request);
  if (body.length === 0) return {};
  const value = decodeBody(body, mediaType(request));
  if (!isObject(value)) throw badRequest('the body of the request must be an object');
  return value;
}

function decodeUtf8(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw badRequest('the body of the request is not UTF-8');
  }
}

function parseJson(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw badRequest(`couldn't parse the body as JSON: ${messageOf(error)}`);
  }
}

function parseYaml(text: string): Json {
  if (/^\s*\{/.test(text)) return parseJson(text);
  try {
    // JSON's types alone, and no anchors: a few aliases of aliases make gigabytes.
    return parse(text, { schema: 'core', maxAliasCount: 0, logLevel: 'error' }) as Json;
  } catch (error) {
    throw badRequest(`couldn't parse the body as YAML: ${messageOf(error)}`);
  }
}
