/** What we say and hear, held against other implementations: Node's, undici's, curl's; through every pair of versions. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import * as http from 'node:http';
import * as http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { Deadlines } from './deadlines.ts';
import type { HttpClientConnection } from './exchange.ts';
import { connectHttp1 } from './h1/client.ts';
import { connectHttp2 } from './h2/client.ts';
import {
  DEFAULT_HTTP1_OPTIONS,
  DEFAULT_HTTP1_SERVER_OPTIONS,
  DEFAULT_HTTP2_CLIENT_OPTIONS,
  DEFAULT_HTTP2_OPTIONS,
} from './options.ts';
import { serveHttp } from './serve.ts';
import { forward } from './testing/forward.ts';
import { connectTransport, listenTransports, type TransportServer } from './testing/plain-pair.ts';

const run = promisify(execFile);
const deadlines = new Deadlines(systemClock);
const http1 = { ...DEFAULT_HTTP1_SERVER_OPTIONS, deadlines };
const http2Options = { ...DEFAULT_HTTP2_OPTIONS, deadlines, clock: systemClock };

type AnyRequest = http.IncomingMessage | http2.Http2ServerRequest;
type AnyResponse = http.ServerResponse | http2.Http2ServerResponse;

/** What the backends do, by path. */
async function answer(request: AnyRequest, response: AnyResponse): Promise<void> {
  const { pathname } = new URL(request.url ?? '', 'http://x');
  const reply = response as http.ServerResponse;
  switch (pathname) {
    case '/echo': {
      const body = await buffer(request);
      reply.setHeader('x-method', request.method ?? '');
      reply.setHeader('x-digest', createHash('sha256').update(body).digest('hex'));
      reply.setHeader('x-trailers', JSON.stringify(request.trailers));
      reply.end(body);
      return;
    }
    case '/trailers':
      reply.writeHead(200, { trailer: 'x-sum' });
      reply.write('some');
      reply.addTrailers({ 'x-sum': '42' });
      reply.end();
      return;
    case '/early':
      reply.writeEarlyHints({ link: '</style.css>; rel=preload' });
      reply.end('late');
      return;
    case '/nothing':
      reply.writeHead(204);
      reply.end();
      return;
    case '/headers':
      reply.setHeader('set-cookie', ['a=1', 'b=2']);
      reply.end(JSON.stringify(request.headers));
      return;
    case '/cut':
      reply.writeHead(200, { 'content-length': '100' });
      reply.write('half');
      setTimeout(() => reply.destroy(), 20);
      return;
    case '/large':
      reply.setHeader('content-length', 8 * 1024 * 1024);
      reply.end(Buffer.alloc(8 * 1024 * 1024, 'x'));
      return;
    default:
      reply.writeHead(404);
      reply.end('no');
  }
}

const backends = {
  '1.1': http.createServer((request, response) => void answer(request, response)),
  '2': http2.createServer(
    { settings: { enableConnectProtocol: true } },
    (request, response) => void answer(request, response),
  ),
};
/** Proxies by the version they speak with their backend; clients speak what they like. */
const proxies = new Map<string, TransportServer>();
const refused: string[] = [];

async function upstream(version: '1.1' | '2'): Promise<HttpClientConnection> {
  const transport = await connectTransport((backends[version].address() as AddressInfo).port);
  return version === '2'
    ? connectHttp2(transport, {}, { ...DEFAULT_HTTP2_CLIENT_OPTIONS, deadlines, clock: systemClock })
    : connectHttp1(transport, {}, { ...DEFAULT_HTTP1_OPTIONS, deadlines });
}

/** What a switched connection says comes back in capitals. */
function shout(tunnel: Duplex): void {
  tunnel.on('data', (piece: Buffer) => tunnel.write(String(piece).toUpperCase()));
  tunnel.on('end', () => tunnel.end());
  tunnel.on('error', () => undefined);
}

beforeAll(async () => {
  backends['1.1'].on('upgrade', (request: http.IncomingMessage, socket: Duplex) => {
    const key = request.headers['sec-websocket-key'] ?? '';
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    shout(socket);
  });
  backends['2'].on('connect', (_request: unknown, response: http2.Http2ServerResponse) => {
    response.stream.respond({ ':status': 200 });
    shout(response.stream);
  });
  for (const version of ['1.1', '2'] as const) {
    const backend = backends[version];
    backend.on('checkContinue', (request: AnyRequest, response: http.ServerResponse) => {
      response.writeContinue();
      void answer(request, response);
    });
    backend.listen(0, '127.0.0.1');
    await once(backend, 'listening');
    const idle: HttpClientConnection[] = [];
    proxies.set(
      version,
      await listenTransports((transport) => {
        serveHttp(
          transport,
          {
            onRequest(exchange) {
              const waiting: (() => void)[] = [];
              let receiver: ReturnType<typeof forward> | undefined;
              const go = (connection: HttpClientConnection) => {
                receiver = forward(exchange, connection, () => {
                  if (connection.canRequest) idle.push(connection);
                  else if (connection.version === '1.1')
                    queueMicrotask(() => connection.canRequest && idle.push(connection));
                });
                for (const event of waiting) event();
              };
              const kept = idle.pop();
              if (kept?.canRequest) go(kept);
              else void upstream(version).then(go);
              const later = (event: () => void) => void (receiver ? event() : waiting.push(event));
              return {
                onData(bytes) {
                  const copy = Buffer.from(bytes);
                  later(() => receiver?.onData(copy));
                },
                onEnd: (trailers) => later(() => receiver?.onEnd(trailers)),
                onAbort: (error) => later(() => receiver?.onAbort(error)),
                onWritable: () => later(() => receiver?.onWritable()),
              };
            },
            onRefused: (error) => refused.push(error.reason),
          },
          { http1, http2: http2Options },
        );
      }),
    );
  }
});

