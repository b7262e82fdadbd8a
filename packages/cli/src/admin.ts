/** One question to a proxy's admin port: HTTP over a port-forward, bounded in time and size. */
import { request } from 'node:http';
import type { Duplex } from 'node:stream';
import { messageOf } from '@ambit/core/errors';
import { ProxyError } from './errors.ts';
import { MAX_ADMIN_ANSWER_BYTES } from './limits.ts';

export interface AdminAnswer {
  readonly status: number;
  readonly body: string;
}

/** Connects to the admin port of one proxy. */
export type AdminDialer = (signal: AbortSignal) => Promise<Duplex>;

/**
 * @param proxy - Its name, for messages.
 * @throws {@link ProxyError} if there is no whole answer.
 */
async function askAdmin(
  proxy: string,
  dial: AdminDialer,
  path: string,
  signal: AbortSignal,
): Promise<AdminAnswer> {
  try {
    const stream = await dial(signal);
    try {
      return await exchange(stream, path, signal);
    } finally {
      stream.destroy();
    }
  } catch (error) {
    if (error instanceof ProxyError) throw error;
    throw new ProxyError(`${proxy} could not be asked: ${messageOf(error)}`, { cause: error });
  }
}

/** As {@link askAdmin}, and the answer must be JSON with status 200; `undefined` if the proxy has no such page. */
export async function askAdminJson(
  proxy: string,
  dial: AdminDialer,
  path: string,
  signal: AbortSignal,
): Promise<unknown> {
  const { status, body } = await askAdmin(proxy, dial, path, signal);
  if (status === 404) return undefined;
  if (status !== 200)
    throw new ProxyError(`${proxy} answered ${status} to ${path}: ${body.slice(0, 300).trim()}`);
  try {
    return JSON.parse(body) as unknown;
  } catch (error) {
    throw new ProxyError(`${proxy} answered ${path} with something that is not JSON`, { cause: error });
  }
}

function exchange(stream: Duplex, path: string, signal: AbortSignal): Promise<AdminAnswer> {
  return new Promise((resolve, reject) => {
    stream.on('error', reject);
    const asking = request({ path, signal, createConnection: () => stream, headers: { host: 'localhost' } });
    asking.on('error', reject);
    asking.on('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        chunks.push(chunk);
        if (size > MAX_ADMIN_ANSWER_BYTES)
          reject(new ProxyError(`the answer to ${path} is longer than ${MAX_ADMIN_ANSWER_BYTES} bytes`));
        if (size > MAX_ADMIN_ANSWER_BYTES) response.destroy();
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
      );
      response.on('aborted', () => reject(new ProxyError(`the answer to ${path} broke off`)));
      response.on('error', reject);
    });
    asking.end();
  });
}
