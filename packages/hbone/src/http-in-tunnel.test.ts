/** HTTP over streams of tunnels, as waypoints have it: client → proxy → tunnel → proxy → server, with checksummed bodies. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { Deadlines } from '@ambit/http/deadlines';
import type { BodyReceiver, HttpClientConnection, ServerExchange } from '@ambit/http/exchange';
import { connectHttp1 } from '@ambit/http/h1/client';
import { connectHttp2 } from '@ambit/http/h2/client';
import { DEFAULT_SESSION_OPTIONS } from '@ambit/http/h2/session';
import {
  DEFAULT_HTTP1_OPTIONS,
  DEFAULT_HTTP1_SERVER_OPTIONS,
  DEFAULT_HTTP2_CLIENT_OPTIONS,
  DEFAULT_HTTP2_OPTIONS,
} from '@ambit/http/options';
import { serveHttp } from '@ambit/http/serve';
import { forward } from '@ambit/http/testing/forward';
import { connectTransport, listenTransports } from '@ambit/http/testing/plain-pair';
import { StreamTransport } from '@ambit/http/transport/stream-transport';
import type { Transport } from '@ambit/http/transport/transport';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';
import {
  clientTlsOptions,
  serverTlsOptions,
  verifyClientPeer,
  verifyServerPeer,
} from '@ambit/identity/tls-context';
import { openTunnel } from './client.ts';
import { acceptFields, connectFields } from './headers.ts';
import { TunnelPool } from './pool.ts';
import { QueueBudget } from './queue-budget.ts';
import { TunnelServer } from './server.ts';
import { listenHandles } from './testing/proxied-path.ts';
import { newTraceparent } from './trace-context.ts';

const ALICE = 'spiffe://td/ns/shop/sa/alice';
const BOB = 'spiffe://td/ns/shop/sa/bob';
const deadlines = new Deadlines(systemClock);
const clock = systemClock;
const session = { ...DEFAULT_SESSION_OPTIONS, clock };

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0).reverse()) clean();
});

/** What a proxy does with each request, before the connection for it is there: its events wait. */
function carry(exchange: ServerExchange, connection: Promise<HttpClientConnection>): BodyReceiver {
  let receiver: BodyReceiver | undefined;
  const waiting: ((receiver: BodyReceiver) => void)[] = [];
  void connection.then((made) => {
    receiver = forward(exchange, made);
    for (const event of waiting) event(receiver);
  });
  const later = (event: (receiver: BodyReceiver) => void) =>
    void (receiver ? event(receiver) : waiting.push(event));
  return {
    onData(bytes) {
      const kept = receiver ? bytes : Buffer.from(bytes);
      later((to) => to.onData(kept));
    },
    onEnd: (trailers) => later((to) => to.onEnd(trailers)),
    onAbort: (error) => later((to) => to.onAbort(error)),
    onWritable: () => later((to) => to.onWritable()),
  };
}

/** Where clients connect; `version` is spoken within the tunnel. */
async function tunnelled(
  version: '1.1' | '2',
  backend: number,
  budgets: { in: QueueBudget; out: QueueBudget },
): Promise<{ port: number; pool: TunnelPool }> {
  const ca = await createSelfSignedCa({ clock });
  const [alice, bob] = await Promise.all([ca.issueWorkload(ALICE), ca.issueWorkload(BOB)]);
  const options = (budget: QueueBudget) => ({
    http1: { ...DEFAULT_HTTP1_SERVER_OPTIONS, deadlines, budget },
    http2: { ...DEFAULT_HTTP2_OPTIONS, deadlines, clock, budget },
  });
  const server = new TunnelServer({
    session,
    budget: budgets.in,
    tls: () => Promise.resolve(serverTlsOptions(bob)),
    verify: (socket) => verifyClientPeer(socket, ['td']),
    onRefused: () => undefined,
    onStream: (_tunnel, stream) => {
      stream.respond(acceptFields(''), false);
      const transport = new StreamTransport(stream, 'client');
      serveHttp(
        transport,
        {
          onRequest: (exchange) =>
            carry(
              exchange,
              connectTransport(backend).then((plain) =>
                connectHttp1(plain, {}, { ...DEFAULT_HTTP1_OPTIONS, deadlines }),
              ),
            ),
        },
        options(budgets.in),
      );
      return stream.handler;
    },
  });
  const tunnels = await listenHandles((handle) => server.accept(handle));
  const pool = new TunnelPool({
    clock,
    maxStreams: 100,
    unusedReleaseMs: 60_000,
    budget: budgets.out,
    streamWindowBytes: session.streamWindowBytes,
  });
  const stream = async (): Promise<Transport> => {
    const tunnel = await pool.get('bob', (handler) =>
      openTunnel(
        {
          to: { ip: '127.0.0.1', port: tunnels.port },
          fd: undefined,
          tls: clientTlsOptions(alice),
          verify: (socket) => verifyServerPeer(socket, [BOB]),
          session,
        },
        handler,
      ),
    );
    return new Promise((resolve, reject) => {
      const fields = connectFields({
        authority: '10.0.0.2:80',
        baggage: '',
        client: { ip: '10.0.0.1', port: 1 },
        host: undefined,
        traceparent: newTraceparent(),
        sourceNetwork: undefined,
      });
      tunnel.session.request(fields, {
        onHeaders: (opened) => resolve(new StreamTransport(opened, 'bob')),
        onData() {},
        onEnd() {},
        onReset: (_, error) => reject(error),
        onWritable() {},
      });
    });
  };
  let shared: Promise<HttpClientConnection> | undefined;
  const connect = (): Promise<HttpClientConnection> => {
    if (version === '1.1')
      return stream().then((made) =>
        connectHttp1(made, {}, { ...DEFAULT_HTTP1_OPTIONS, deadlines, budget: budgets.out }),
      );
    shared ??= stream().then((made) =>
      connectHttp2(made, {}, { ...DEFAULT_HTTP2_CLIENT_OPTIONS, deadlines, clock, budget: budgets.out }),
    );
    return shared;
  };
  const proxy = await listenTransports((transport) => {
    serveHttp(transport, { onRequest: (exchange) => carry(exchange, connect()) }, options(budgets.out));
  });
  cleanups.push(() => {
    pool.close('destroy');
    server.destroy();
    tunnels.server.close();
    void proxy[Symbol.asyncDispose]();
  });
  return { port: proxy.port, pool };
}

