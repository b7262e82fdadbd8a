import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Client, credentials } from '@grpc/grpc-js';
import {
  createCheckRequest,
  decodeCheckResponse,
  encodeCheckRequest,
} from '@ambit/api/external-authorization';
import { describe as describeSelf, type Self } from './about.ts';
import { HeldConnection } from './client/held-connection.ts';
import { checkOrder, Load } from './client/load.ts';
import { requestOnce } from './client/request.ts';
import { serveControl } from './control.ts';
import { Lifecycle } from './lifecycle.ts';
import type { LoadOrder, RequestKind } from './messages.ts';
import { AUTHORIZER_SERVICE } from './server/authorizer.ts';
import { serveGrpc } from './server/grpc.ts';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { type SuiteAuthority, suiteAuthority } from '../suite/kit/certificates.ts';
import { serveHttp, serveHttp2, serveHttps } from './server/http.ts';
import { serveTcp } from './server/tcp.ts';

const PLACE = { pod: 'here', namespace: 'shop', node: 'one' };
const SELF: Self = { ...PLACE, timesAsked: new Map<string, number>() };
const host = '127.0.0.1';
const lifecycle = new Lifecycle(0);
const ports = new Map<RequestKind | 'control', number>();
let control: Server;

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const portOf = (kind: RequestKind | 'control') => ports.get(kind) ?? 0;

beforeAll(async () => {
  for (const kind of ['http', 'http2', 'grpc', 'tcp', 'greeting', 'control'] as const)
    ports.set(kind, await freePort());
  ports.set('websocket', portOf('http'));
  await serveHttp(SELF, lifecycle, portOf('http'), '::');
  await serveHttp2(SELF, lifecycle, portOf('http2'));
  await serveGrpc(SELF, lifecycle, portOf('grpc'));
  await serveTcp(SELF, lifecycle, portOf('tcp'), false);
  await serveTcp(SELF, lifecycle, portOf('greeting'), true);
  control = await serveControl(SELF, portOf('control'), undefined);
});
afterAll(async () => {
  control.close();
  await lifecycle.end();
});

const order = (kind: RequestKind, over: Partial<LoadOrder>): LoadOrder => ({
  kind,
  host,
  port: portOf(kind),
  connections: 'new',
  requestsPerSecond: 200,
  durationMs: 60_000,
  ...over,
});

/** Ends it when so much was asked: how long that takes is the machine's affair. */
async function ended(load: Load, requests = 20) {
  for (;;) {
    const { ok, failed } = load.report();
    if (ok + failed >= requests) return await load.end();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe.each(['http', 'http2', 'grpc', 'websocket', 'tcp', 'greeting'] as const)('%s', (kind) => {
  test('one request is answered by who it reached', async () => {
    const outcome = await requestOnce({ kind, host, port: portOf(kind), timeoutMs: 30_000 });
    expect(outcome).toMatchObject({ ok: true });
    const server = outcome.ok ? outcome.server : undefined;
    if (kind === 'tcp') expect(server).toBeUndefined();
    else expect(server).toMatchObject({ ...PLACE, source: '127.0.0.1' });
  });

  test('nobody there is a failure with its reason', async () => {
    const outcome = await requestOnce({ kind, host, port: await freePort(), timeoutMs: 500 });
    expect(outcome).toMatchObject({ ok: false });
    expect(outcome.ok ? '' : outcome.error).toMatch(/ECONNREFUSED|no answer within 500 ms|before connect/);
  });

  test('a load on new connections counts every request', async () => {
    const report = await ended(new Load(order(kind, {})));
    expect(report).toMatchObject({ failed: 0, errors: [], reopened: 0 });
    expect(report.ok).toBeGreaterThan(10);
    expect(report.latencyMs.p50).toBeGreaterThan(0);
  });

  test('a load on held connections opens each once', async () => {
    const report = await ended(new Load(order(kind, { connections: 3 })));
    expect(report).toMatchObject({ failed: 0, errors: [], reopened: 0 });
    expect(report.ok).toBeGreaterThan(10);
  });
});

test('a load that is ended asks no more, and one that nobody answers counts failures', async () => {
  const load = new Load(order('http', { port: await freePort(), durationMs: 60_000 }));
  await new Promise((resolve) => setTimeout(resolve, 100));
  const report = await load.end();
  expect(report).toMatchObject({ running: false, ok: 0, latencyMs: { p50: 0, p99: 0, max: 0 } });
  expect(report.failed).toBeGreaterThan(0);
  expect(report.errors[0]?.error).toContain('ECONNREFUSED');
});

test('a load whose process stands still does not ask all at once what was due meanwhile, nor gives up what was answered', async () => {
  const silent = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', () =>
      setTimeout(() => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}'), 50),
    );
  }).listen(0, host);
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const load = new Load(order('http', { port, timeoutMs: 1_000 }));
  while (load.report().ok < 5) await new Promise((resolve) => setTimeout(resolve, 5));
  const before = load.report().ok;
  const until = performance.now() + 4_000;
  while (performance.now() < until);
  await new Promise((resolve) => setTimeout(resolve, 100));
  const report = await load.end();
  expect(report).toMatchObject({ failed: 0 });
  // Of two hundred a second that were due.
  expect(report.ok - before).toBeLessThan(200);
  expect(report.stoodStillMs).toBeGreaterThan(3_500);
  silent.close();
});