afterAll(async () => {
  for (const proxy of proxies.values()) await proxy[Symbol.asyncDispose]();
  backends['1.1'].closeAllConnections();
  backends['1.1'].close();
  backends['2'].close();
});

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
  readonly trailers: Readonly<Record<string, unknown>>;
  readonly early: readonly string[];
}

interface Question {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Buffer;
  readonly trailers?: Readonly<Record<string, string>>;
}

/** Node's own clients. */
const clients: Record<string, (port: number, question: Question) => Promise<Answer>> = {
  'HTTP/1.1': (port, { method = 'GET', path, headers = {}, body, trailers }) =>
    new Promise((resolve, reject) => {
      const early: string[] = [];
      const request = http.request(
        { host: '127.0.0.1', port, method, path, headers: headers as http.OutgoingHttpHeaders, agent: false },
        (response) => {
          buffer(response).then(
            (received) =>
              resolve({
                status: response.statusCode ?? 0,
                headers: response.headers,
                body: received,
                trailers: response.trailers,
                early,
              }),
            reject,
          );
        },
      );
      request.on('error', reject);
      request.on('information', ({ headers: hints }: { headers: { link?: string } }) =>
        early.push(hints.link ?? ''),
      );
      if (trailers) {
        request.setHeader('trailer', Object.keys(trailers).join(','));
        request.addTrailers(trailers);
      }
      if (headers['expect'] === undefined) request.end(body);
      else request.on('continue', () => request.end(body));
    }),
  'HTTP/2': (port, { method = 'GET', path, headers = {}, body, trailers }) =>
    new Promise((resolve, reject) => {
      const session = http2.connect(`http://127.0.0.1:${port}`);
      session.on('error', reject);
      const early: string[] = [];
      const about: { status: number; headers: Record<string, unknown>; trailers: Record<string, unknown> } = {
        status: 0,
        headers: {},
        trailers: {},
      };
      const options = { endStream: body === undefined && !trailers, waitForTrailers: trailers !== undefined };
      const stream = session.request({ ':method': method, ':path': path, ...headers }, options);
      stream.on('headers', (hints) => early.push(String(hints['link'] ?? '')));
      stream.on('response', (received) => {
        about.status = received[':status'] ?? 0;
        about.headers = received;
      });
      stream.on('trailers', (received) => {
        about.trailers = received;
      });
      stream.on('wantTrailers', () => stream.sendTrailers(trailers ?? {}));
      stream.on('error', (error) => {
        session.destroy();
        reject(error);
      });
      buffer(stream).then((received) => {
        session.close();
        resolve({ ...about, body: received, early });
      }, reject);
      if (!options.endStream) stream.end(body);
    }),
};

const random = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 7919) >> 3));

