import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { DuplexTransport } from '../transport/duplex-transport.ts';
import { DEFAULT_SESSION_OPTIONS, H2Session } from './session.ts';
import type { H2Stream, StreamHandler } from './stream.ts';

/** The newest version that the Go module proxy serves. */
const VERSION = 'v2.2.1+incompatible';
const CACHE = new URL(`../../../../node_modules/.cache/ambit/h2spec-${VERSION}/`, import.meta.url).pathname;

/** Cases that a server of tunnels alone cannot meet, and why. */
const NOT_APPLICABLE: Readonly<Record<string, string>> = {
  'Sends a HEADERS frame with the "content-length" header field which does not equal the DATA frame payload length':
    'a CONNECT request has no content, so content-length means nothing (RFC 9110 §9.3.6)',
  'Sends a HEADERS frame with the "content-length" header field which does not equal the sum of the multiple DATA frames payload length':
    'as above',
};

const run = promisify(execFile);

/** h2spec built from its Go module; a reason in words when that is not possible here. */
async function h2spec(): Promise<{ readonly path: string } | { readonly missing: string }> {
  const path = join(CACHE, 'h2spec');
  if (existsSync(path)) return { path };
  mkdirSync(CACHE, { recursive: true });
  try {
    const env = { ...process.env, GOBIN: CACHE };
    await run('go', ['install', `github.com/summerwind/h2spec/cmd/h2spec@${VERSION}`], { env });
    return { path };
  } catch (error) {
    return { missing: `h2spec could not be built with Go: ${String(error)}` };
  }
}

const status = [{ name: ':status', value: '200', indexed: true }];

/** Answers whatever it is asked, since h2spec asks with GET and POST. */
class Answer implements StreamHandler {
  onHeaders() {}
  onData(stream: H2Stream, bytes: Buffer) {
    stream.credit(bytes.length);
  }
  onEnd(stream: H2Stream) {
    stream.respond(status, false);
    stream.write(Buffer.from('an answer of some octets'));
    stream.end();
  }
  onReset() {}
  onWritable() {}
}

const sockets = new Set<Socket>();
const server = createServer((socket) => {
  sockets.add(socket);
  const handler = { onStream: () => new Answer(), onClosed() {} };
  const options = { ...DEFAULT_SESSION_OPTIONS, maxFrameBytes: 16_384, clock: systemClock };
  new H2Session('server', new DuplexTransport(socket, 'h2spec'), handler, options);
});

afterAll(() => {
  for (const socket of sockets) socket.destroy();
  server.close();
});

test('h2spec finds nothing wrong', async () => {
  const tool = await h2spec();
  if ('missing' in tool) {
    if (process.env['CI'] === 'true') throw new Error(tool.missing);
    process.stderr.write(`not run: ${tool.missing}\n`);
    return;
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const report = join(mkdtempSync(join(tmpdir(), 'ambit-h2spec-')), 'report.xml');
  await run(tool.path, ['-h', '127.0.0.1', '-p', String(port), '-o', '2', '-j', report]).catch(
    () => undefined,
  );

  const cases = [...readFileSync(report, 'utf8').matchAll(/<testcase ([^>]*?)(\/>|>[\s\S]*?<\/testcase>)/g)];
  const titleOf = (attributes: string) =>
    (/classname="([^"]*)"/.exec(attributes)?.[1] ?? '').replaceAll('&#34;', '"').replaceAll('&quot;', '"');
  const failed = cases
    .filter(([, , body = '']) => /<(failure|error)/.test(body))
    .map(([, attributes = '']) => titleOf(attributes));
  expect(cases.length).toBeGreaterThan(140);
  expect(failed.filter((title) => NOT_APPLICABLE[title] === undefined)).toEqual([]);
}, 120_000);