test('a close that crosses a request makes a held connection ask once more, and a second one fails it', async () => {
  let requests = 0;
  const crossing = createServer((socket) => {
    let asked = 0;
    socket.on('error', () => {});
    socket.on('data', () => {
      requests++;
      if (asked++ > 0) socket.destroy();
      else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}');
    });
  }).listen(0, host);
  await once(crossing, 'listening');
  const { port } = crossing.address() as AddressInfo;
  const one = (held: number) =>
    ended(new Load(order('http', { port, connections: held, requestsPerSecond: 20 })), 6);
  const report = await one(1);
  expect(report).toMatchObject({ failed: 0, reopened: report.crossed });
  expect(report.crossed).toBe(report.ok - 1);
  expect(requests).toBe(report.ok + report.crossed);
  expect(report.crossed).toBeGreaterThan(2);
  crossing.close();
});

test('a server that hangs up between questions makes a held connection reopen, not fail', async () => {
  const closed: Promise<unknown>[] = [];
  const fickle = createServer((socket) => {
    // Its end of it is closed when the other end has seen the hang-up: no question is on its way then.
    closed.push(once(socket, 'close'));
    socket.on('data', (data) => socket.end(data));
  }).listen(0, host);
  await once(fickle, 'listening');
  const { port } = fickle.address() as AddressInfo;
  const held = new HeldConnection(order('tcp', { port, connections: 1, timeoutMs: 30_000 }));
  for (let asked = 0; asked < 3; asked++) {
    await held.ask();
    expect(held).toMatchObject({ reopened: asked, crossed: 0 });
    await closed[asked];
  }
  expect(closed).toHaveLength(3);
  fickle.close();
});

describe('an authorizer', () => {
  const asked = (allow: string) =>
    encodeCheckRequest(
      createCheckRequest({
        attributes: { request: { http: { headers: new Map([['x-allow', allow]]) } } },
      }),
    );
  const check = (allow: string) =>
    new Promise((resolve, reject) => {
      const client = new Client(`${host}:${portOf('grpc')}`, credentials.createInsecure());
      const { path, requestSerialize, responseDeserialize } = AUTHORIZER_SERVICE.Check;
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        Buffer.from(asked(allow)),
        (error, answer) => {
          client.close();
          if (error || !answer) reject(error ?? new Error('nothing'));
          else resolve(decodeCheckResponse(answer).httpResponse?.$case);
        },
      );
    });

  test('says yes over gRPC to who asks for it', async () => {
    expect([await check('yes'), await check('no')]).toEqual(['okResponse', 'deniedResponse']);
  });

  test('says so over HTTP, and what is answered is told where that is wanted', async () => {
    const ask = (allow: string) =>
      requestOnce({
        kind: 'http',
        host,
        port: portOf('http'),
        path: '/authorize/x',
        headers: { 'x-allow': allow },
        wantsAnswer: true,
      });
    expect(await ask('yes')).toMatchObject({
      answer: { status: 200, headers: { 'x-authorized-by': 'here' } },
    });
    expect(await ask('no')).toMatchObject({ answer: { status: 403 }, server: { path: '/authorize/x' } });
  });
});

