import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { Deadlines } from '../deadlines.ts';
import type { BodyReceiver, ServerExchange } from '../exchange.ts';
import { DEFAULT_HTTP2_OPTIONS } from '../options.ts';
import { listenTransports, type TransportServer } from '../testing/plain-pair.ts';
import { serveHttp2 } from './server.ts';

/** The newest version that the Go module proxy serves. */
const VERSION = 'v2.2.1+incompatible';
const CACHE = new URL(`../../../../node_modules/.cache/ambit/h2spec-${VERSION}/`, import.meta.url).pathname;

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

const deadlines = new Deadlines(systemClock);
const options = { ...DEFAULT_HTTP2_OPTIONS, maxFrameBytes: 16_384, clock: systemClock, deadlines };
let server: TransportServer | undefined;

/** Answers whatever it is asked. */
function answer(exchange: ServerExchange): BodyReceiver {
  const say = () => {
    exchange.respond({ status: 200, fields: ['content-type', 'text/plain'] }, false);
    exchange.write(Buffer.from('an answer of some octets'));
    exchange.end();
  };
  if (exchange.head.endsHere) say();
  return { onData: (bytes) => exchange.credit(bytes.length), onEnd: say, onAbort() {}, onWritable() {} };
}

afterAll(async () => server?.[Symbol.asyncDispose]());

test('h2spec finds nothing wrong', async () => {
  const tool = await h2spec();
  if ('missing' in tool) {
    if (process.env['CI'] === 'true') throw new Error(tool.missing);
    process.stderr.write(`not run: ${tool.missing}\n`);
    return;
  }
  server = await listenTransports((transport) => serveHttp2(transport, { onRequest: answer }, options));
  const { port } = server;
  const folder = mkdtempSync(join(tmpdir(), 'ambit-h2spec-'));
  const report = join(folder, 'report.xml');
  await run(tool.path, ['-h', '127.0.0.1', '-p', String(port), '-o', '20', '-j', report]).catch(
    () => undefined,
  );

  const found = readFileSync(report, 'utf8');
  rmSync(folder, { recursive: true });
  const cases = [...found.matchAll(/<testcase ([^>]*?)(\/>|>[\s\S]*?<\/testcase>)/g)];
  const titleOf = (attributes: string) =>
    (/classname="([^"]*)"/.exec(attributes)?.[1] ?? '').replaceAll('&#34;', '"').replaceAll('&quot;', '"');
  const failed = cases
    .filter(([, , body = '']) => /<(failure|error)/.test(body))
    .map(([, attributes = '']) => titleOf(attributes));
  expect(cases.length).toBeGreaterThan(140);
  expect(failed).toEqual([]);
});
