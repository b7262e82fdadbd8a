import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import type { WaypointFields, WaypointResources } from '@ambit/api/waypoint';
import { type Backend, httpBackend, startNode, tcpBackend } from '../testing/backend.ts';
import { testScope } from '../testing/scope.ts';
import { closed, until } from '../testing/until.ts';
import {
  ALICE,
  hostnameOf,
  identityOf,
  NAMESPACE,
  type NetworkOptions,
  startWaypoint,
  WAYPOINT_IDENTITY,
  type WaypointNetwork,
} from '../testing/waypoint-network.ts';

const use = testScope();
const WEB = '10.9.0.1:80';

/** A service `web` with these backends behind it. */
async function networkOf(
  backends: readonly Backend[],
  options: NetworkOptions = {},
): Promise<WaypointNetwork> {
  const network = use(await startWaypoint(options));
  network.service({ name: 'web', vip: '10.9.0.1' });
  for (const [i, { ip, port }] of backends.entries())
    network.endpoint({ name: `web-${i}`, service: 'web', ip, port });
  return network;
}

async function web(handler: RequestListener, ip = '127.0.0.2'): Promise<Backend> {
  return use(await httpBackend(ip, handler));
}

const parents = [{ namespace: NAMESPACE, hostname: hostnameOf('web'), port: 0 }];
const backendOf = (service: string) => ({
  target: {
    $case: 'service' as const,
    value: { namespace: NAMESPACE, hostname: hostnameOf(service), port: 80 },
  },
  weight: 1,
});

type Rule = WaypointFields<WaypointResources['HttpRoute']>['rules'] extends readonly (infer R)[] | undefined
  ? R
  : never;

/** A route of `web` with this rule; resolves when it is in force. */
async function route(network: WaypointNetwork, rule: Rule): Promise<void> {
  network.controlPlane.set('HttpRoute', `HTTPRoute/${NAMESPACE}/r`, {
    origin: { kind: 'HTTPRoute', namespace: NAMESPACE, name: 'r', createdMs: 1n },
    parents,
    rules: [rule],
  });
  await inForce(network, 'HttpRoute');
}

let changes = 0;
/** A change that is known to have come is put behind the others. */
async function inForce(network: WaypointNetwork, _kind: string): Promise<void> {
  changes += 1;
  const vip = `10.8.${changes >> 8}.${changes & 255}`;
  network.service({ name: `marker-${changes}`, vip });
  const client = await network.client();
  const duplex = await client.connect(`${vip}:80`);
  duplex.destroy();
}