/** Octets that depend on the seed and the position, so that a byte of another exchange shows. */
function* pattern(seed: number, totalBytes: number): Generator<Buffer> {
  for (let at = 0, n = 0; at < totalBytes; n++) {
    const size = Math.min(totalBytes - at, 1 + ((seed * 7_919 + n * 104_729) % 200_000));
    const piece = Buffer.alloc(size);
    for (let i = 0; i + 4 <= size; i += 4) piece.writeUInt32LE(((seed << 28) ^ (at + i)) >>> 0, i);
    at += size;
    yield piece;
  }
}

const TOTAL_BYTES = 16 * 1024 * 1024;

function digestOf(seed: number): string {
  const hash = createHash('sha256');
  for (const piece of pattern(seed, TOTAL_BYTES)) hash.update(piece);
  return hash.digest('hex');
}

interface Sink {
  write(piece: Buffer): boolean;
  end(): unknown;
  once(event: 'drain', then: () => void): unknown;
}

async function pour(seed: number, into: Sink): Promise<void> {
  for (const piece of pattern(seed, TOTAL_BYTES)) if (!into.write(piece)) await once(into as never, 'drain');
  into.end();
}

async function digest(message: IncomingMessage): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of message) hash.update(piece as Buffer);
  return hash.digest('hex');
}

/** Takes what it is sent and answers with its digest; sends what it is asked for; or, asked to stall, reads nothing. */
async function application(): Promise<{ port: number; stalled: IncomingMessage[] }> {
  const stalled: IncomingMessage[] = [];
  const server: Server = createServer((message, response) => {
    const [, what = '', seed = ''] = (message.url ?? '').split('/');
    if (what === 'stall') stalled.push(message);
    else if (what === 'down') void pour(Number(seed), response).catch(() => undefined);
    else
      void digest(message).then(
        (text) => response.end(text),
        () => undefined,
      );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, stalled };
}

async function until(holds: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 5_000 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  if (!holds()) throw new Error(`waited in vain until ${what}`);
}

const agent = new Agent({ keepAlive: false });
const ask = (port: number, method: string, path: string) =>
  request({ host: '127.0.0.1', port, method, path, agent });
const answered = async (asked: ReturnType<typeof ask>) =>
  ((await once(asked, 'response')) as [IncomingMessage])[0];

describe.each(['1.1', '2'] as const)('HTTP/%s within a tunnel', (version) => {
  const budgets = () => ({ in: new QueueBudget(32 * 1024 * 1024), out: new QueueBudget(32 * 1024 * 1024) });

  test('a server that stalls holds nobody up: two uploads arrive as they were sent', async () => {
    const backend = await application();
    const { port, pool } = await tunnelled(version, backend.port, budgets());
    const slow = ask(port, 'POST', '/stall');
    slow.on('error', () => undefined);
    void pour(3, slow).catch(() => undefined);
    await until(() => backend.stalled.length === 1, 'the stalled one is there');
    const busy = [1, 2].map(async (seed) => {
      const upload = ask(port, 'POST', '/up');
      await Promise.all([
        pour(seed, upload),
        answered(upload).then(async (message) => {
          let text = '';
          for await (const piece of message.setEncoding('latin1')) text += String(piece);
          expect(text).toBe(digestOf(seed));
        }),
      ]);
    });
    await Promise.all(busy);
    expect(pool.openTunnels).toBe(1);
    const [late] = backend.stalled;
    if (late) expect(await digest(late)).toBe(digestOf(3));
    slow.destroy();
  });

  test('a client that stalls holds nobody up: two downloads arrive as they were sent', async () => {
    const backend = await application();
    const held = budgets();
    const { port } = await tunnelled(version, backend.port, held);
    const slow = ask(port, 'GET', '/down/3');
    slow.end();
    const late = await answered(slow);
    late.pause();
    const busy = [1, 2].map(async (seed) => {
      const download = ask(port, 'GET', `/down/${seed}`);
      download.end();
      expect(await digest(await answered(download))).toBe(digestOf(seed));
    });
    await Promise.all(busy);
    expect(await digest(late)).toBe(digestOf(3));
    await until(() => held.in.usedBytes === 0 && held.out.usedBytes === 0, 'nothing is held any more');
  });
});