describe.each(['1.1', '2'])('through a proxy to a backend of HTTP/%s', (version) => {
  const port = () => proxies.get(version)?.port ?? 0;

  describe.each(Object.keys(clients))('a client of %s', (name) => {
    const ask = (question: Question) =>
      (clients[name] as (port: number, question: Question) => Promise<Answer>)(port(), question);

    test.each(['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND'])(
      'asks with %s',
      async (method) => {
        expect(await ask({ method, path: '/echo' })).toMatchObject({
          status: 200,
          headers: { 'x-method': method },
          body: Buffer.alloc(0),
        });
      },
    );

    test('gets only the fields of HEAD', async () => {
      const { status, headers, body } = await ask({ method: 'HEAD', path: '/large' });
      expect([status, headers['content-length'], body.length]).toEqual([200, String(8 * 1024 * 1024), 0]);
    });

    test('gets back what it sends, of known length and not', async () => {
      for (const headers of [{ 'content-length': String(random.length) }, {}]) {
        const { body, headers: got } = await ask({ method: 'POST', path: '/echo', body: random, headers });
        expect(got['x-digest']).toBe(createHash('sha256').update(random).digest('hex'));
        expect(body.equals(random)).toBe(true);
      }
    });

    test('gets a large answer', async () => {
      expect((await ask({ path: '/large' })).body.length).toBe(8 * 1024 * 1024);
    });

    test('sends and gets trailers', async () => {
      expect((await ask({ path: '/trailers' })).trailers).toMatchObject({ 'x-sum': '42' });
      const { headers } = await ask({
        method: 'POST',
        path: '/echo',
        headers: name === 'HTTP/1.1' ? { 'transfer-encoding': 'chunked' } : {},
        body: Buffer.from('x'),
        trailers: { 'x-end': '1' },
      });
      expect(JSON.parse(String(headers['x-trailers']))).toEqual({ 'x-end': '1' });
    });

    test('gets early hints', async () => {
      expect(await ask({ path: '/early' })).toMatchObject({
        early: ['</style.css>; rel=preload'],
        body: Buffer.from('late'),
      });
    });

    test('gets nothing with 204', async () => {
      expect(await ask({ path: '/nothing' })).toMatchObject({ status: 204, body: Buffer.alloc(0) });
    });

    test('waits for 100', async () => {
      if (name === 'HTTP/2') return;
      const headers = { expect: '100-continue', 'content-length': '3' };
      expect((await ask({ method: 'POST', path: '/echo', headers, body: Buffer.from('abc') })).body).toEqual(
        Buffer.from('abc'),
      );
    });

    test('has its fields passed on, and those of its connection not', async () => {
      const connection =
        name === 'HTTP/1.1' ? { connection: 'x-hop', 'x-hop': '1', 'keep-alive': 'timeout=1' } : {};
      const { body, headers } = await ask({
        path: '/headers?q=%20',
        headers: {
          host: 'name.example:81',
          'x-caf': 'caf\xe9',
          cookie: 'a=1; b=2',
          te: 'trailers',
          ...connection,
        },
      });
      const got = JSON.parse(String(body)) as Record<string, string>;
      expect(got[version === '2' ? ':authority' : 'host']).toBe('name.example:81');
      expect(got).toMatchObject({ cookie: 'a=1; b=2', te: 'trailers', 'x-caf': 'caf\xe9' });
      expect(Object.keys(got)).not.toEqual(expect.arrayContaining(['x-hop']));
      expect(headers['set-cookie']).toEqual(['a=1', 'b=2']);
    });

    test('sees an answer that is cut as cut', async () => {
      await expect(ask({ path: '/cut' })).rejects.toThrow();
    });
  });

  test('fetch', async () => {
    const url = `http://127.0.0.1:${port()}/echo`;
    const responses = await Promise.all(
      Array.from({ length: 50 }, async (_, i) =>
        (await fetch(url, { method: 'POST', body: String(i) })).text(),
      ),
    );
    expect(responses).toEqual(Array.from({ length: 50 }, (_, i) => String(i)));
    const stream = new Blob(['a', 'b']).stream();
    const streamed = await fetch(url, { method: 'PUT', body: stream, duplex: 'half' });
    expect(await streamed.text()).toBe('ab');
  });

  test.each([['--http1.1'], ['--http1.0'], ['--http2-prior-knowledge'], ['--http2']])(
    'curl %s',
    async (flag) => {
      const ask = async (...what: readonly string[]) =>
        (await run('curl', ['-sS', flag, '--max-time', '10', '-w', ' %{http_code}', ...what])).stdout;
      const url = `http://127.0.0.1:${port()}`;
      expect(await ask('-d', 'hello', '-H', 'Expect: 100-continue', `${url}/echo`)).toBe('hello 200');
      expect(await ask(`${url}/nothing`)).toBe(' 204');
    },
  );
});

describe('another protocol', () => {
  const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
  const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
  const upgrade = `GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`;

  test.each(['1.1', '2'])(
    'is switched to by a client of HTTP/1.1, over HTTP/%s behind us',
    async (version) => {
      const socket = connect(proxies.get(version)?.port ?? 0, '127.0.0.1');
      socket.write(upgrade);
      let heard = '';
      for await (const piece of socket) {
        heard += String(piece);
        if (heard.endsWith('\r\n\r\n')) socket.end('hello');
      }
      expect(heard).toMatch(/^HTTP\/1.1 101 Switching Protocols\r\n/);
      expect(heard.toLowerCase()).toContain(`sec-websocket-accept: ${ACCEPT}`.toLowerCase());
      expect(heard).toMatch(/\r\n\r\nHELLO$/);
    },
  );

  test.each(['1.1', '2'])('is switched to by a client of HTTP/2, over HTTP/%s behind us', async (version) => {
    const session = http2.connect(`http://127.0.0.1:${proxies.get(version)?.port}`);
    await once(session, 'remoteSettings');
    const stream = session.request({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':path': '/chat',
      'sec-websocket-version': '13',
    });
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    expect([headers[':status'], headers['sec-websocket-accept']]).toEqual([200, undefined]);
    stream.end('hello');
    expect(await text(stream)).toBe('HELLO');
    session.close();
  });
});

test('what Node refuses to send is refused when it comes', async () => {
  const socket = connect(proxies.get('1.1')?.port ?? 0, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n');
  expect(await text(socket)).toMatch(/^HTTP\/1.1 400 Bad Request/);
  expect(refused).toEqual(['content-length-and-transfer-encoding']);
});
