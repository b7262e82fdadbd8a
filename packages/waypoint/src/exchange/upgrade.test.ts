import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { type ServerOptions, WebSocket, WebSocketServer } from 'ws';
import { testScope } from '../testing/scope.ts';
import { until } from '../testing/until.ts';
import {
  hostnameOf,
  identityOf,
  NAMESPACE,
  startWaypoint,
  type WaypointNetwork,
} from '../testing/waypoint-network.ts';
import { httpBackend, startNode } from '../testing/backend.ts';

const use = testScope();
const CHAT = '10.9.0.1:80';

interface ChatServer extends AsyncDisposable {
  readonly port: number;
  readonly paths: (string | undefined)[];
  readonly open: () => number;
  readonly onUpgrade: (tell: (rawHeaders: readonly string[]) => void) => void;
}

/** Answers each message with itself. */
async function chatServer(options: ServerOptions = {}): Promise<ChatServer> {
  const http = createServer((_, response) => {
    response.statusCode = 426;
    response.end('WebSocket only');
  });
  const server = new WebSocketServer({ server: http, ...options });
  const paths: (string | undefined)[] = [];
  server.on('connection', (socket, request) => {
    paths.push(request.url);
    socket.on('error', () => undefined);
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  http.listen(0, '127.0.0.2');
  await once(http, 'listening');
  return use({
    port: (http.address() as AddressInfo).port,
    paths,
    open: () => server.clients.size,
    onUpgrade: (tell) => http.on('upgrade', ({ rawHeaders }) => tell(rawHeaders)),
    async [Symbol.asyncDispose]() {
      for (const socket of server.clients) socket.terminate();
      server.close();
      http.close();
      await Promise.resolve();
    },
  });
}

async function networkOf(server: ChatServer, tunnelled = false): Promise<WaypointNetwork> {
  const node = tunnelled ? use(await startNode('127.0.0.2', identityOf('chat-0'), 0)) : undefined;
  const network = use(await startWaypoint(node ? { hbonePort: node.port } : {}));
  network.service({ name: 'chat', vip: '10.9.0.1' });
  network.endpoint({ name: 'chat-0', service: 'chat', ip: '127.0.0.2', port: server.port, tunnelled });
  return network;
}

async function connect(network: WaypointNetwork, path = '/room'): Promise<WebSocket> {
  const duplex = await (await network.client()).connect(CHAT);
  const socket = new WebSocket(`ws://app.test${path}`, { createConnection: () => duplex as never });
  return socket.on('error', () => undefined);
}

async function exchangeOf(socket: WebSocket, message: string | Buffer): Promise<Buffer> {
  const answered = once(socket, 'message') as Promise<[Buffer]>;
  socket.send(message);
  return (await answered)[0];
}

describe('a WebSocket', () => {
  test.each([{ tunnelled: false }, { tunnelled: true }])(
    'carries messages both ways until either side closes (tunnelled: $tunnelled)',
    async ({ tunnelled }) => {
      const server = await chatServer();
      const network = await networkOf(server, tunnelled);
      const socket = await connect(network, '/a//b?c=%2F');
      await once(socket, 'open');
      expect(String(await exchangeOf(socket, 'hello'))).toBe('hello');
      const large = Buffer.alloc(3_000_000, 'x');
      expect((await exchangeOf(socket, large)).equals(large)).toBe(true);
      expect(server.paths).toEqual(['/a//b?c=%2F']);
      socket.close(1000, 'bye');
      expect(await once(socket, 'close')).toEqual([1000, Buffer.from('bye')]);
      await until(() => server.open() === 0, 'the server has closed it too');
      await until(async () => {
        const { body } = await network.page('stats', '/stats/prometheus');
        return /istio_requests_total\{[^}]*response_code="101"[^}]*\} 1/.test(body);
      }, 'it is counted');
    },
  );

  test('ends when its endpoint breaks', async () => {
    const server = await chatServer();
    const network = await networkOf(server);
    const socket = await connect(network);
    await once(socket, 'open');
    await server[Symbol.asyncDispose]();
    const [code] = (await once(socket, 'close')) as [number];
    expect(code).toBe(1006);
  });

  test('ends at its endpoint when its client is gone', async () => {
    const server = await chatServer();
    const network = await networkOf(server);
    const socket = await connect(network);
    await once(socket, 'open');
    socket.terminate();
    await until(() => server.open() === 0, 'the server has noticed');
  });

  test('that its endpoint does not want is answered as it answers', async () => {
    const server = await chatServer({
      verifyClient: (_: unknown, decide: (ok: boolean, code?: number, message?: string) => void) =>
        decide(false, 403, 'not you'),
    });
    const socket = await connect(await networkOf(server));
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
    expect(response.statusCode).toBe(403);
  });

  test('without an endpoint is answered 503', async () => {
    const server = await chatServer();
    const network = await networkOf(server);
    network.removeEndpoint('chat-0');
    const socket = await connect(network);
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
    expect(response.statusCode).toBe(503);
  });

  test('that a policy denies does not reach its endpoint, by no spelling of its path', async () => {
    const server = await chatServer();
    const network = await networkOf(server);
    const value = { namespace: NAMESPACE, hostname: hostnameOf('chat'), port: 0 };
    network.controlPlane.set('AuthorizationPolicy', `${NAMESPACE}/p`, {
      origin: { kind: 'AuthorizationPolicy', namespace: NAMESPACE, name: 'p', createdMs: 1n },
      targets: [{ kind: { $case: 'service', value } }],
      action: 1,
      rules: [{ to: [{ paths: ['/admin'] }] }],
    });
    const statusOf = async (path: string) => {
      const socket = await connect(network, path);
      const status = await Promise.race([
        once(socket, 'open').then(() => 101),
        once(socket, 'unexpected-response').then(([, { statusCode }]) => statusCode as number),
      ]);
      socket.terminate();
      return status;
    };
    await until(async () => (await statusOf('/admin')) === 403, 'the policy is in force');
    const before = server.paths.length;
    expect([await statusOf('/a/../admin'), await statusOf('/%61dmin')]).toEqual([403, 403]);
    expect(server.paths.length).toBe(before);
    // Another path by the mesh's normalization: it must stay what the policy saw.
    expect(await statusOf('//admin')).toBe(101);
    expect(server.paths.at(-1)).toBe('//admin');
  });
});