describe('a request', () => {
  test('keeps connections: a hundred in turn need one of each', async () => {
    const backend = await web((_, response) => response.end('ok'));
    const network = await networkOf([backend]);
    const client = await network.client();
    for (let i = 0; i < 100; i++) expect((await client.request(WEB)).body).toBe('ok');
    expect(backend.connections).toBe(1);
  });

  test('has no body where there is none to have', async () => {
    const network = await networkOf([
      await web((request, response) => {
        response.writeHead(
          Number(request.url?.slice(1)),
          request.method === 'HEAD' ? { 'content-length': 5 } : {},
        );
        response.end();
      }),
    ]);
    const client = await network.client();
    const head = await client.request(WEB, { method: 'HEAD', path: '/200' });
    expect([head.status, head.headers['content-length'], head.body]).toEqual([200, '5', '']);
    for (const status of [204, 304])
      expect((await client.request(WEB, { path: `/${status}` })).status).toBe(status);
  });

  test('and its answer may be large, and arrive as they were sent', async () => {
    const BYTES = 24 * 1024 * 1024;
    const backend = await web((request, response) => {
      const hash = createHash('sha256');
      request.on('data', (chunk: Buffer) => hash.update(chunk));
      request.on('end', () => {
        response.setHeader('x-sha256', hash.digest('hex'));
        response.end(Buffer.alloc(BYTES, 'z'));
      });
    });
    const network = await networkOf([backend]);
    const body = Buffer.alloc(BYTES);
    for (let i = 0; i < BYTES; i += 4) body.writeUInt32LE(i, i);
    const response = await (await network.client()).request(WEB, { method: 'POST', body });
    expect(response.headers['x-sha256']).toBe(createHash('sha256').update(body).digest('hex'));
    expect(response.body.length).toBe(BYTES);
  });

  test('whose client waits for 100 is asked for its body when an endpoint is there', async () => {
    const network = await networkOf([await web((request, response) => request.pipe(response))]);
    const duplex = await (await network.client()).connect(WEB);
    duplex.write('POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n');
    const [first] = (await once(duplex, 'data')) as [Buffer];
    expect(String(first)).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    duplex.write('abc');
    const [second] = (await once(duplex, 'data')) as [Buffer];
    expect(String(second)).toMatch(/^HTTP\/1.1 200 OK\r\n/);
  });

  test('about all paths at once is answered 404, and no endpoint hears of it', async () => {
    const backend = await web((_, response) => response.end());
    const network = await networkOf([backend]);
    const duplex = await (await network.client()).connect(WEB);
    duplex.write('OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n');
    const [answer] = (await once(duplex, 'data')) as [Buffer];
    expect(String(answer)).toMatch(/^HTTP\/1\.1 404 /);
    expect(backend.connections).toBe(0);
  });

  test('that is none is answered 400, and no endpoint hears of it', async () => {
    const backend = await web((_, response) => response.end());
    const network = await networkOf([backend]);
    const duplex = await (await network.client()).connect(WEB);
    duplex.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n');
    const [answer] = (await once(duplex, 'data')) as [Buffer];
    expect(String(answer)).toMatch(/^HTTP\/1.1 400 /);
    expect(backend.connections).toBe(0);
  });
});

describe('what a client says of itself', () => {
  test('in the name of the mesh does not reach the endpoint', async () => {
    const seen: (string | string[] | undefined)[] = [];
    const backend = await web((request, response) => {
      seen.push(request.headers['x-forwarded-client-cert'], request.headers['x-other']);
      response.end();
    });
    const headers = {
      'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/shop/sa/admin',
      'x-other': 'stays',
    };
    await (await (await networkOf([backend])).client()).request(WEB, { headers });
    expect(seen).toEqual([undefined, 'stays']);
  });

  test('is replaced by what it proved where the waypoint is to tell', async () => {
    const seen: unknown[] = [];
    const backend = await web((request, response) => {
      seen.push(request.headers['x-forwarded-client-cert']);
      response.end();
    });
    const network = await networkOf([backend], { env: { AMBIT_XFCC_CLIENT_IDENTITY: 'true' } });
    const headers = { 'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/shop/sa/admin' };
    const client = await network.client();
    await client.request(WEB, { headers });
    await client.request(WEB);
    const told = `By=${WAYPOINT_IDENTITY};URI=${ALICE}`;
    expect(seen).toEqual([told, told]);
  });
});

