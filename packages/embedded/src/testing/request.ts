/** A plain HTTPS client for tests, so that they see exactly what the server says. */
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { JsonObject } from '../json.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly text: string;
  /** The body as JSON; empty when it is none. */
  readonly body: JsonObject;
}

interface Served {
  readonly url: string;
  readonly caPem: string;
}

export type Requester = (
  method: string,
  path: string,
  body?: unknown,
  type?: string,
  headers?: Readonly<Record<string, string>>,
) => Promise<Answer>;

/** @param token - Whose; `undefined`: nobody's. */
export function requester(api: Served, token: string | undefined): Requester {
  return async (method, path, body, type = 'application/json', headers = {}) => {
    const response = await open(api, token, method, path, body, type, headers);
    let text = '';
    for await (const chunk of response) text += String(chunk);
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      text,
      body: text.startsWith('{') ? (JSON.parse(text) as JsonObject) : {},
    };
  };
}

/** The answer while it still comes in: for watches. */
export async function open(
  api: Served,
  token: string | undefined,
  method: string,
  path: string,
  body?: unknown,
  type = 'application/json',
  headers: Readonly<Record<string, string>> = {},
): Promise<IncomingMessage> {
  const bytes =
    body === undefined
      ? undefined
      : Buffer.isBuffer(body)
        ? body
        : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return await new Promise((resolve, reject) => {
    const sent = request(
      `${api.url}${path}`,
      {
        method,
        ca: api.caPem,
        agent: false,
        headers: {
          ...(token !== undefined && { Authorization: `Bearer ${token}` }),
          ...(bytes && { 'Content-Type': type, 'Content-Length': bytes.length }),
          ...headers,
        },
      },
      resolve,
    );
    sent.on('error', reject);
    sent.end(bytes);
  });
}

export interface Watching extends AsyncDisposable {
  /** The next event, waited for. */
  next(): Promise<JsonObject>;
}

/** Reads a watch line by line. */
export async function watching(api: Served, token: string, path: string): Promise<Watching> {
  const response = await open(api, token, 'GET', path);
  const lines = linesOf(response);
  return {
    next: async () => {
      const { value, done } = await lines.next();
      if (done) throw new Error('the watch ended');
      return JSON.parse(value) as JsonObject;
    },
    [Symbol.asyncDispose]: async () => {
      response.destroy();
      await lines.return(undefined);
    },
  };
}

/** The lines of a stream, as they come. */
export async function* linesOf(stream: AsyncIterable<unknown>): AsyncGenerator<string, void, undefined> {
  let rest = '';
  for await (const chunk of stream) {
    rest += String(chunk);
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}