describe('a handshake that is no GET', () => {
  test.each([
    ['of another method', 'POST /secret HTTP/1.1\r\n', ''],
    ['of no known method', 'FOO /secret HTTP/1.1\r\n', ''],
    ['with a body', 'GET /secret HTTP/1.1\r\ncontent-length: 3\r\n', 'abc'],
  ])('%s is answered 400, and no endpoint hears of it', async (_, line, body) => {
    const seen: (string | undefined)[] = [];
    const backend = use(
      await httpBackend('127.0.0.2', (request, response) => {
        seen.push(request.method);
        response.end('served');
      }),
    );
    const network = use(await startWaypoint());
    network.service({ name: 'chat', vip: '10.9.0.1' });
    network.endpoint({ name: 'chat-0', service: 'chat', ip: backend.ip, port: backend.port });
    const duplex = await (await network.client()).connect(CHAT);
    duplex.write(`${line}host: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n${body}`);
    const [answer] = (await once(duplex, 'data')) as [Buffer];
    expect([String(answer).slice(0, 13), seen]).toEqual(['HTTP/1.1 400 ', []]);
  });
});

describe('a handshake', () => {
  test('has fields that are nothing but fields', async () => {
    const server = await chatServer();
    const seen: (readonly string[])[] = [];
    server.onUpgrade((rawHeaders) => seen.push(rawHeaders));
    const network = await networkOf(server);
    const duplex = await (await network.client()).connect(CHAT);
    const headers = Object.fromEntries([['constructor', 'x']]);
    const socket = new WebSocket('ws://app.test/', { createConnection: () => duplex as never, headers });
    await once(socket, 'open');
    socket.terminate();
    const [raw = []] = seen;
    expect(raw[raw.indexOf('constructor') + 1]).toBe('x');
  });
});

describe('a WebSocket over HTTP/2', () => {
  const statusOf = async (network: WaypointNetwork, protocol: string) => {
    const session = await (await network.client()).http2(CHAT);
    if (!session.remoteSettings.enableConnectProtocol) await once(session, 'remoteSettings');
    const stream = session.request({
      ':method': 'CONNECT',
      ':protocol': protocol,
      ':scheme': 'http',
      ':authority': 'app.test',
      ':path': '/',
      'sec-websocket-version': '13',
    });
    const [headers] = (await once(stream, 'response')) as [{ ':status': number }];
    stream.on('error', () => undefined).destroy();
    return headers[':status'];
  };

  test('is switched, or answered with an error: a success is the switch', async () => {
    const server = await chatServer();
    const network = await networkOf(server);
    expect(await statusOf(network, 'websocket')).toBe(200);
    expect(await statusOf(network, 'connect-udp')).toBe(501);
    const deaf = use(await httpBackend('127.0.0.3', (_, response) => response.end('what?')));
    network.endpoint({ name: 'chat-0', service: 'chat', ip: '127.0.0.3', port: deaf.port });
    await until(async () => (await statusOf(network, 'websocket')) === 502, 'it is not taken for a switch');
  });
});

describe('another protocol that a client would rather speak', () => {
  test('is not offered to the endpoint', async () => {
    const server = await chatServer();
    const network = await networkOf(server);
    const duplex = await (await network.client()).connect(CHAT);
    duplex.write('GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n');
    const [answer] = (await once(duplex, 'data')) as [Buffer];
    expect(String(answer)).toMatch(/^HTTP\/1.1 426 /);
  });
});