describe('an endpoint', () => {
  test('that refuses connections is passed over', async () => {
    const good = await web((_, response) => response.end('good'));
    const network = await networkOf([{ ...good, port: 1 }, good]);
    const client = await network.client();
    for (let i = 0; i < 20; i++) expect((await client.request(WEB)).body).toBe('good');
  });

  test('whose node refuses is passed over', async () => {
    const node = use(await startNode('127.0.0.2', identityOf('web-0'), 0));
    node.refuseWith = 503;
    const good = await web((_, response) => response.end('good'), '127.0.0.3');
    const network = await networkOf([], { hbonePort: node.port });
    network.endpoint({ name: 'web-0', service: 'web', ip: '127.0.0.2', port: 80, tunnelled: true });
    network.endpoint({ name: 'web-1', service: 'web', ip: good.ip, port: good.port });
    const client = await network.client();
    for (let i = 0; i < 20; i++) expect((await client.request(WEB)).body).toBe('good');
  });

  test('that proves to be another gets nothing', async () => {
    const backend = await web((_, response) => response.end('good'));
    const node = use(await startNode('127.0.0.2', identityOf('mallory'), 0));
    const network = await networkOf([], { hbonePort: node.port });
    network.endpoint({ name: 'web-0', service: 'web', ip: '127.0.0.2', port: backend.port, tunnelled: true });
    const response = await (await network.client()).request(WEB);
    expect([response.status, response.body]).toEqual([
      503,
      'upstream connect error or disconnect/reset before headers. reset reason: tls failure',
    ]);
    expect([node.carried, backend.connections]).toEqual([[], 0]);
  });

  test('that is not there leaves 503', async () => {
    const response = await (await (await networkOf([])).client()).request(WEB);
    expect([response.status, response.body]).toEqual([503, 'no healthy upstream']);
  });

  test('that closes a kept connection as a request comes does not fail the request', async () => {
    let requests = 0;
    const backend = use(
      await tcpBackend('127.0.0.2', (socket: Socket) => {
        let own = 0;
        socket.on('data', () => {
          own += 1;
          requests += 1;
          // Each connection answers once, and breaks with the second request.
          if (own === 1) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
          else socket.resetAndDestroy();
        });
      }),
    );
    const network = await networkOf([backend]);
    const client = await network.client();
    for (let i = 0; i < 5; i++) expect((await client.request(WEB)).body).toBe('ok');
    expect(requests).toBeGreaterThan(5);
    const post = await client.request(WEB, { method: 'POST', body: 'x' });
    expect([post.status, post.body]).toEqual([
      503,
      'upstream connect error or disconnect/reset before headers. reset reason: connection termination',
    ]);
  });

  test('that breaks within its answer breaks the answer', async () => {
    const network = await networkOf([
      use(
        await tcpBackend('127.0.0.2', (socket: Socket) => {
          socket.once('data', () => {
            socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart');
            setTimeout(() => socket.resetAndDestroy(), 20);
          });
        }),
      ),
    ]);
    const response = await (await network.client()).open(WEB);
    response.resume();
    await expect(once(response, 'end')).rejects.toThrow('aborted');
  });

  test('that answers nonsense leaves 503', async () => {
    const network = await networkOf([
      use(
        await tcpBackend(
          '127.0.0.2',
          (socket: Socket) => void socket.once('data', () => socket.end('SSH-2.0\r\n\r\n')),
        ),
      ),
    ]);
    const response = await (await network.client()).request(WEB);
    expect([response.status, response.body]).toMatchObject([503, expect.stringMatching('protocol error')]);
  });

  test('that leaves is sent nothing more, and what it is doing may end', async () => {
    const waiting: ServerResponse[] = [];
    const old = await web((_, response) => void waiting.push(response));
    const network = await networkOf([old]);
    const client = await network.client();
    const slow = client.request(WEB);
    await until(() => waiting.length === 1, 'the request is there');
    const next = await web((_, response) => response.end('next'), '127.0.0.3');
    network.endpoint({ name: 'web-new', service: 'web', ip: next.ip, port: next.port });
    network.removeEndpoint('web-0');
    await inForce(network, 'Address');
    for (let i = 0; i < 10; i++) expect((await client.request(WEB)).body).toBe('next');
    waiting[0]?.end('old');
    expect((await slow).body).toBe('old');
  });
});

