/**
 * The process that writes to the API server, as a controller would: over one HTTP/2 connection, and no more than that, so that
 * neither handshakes nor the objects it does not read are what is measured.
 */
import { once } from 'node:events';
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import { messageOf } from '@ambit/core/errors';
import { systemClock } from '@ambit/core/clock';
import { nowMs } from './measure.ts';
import type { Write, WriterAnswer, WriterOrder } from './writer.ts';

const { API_SERVER: server = '', API_ROOT: root = '', API_TOKEN: token = '' } = process.env;

let session: ClientHttp2Session | undefined;

async function connected(): Promise<ClientHttp2Session> {
  if (session && !session.destroyed && !session.closed) return session;
  const opened = connect(server, { ca: root, servername: 'localhost' });
  await once(opened, 'connect');
  opened.on('error', () => opened.destroy());
  session = opened;
  return opened;
}

async function patch(through: ClientHttp2Session, path: string, body: string): Promise<Write> {
  const sentMs = nowMs();
  const stream = through.request({
    [constants.HTTP2_HEADER_METHOD]: 'PATCH',
    [constants.HTTP2_HEADER_PATH]: path,
    [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/merge-patch+json',
    [constants.HTTP2_HEADER_ACCEPT]: 'application/json',
    authorization: `Bearer ${token}`,
  });
  stream.end(body);
  const [head] = (await once(stream, 'response')) as [Record<string, unknown>];
  const answeredMs = nowMs();
  stream.resume();
  await once(stream, 'close');
  const status = head[constants.HTTP2_HEADER_STATUS];
  if (status !== 200) throw new Error(`${path}: status ${String(status)}`);
  return { sentMs, answeredMs };
}

async function write({ paths, body, everyMs }: WriterOrder): Promise<readonly Write[]> {
  const through = await connected();
  const startedMs = nowMs();
  const writes: Promise<Write>[] = [];
  for (const [n, path] of paths.entries()) {
    await systemClock.sleep(Math.max(0, startedMs + n * everyMs - nowMs()));
    writes.push(patch(through, path, body));
  }
  return await Promise.all(writes);
}

function answer(message: WriterAnswer): void {
  process.send?.(message);
}

process.on('message', (order: WriterOrder) => {
  write(order).then(
    (writes) => answer({ kind: 'written', writes }),
    (error: unknown) => answer({ kind: 'failed', reason: messageOf(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