describe('over TLS', () => {
  let authority: SuiteAuthority;
  let port: number;
  const secured = async (alpn: string, client: { readonly cert?: string; readonly key?: string }) => {
    const options = { ca: authority.certificate, servername: 'echo.test', ALPNProtocols: [alpn], ...client };
    const socket = connectTls({ host, port, ...options });
    await once(socket, 'secureConnect');
    return socket;
  };

  beforeAll(async () => {
    authority = await suiteAuthority('ca');
    port = await freePort();
    const tls = { ...(await authority.issue({ dnsNames: ['echo.test'] })), clientCa: authority.certificate };
    await serveHttps(SELF, lifecycle, port, tls);
  });

  async function overHttp1(socket: TLSSocket): Promise<string> {
    socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    return (await socket.setEncoding('utf8').toArray()).join('');
  }

  async function overHttp2(socket: TLSSocket): Promise<string> {
    const session = connectHttp2('https://x', { createConnection: () => socket });
    const text = (await session.request({ ':path': '/' }).setEncoding('utf8').toArray()).join('');
    session.close();
    return text;
  }

  test.each([
    { alpn: 'http/1.1', protocol: 'HTTP/1.1', ask: overHttp1 },
    { alpn: 'h2', protocol: 'HTTP/2', ask: overHttp2 },
  ])('$alpn: it says what it was asked for, and by whom', async ({ alpn, protocol, ask }) => {
    const { certificate: cert, key } = await authority.issue({ commonName: 'asker' });
    const text = await ask(await secured(alpn, { cert, key }));
    expect(JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1))).toMatchObject({
      protocol,
      tls: { serverName: 'echo.test', alpn, client: 'asker' },
    });
  });

  test('who must have a certificate and has none is not heard', async () => {
    const socket = await secured('http/1.1', {});
    await expect(overHttp1(socket)).rejects.toThrow(/certificate required|ECONNRESET/);
  });
});

test.each([
  ['no rate', { requestsPerSecond: 0 }],
  ['too long', { durationMs: 1e9 }],
  ['too many connections', { connections: 1e6 }],
])('%s is refused', (_, over) => {
  expect(() => checkOrder(order('http', over))).toThrow(RangeError);
});

test('the control port takes orders, reports, and says what it does not know', async () => {
  const ask = async (method: string, path: string, body?: unknown) => {
    const answer = await fetch(`http://${host}:${portOf('control')}${path}`, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return [answer.status, await answer.json()] as const;
  };
  expect(await ask('POST', '/request', { kind: 'http', host, port: portOf('http') })).toMatchObject([
    200,
    { ok: true, server: PLACE },
  ]);
  expect(await ask('POST', '/loads', order('http', { durationMs: 10_000 }))).toEqual([200, { id: '1' }]);
  expect(await ask('GET', '/loads/1')).toMatchObject([200, { running: true }]);
  expect(await ask('POST', '/loads/1/end')).toMatchObject([200, { running: false, failed: 0 }]);
  expect(await ask('GET', '/loads/7')).toEqual([404, { error: 'no load 7' }]);
  expect(await ask('GET', '/clock')).toEqual([200, { nowMs: expect.any(Number) }]);
  expect(await ask('GET', '/first')).toEqual([404, { error: 'no first request was ordered' }]);
  expect(await ask('POST', '/loads', order('http', { durationMs: 0 }))).toMatchObject([400, {}]);
  expect(await ask('PUT', '/x')).toMatchObject([404, {}]);
});

test('the control port makes its answers fail, and be well again', async () => {
  const becomes = async (amiss: object) =>
    await fetch(`http://${host}:${portOf('control')}/amiss`, { method: 'POST', body: JSON.stringify(amiss) });
  const status = async () => (await fetch(`http://${host}:${portOf('http')}/`)).status;
  await becomes({ status: 503 });
  expect(await status()).toBe(503);
  await becomes({});
  expect(await status()).toBe(200);
});

test.each(['http', 'http2', 'grpc', 'websocket', 'tcp', 'greeting'] as const)(
  '%s of an IPv6 address',
  async (kind) => {
    const outcome = await requestOnce({ kind, host: '::1', port: portOf(kind), timeoutMs: 30_000 });
    expect(outcome).toMatchObject({ ok: true });
  },
);

test('an IPv4 client of a dual-stack socket is described by its IPv4 address', () => {
  expect(describeSelf(SELF, '::ffff:10.0.0.1', 'TCP')).toEqual({
    ...PLACE,
    source: '10.0.0.1',
    protocol: 'TCP',
  });
});