describe('a client', () => {
  test('that goes away takes its request with it', async () => {
    let asked = false;
    let gone = false;
    const backend = await web((request) => {
      asked = true;
      request.once('close', () => {
        gone = true;
      });
    });
    const network = await networkOf([backend]);
    const duplex = await (await network.client()).connect(WEB);
    duplex.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    await until(() => asked, 'the request is there');
    duplex.destroy();
    await until(() => gone, 'the endpoint knows');
    const { body } = await network.page('stats', '/stats/prometheus');
    expect(body).toMatch(/istio_requests_total\{[^}]*response_code="0"[^}]*response_flags="DC"/);
  });

  test('that does not read holds up its endpoint, and the process stays small', async () => {
    let sent = 0;
    const backend = await web((_, response) => {
      const piece = Buffer.alloc(256 * 1024);
      const more = () => {
        while (sent < 512 * 1024 * 1024) {
          sent += piece.length;
          if (!response.write(piece)) {
            response.once('drain', more);
            return;
          }
        }
      };
      more();
    });
    const network = await networkOf([backend], { env: { HTTP2_STREAM_WINDOW_SIZE: '1048576' } });
    const client = await network.client(undefined, { streamWindowBytes: 65_536 });
    const duplexes = await Promise.all(Array.from({ length: 8 }, () => client.connect(WEB)));
    for (const duplex of duplexes) duplex.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    let before = -1;
    await until(async () => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      const isStill = sent === before;
      before = sent;
      return isStill && sent > 0;
    }, 'everything stands still');
    expect(sent).toBeLessThan(128 * 1024 * 1024);
    const other = await network.client();
    const quick = await web((_, response) => response.end('quick'), '127.0.0.5');
    network.service({ name: 'quick', vip: '10.9.0.5' });
    network.endpoint({ name: 'quick-0', service: 'quick', ip: quick.ip, port: quick.port });
    await inForce(network, 'Address');
    expect((await other.request('10.9.0.5:80')).body).toBe('quick');
  });

  test('whose body its endpoint does not read is held up too', async () => {
    const backend = use(await tcpBackend('127.0.0.2', (socket: Socket) => void socket.pause()));
    const network = await networkOf([backend], { env: { HTTP2_STREAM_WINDOW_SIZE: '1048576' } });
    const duplex = await (await network.client()).connect(WEB);
    duplex.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n');
    let sent = 0;
    const piece = Buffer.alloc(64 * 1024);
    let before = -1;
    await until(async () => {
      while (sent < 256 * 1024 * 1024 && duplex.write(piece)) sent += piece.length;
      await new Promise((resolve) => setTimeout(resolve, 100));
      const isStill = sent === before;
      before = sent;
      return isStill;
    }, 'it stands still');
    expect(sent).toBeLessThan(64 * 1024 * 1024);
  });
});

describe('a route', () => {
  test('leads to another service, which need not use this waypoint', async () => {
    const other = await web((request, response) => response.end(`other ${request.url}`), '127.0.0.3');
    const network = await networkOf([await web((_, response) => response.end('web'))]);
    network.service({ name: 'other', vip: '10.9.0.3', attached: false });
    network.endpoint({ name: 'other-0', service: 'other', ip: other.ip, port: other.port });
    await route(network, {
      matches: [{ path: { kind: { $case: 'segmentPrefix', value: '/api' } } }],
      filters: [
        {
          kind: {
            $case: 'rewrite',
            value: { path: { kind: { $case: 'replacePrefix', value: '/v1' } } },
          },
        },
        {
          kind: {
            $case: 'responseHeaders',
            value: { set: [{ name: 'x-by', value: 'route' }] },
          },
        },
      ],
      backends: [backendOf('other')],
    });
    const client = await network.client();
    const response = await client.request(WEB, { path: '/api/a?b' });
    expect([response.body, response.headers['x-by']]).toEqual(['other /v1/a?b', 'route']);
    const none = await client.request(WEB, { path: '/else' });
    expect(none.status).toBe(404);
  });

  test('whose rewrite makes no path of it is 500, and the next request goes on', async () => {
    const backend = await web((request, response) => response.end(request.url));
    const network = await networkOf([backend]);
    await route(network, {
      filters: [
        {
          kind: {
            $case: 'rewrite',
            value: { path: { kind: { $case: 'regex', value: { match: '/a(.*)', rewrite: '/b c\\1' } } } },
          },
        },
      ],
      backends: [backendOf('web')],
    });
    const client = await network.client();
    const answers = [await client.request(WEB, { path: '/z' }), await client.request(WEB, { path: '/a' })];
    answers.push(await client.request(WEB, { path: '/z' }));
    expect(answers.map(({ status, body }) => [status, body])).toEqual([
      [200, '/z'],
      [500, ''],
      [200, '/z'],
    ]);
  });

  test('answers by itself: redirects, texts, and 500 for what does not exist', async () => {
    const backend = await web((_, response) => response.end('web'));
    const network = await networkOf([backend]);
    const client = await network.client();
    await route(network, {
      filters: [{ kind: { $case: 'redirect', value: { hostname: 'other.test', status: 301 } } }],
    });
    const redirected = await client.request(WEB, { path: '/a' });
    expect([redirected.status, redirected.headers.location]).toEqual([301, 'http://other.test/a']);
    await route(network, {
      filters: [{ kind: { $case: 'directResponse', value: { status: 418, body: Buffer.from('tea') } } }],
    });
    const direct = await client.request(WEB);
    expect([direct.status, direct.body]).toEqual([418, 'tea']);
    await route(network, { backends: [{ target: { $case: 'status', value: 500 }, weight: 1 }] });
    expect((await client.request(WEB)).status).toBe(500);
    network.controlPlane.setBroken('HttpRoute', `HTTPRoute/${NAMESPACE}/r`);
    await inForce(network, 'HttpRoute');
    expect((await client.request(WEB)).status).toBe(500);
    expect(backend.connections).toBe(0);
  });

  test('limits the time of a request, and of a try', async () => {
    let asked = 0;
    const network = await networkOf([
      await web(() => {
        asked += 1;
      }),
    ]);
    const client = await network.client();
    // Long enough to be sent, also by a busy machine.
    const timeoutMs = 2_000;
    await route(network, { backends: [backendOf('web')], requestTimeoutMs: timeoutMs });
    const whole = await client.request(WEB);
    expect([whole.status, whole.body, asked]).toEqual([504, 'upstream request timeout', 1]);
    await route(network, { backends: [backendOf('web')], backendRequestTimeoutMs: timeoutMs });
    const one = await client.request(WEB);
    expect([one.status, one.body]).toEqual([504, 'upstream request timeout']);
    const { body } = await network.page('stats', '/stats/prometheus');
    expect(body).toMatch(/istio_requests_total\{[^}]*response_code="504"[^}]*response_flags="UT"[^}]*\} 2/);
  });

  test('delays and aborts as faults say', async () => {
    const backend = await web((_, response) => response.end('web'));
    const network = await networkOf([backend]);
    await route(network, {
      backends: [backendOf('web')],
      fault: { delayPpm: 1_000_000, delayMs: 30, abortPpm: 1_000_000, abortStatus: 418 },
    });
    const response = await (await network.client()).request(WEB);
    expect([response.status, response.body, backend.connections]).toEqual([418, 'fault filter abort', 0]);
  });
});

describe('a policy', () => {
  const deny: WaypointFields<WaypointResources['AuthorizationPolicy']> = {
    origin: { kind: 'AuthorizationPolicy', namespace: NAMESPACE, name: 'p', createdMs: 1n },
    targets: [
      { kind: { $case: 'service', value: { namespace: NAMESPACE, hostname: hostnameOf('web'), port: 0 } } },
    ],
    action: 1,
    rules: [{ to: [{ paths: ['/secret*'] }] }],
  };

  test('that denies a request lets not a byte through', async () => {
    const paths: (string | undefined)[] = [];
    const backend = await web((request, response) => {
      paths.push(request.url);
      response.end('ok');
    });
    const network = await networkOf([backend]);
    network.controlPlane.set('AuthorizationPolicy', `${NAMESPACE}/p`, deny);
    await inForce(network, 'AuthorizationPolicy');
    const client = await network.client();
    const denied = await client.request(WEB, { method: 'POST', path: '/secret/x', body: 'payload' });
    expect([denied.status, denied.body]).toEqual([403, 'RBAC: access denied']);
    for (const path of ['/./secret', '/a/../secret', '/%73ecret', '/secret%2F', '/secret?x'])
      expect([path, (await client.request(WEB, { path })).status]).toEqual([path, 403]);
    expect([backend.connections, paths]).toEqual([0, []]);
    expect((await client.request(WEB, { path: '/public' })).body).toBe('ok');
    expect(paths).toEqual(['/public']);
  });

  test('of a service in another namespace keeps routes away from it', async () => {
    const network = await networkOf([]);
    const ledger = { namespace: 'bank', hostname: 'ledger.bank.svc.cluster.local', port: 80 };
    await route(network, { backends: [{ target: { $case: 'service', value: ledger }, weight: 1 }] });
    const client = await network.client();
    expect((await client.request(WEB)).status).toBe(503);
    network.controlPlane.set('AuthorizationPolicy', 'bank/p', {
      origin: { kind: 'AuthorizationPolicy', namespace: 'bank', name: 'p', createdMs: 1n },
      targets: [{ kind: { $case: 'service', value: { ...ledger, port: 0 } } }],
    });
    await inForce(network, 'AuthorizationPolicy');
    const denied = await client.request(WEB);
    expect([denied.status, denied.body]).toEqual([403, 'RBAC: access denied']);
  });

  test.each([
    ['a route of the service’s namespace', 'HTTPRoute', NAMESPACE, '', 200],
    ['a route that clients have for themselves', 'HTTPRoute', 'web', 'web', 403],
    ['a VirtualService of the service’s namespace', 'VirtualService', NAMESPACE, '', 200],
    ['one of the waypoint’s namespace', 'VirtualService', 'infra', '', 403],
  ])('is asked about what %s makes of a request', async (_, kind, namespace, consumerNamespace, want) => {
    const paths: (string | undefined)[] = [];
    const network = await networkOf([
      await web((request, response) => {
        paths.push(request.url);
        response.end('ok');
      }),
    ]);
    network.controlPlane.set('AuthorizationPolicy', `${NAMESPACE}/p`, deny);
    network.controlPlane.set('HttpRoute', `${kind}/${namespace}/r`, {
      origin: { kind, namespace, name: 'r', createdMs: 1n },
      parents,
      consumerNamespace,
      rules: [
        {
          backends: [backendOf('web')],
          filters: [
            {
              kind: {
                $case: 'rewrite',
                value: { path: { kind: { $case: 'replaceFull', value: '/a/../%73ecret' } } },
              },
            },
          ],
        },
      ],
    });
    await inForce(network, 'HttpRoute');
    const client = await network.client('spiffe://cluster.local/ns/web/sa/front');
    expect((await client.request(WEB, { path: '/public' })).status).toBe(want);
    expect(paths).toEqual(want === 200 ? ['/a/../%73ecret'] : []);
  });

  test('that clients have for themselves brings no token past those that are believed', async () => {
    const tokens: unknown[] = [];
    const backend = await web(({ headers, url }, response) => {
      tokens.push([headers.authorization, url]);
      response.end('ok');
    });
    const network = await networkOf([backend]);
    network.controlPlane.set('RequestAuthentication', `${NAMESPACE}/p`, {
      origin: { kind: 'RequestAuthentication', namespace: NAMESPACE, name: 'p', createdMs: 1n },
      targets: deny.targets ?? [],
      rules: [{ issuer: 'i' }],
    });
    await inForce(network, 'RequestAuthentication');
    network.controlPlane.set('HttpRoute', 'HTTPRoute/web/r', {
      origin: { kind: 'HTTPRoute', namespace: 'web', name: 'r', createdMs: 1n },
      parents,
      consumerNamespace: 'web',
      rules: [
        {
          backends: [backendOf('web')],
          filters: [
            {
              kind: {
                $case: 'requestHeaders',
                value: { set: [{ name: 'authorization', value: 'Bearer forged' }] },
              },
            },
            {
              kind: {
                $case: 'rewrite',
                value: { path: { kind: { $case: 'replaceFull', value: '/b?access_token=forged' } } },
              },
            },
          ],
        },
      ],
    });
    await inForce(network, 'HttpRoute');
    const client = await network.client('spiffe://cluster.local/ns/web/sa/front');
    expect((await client.request(WEB, { path: '/a?q=1' })).status).toBe(200);
    expect(tokens).toEqual([[undefined, '/b?q=1']]);
  });

  test('that cannot be read denies everything', async () => {
    const backend = await web((_, response) => response.end('ok'));
    const network = await networkOf([backend]);
    network.controlPlane.set('AuthorizationPolicy', `${NAMESPACE}/p`, {
      ...deny,
      unreadable: 'no such thing',
    });
    await inForce(network, 'AuthorizationPolicy');
    expect((await (await network.client()).request(WEB)).status).toBe(403);
    network.controlPlane.remove('AuthorizationPolicy', `${NAMESPACE}/p`);
    await inForce(network, 'AuthorizationPolicy');
    expect((await (await network.client()).request(WEB)).status).toBe(200);
    network.controlPlane.setBroken('AuthorizationPolicy', `${NAMESPACE}/q`);
    await inForce(network, 'AuthorizationPolicy');
    expect((await (await network.client()).request(WEB)).status).toBe(403);
    expect(backend.connections).toBe(1);
  });
});

describe('too much', () => {
  test('is refused with 503, and what is under way goes on', async () => {
    const waiting: ServerResponse[] = [];
    const network = await networkOf([await web((_, response) => void waiting.push(response))], {
      env: { AMBIT_MAX_REQUESTS: '3' },
    });
    const client = await network.client();
    const under = Array.from({ length: 3 }, () => client.request(WEB));
    await until(() => waiting.length === 3, 'three are under way');
    const refused = await client.request(WEB);
    expect([refused.status, refused.body]).toEqual([503, 'overloaded']);
    for (const response of waiting) response.end('done');
    expect((await Promise.all(under)).map(({ body }) => body)).toEqual(['done', 'done', 'done']);
    const again = client.request(WEB);
    await until(() => waiting.length === 4, 'there is room again');
    waiting[3]?.end('more');
    expect((await again).body).toBe('more');
  });

  test('connections are refused, not held', async () => {
    const network = await networkOf([await web((_, response) => response.end('ok'))], {
      env: { AMBIT_MAX_CONNECTIONS: '2' },
    });
    const client = await network.client();
    const kept = [await client.connect(WEB), await client.connect(WEB)];
    await expect(client.connect(WEB)).rejects.toThrow('503');
    for (const duplex of kept) {
      duplex.destroy();
      await closed(duplex);
    }
    await until(
      async () =>
        await client.connect(WEB).then(
          (duplex) => {
            duplex.destroy();
            return true;
          },
          () => false,
        ),
      'there is room again',
    );
  });

  test('to one destination is refused by its circuit breakers', async () => {
    const waiting: ServerResponse[] = [];
    const network = await networkOf([await web((_, response) => void waiting.push(response))]);
    network.controlPlane.set('DestinationPolicy', `DestinationRule/${NAMESPACE}/d`, {
      origin: { kind: 'DestinationRule', namespace: NAMESPACE, name: 'd', createdMs: 1n },
      hostname: hostnameOf('web'),
      policy: { connectionPool: { maxConnections: 1, maxPendingRequests: 1 } },
    });
    await inForce(network, 'DestinationPolicy');
    const client = await network.client();
    const first = client.request(WEB);
    await until(() => waiting.length === 1, 'the first is under way');
    const second = client.request(WEB);
    const third = await client.request(WEB);
    expect([third.status, third.body]).toMatchObject([503, expect.stringMatching('overflow')]);
    waiting[0]?.end('1');
    await until(() => waiting.length === 2, 'the second is under way');
    waiting[1]?.end('2');
    expect([(await first).body, (await second).body]).toEqual(['1', '2']);
  });
});
