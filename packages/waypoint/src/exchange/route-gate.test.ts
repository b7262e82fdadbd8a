/** Services that routes have asked about their requests, asked by a whole waypoint over sockets. */
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import { describe, expect, test } from '@jest/globals';
import {
  createCheckResponse,
  decodeCheckRequest,
  encodeCheckResponse,
} from '@ambit/api/external-authorization';
import {
  AuthorizationAction,
  type WaypointFields,
  type WaypointResourceKind,
  type WaypointResources,
} from '@ambit/api/waypoint';
import { AppProtocol } from '@ambit/api/workload';
import { grpcFrame, grpcMessage } from '../grpc.ts';
import { MAX_AUTHORIZATION_ANSWER_BYTES } from '../security/limits.ts';
import { http2Backend, httpBackend } from '../testing/backend.ts';
import { MESH_SETTINGS } from '../testing/control-plane.ts';
import { testScope } from '../testing/scope.ts';
import {
  hostnameOf,
  NAMESPACE,
  SERVICE_PORT,
  startWaypoint,
  type WaypointNetwork,
} from '../testing/waypoint-network.ts';

const use = testScope();
const WEB = '10.9.0.1:80';
const AUTHZ = `${NAMESPACE}/${hostnameOf('authz')}`;
const web = { namespace: NAMESPACE, hostname: hostnameOf('web'), port: SERVICE_PORT };

type Rule = NonNullable<WaypointFields<WaypointResources['HttpRoute']>['rules']>[number];
type Filter = NonNullable<Rule['filters']>[number];
type SetResource = <Kind extends WaypointResourceKind>(
  kind: Kind,
  name: string,
  fields: WaypointFields<WaypointResources[Kind]>,
) => void;

interface Heard {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string;
}

/** Reads all of a request before it is answered. */
function hears(answer: (heard: Heard, response: Parameters<RequestListener>[1]) => void): RequestListener {
  return (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method, url, headers } = request;
      answer({ method, url, headers, body: Buffer.concat(chunks).toString() }, response);
    });
  };
}

const asking = (parts: object = {}): Filter => ({
  kind: {
    $case: 'externalAuth',
    value: {
      kind: {
        $case: 'http',
        value: { service: AUTHZ, port: SERVICE_PORT, headersToUpstreamOnAllow: ['*'], ...parts },
      },
    },
  },
});

/** `web` behind a waypoint, which answers with what it heard, and a route of one rule. */
async function network(
  rule: Rule,
  { consumerNamespace = '', more }: { consumerNamespace?: string; more?: (set: SetResource) => void } = {},
): Promise<WaypointNetwork> {
  const backend = use(
    await httpBackend(
      '127.0.0.2',
      hears((heard, response) => response.end(JSON.stringify(heard))),
    ),
  );
  const made = use(
    await startWaypoint({
      before: (controlPlane) => {
        const set: SetResource = (kind, name, fields) => {
          const origin = { kind, namespace: NAMESPACE, name, createdMs: 1n };
          controlPlane.set(kind, `${NAMESPACE}/${name}`, { origin, ...fields } as typeof fields);
        };
        controlPlane.set('MeshSettings', 'default', MESH_SETTINGS);
        set('HttpRoute', 'asking', {
          parents: [web],
          consumerNamespace,
          rules: [{ backends: [{ target: { $case: 'service', value: web }, weight: 1 }], ...rule }],
        });
        more?.(set);
      },
    }),
  );
  made.service({ name: 'web', vip: '10.9.0.1' });
  made.endpoint({ name: 'web-0', service: 'web', ip: backend.ip, port: backend.port });
  return made;
}

async function authorizedBy(made: WaypointNetwork, handler: RequestListener): Promise<WaypointNetwork> {
  const service = use(await httpBackend('127.0.0.3', handler));
  made.service({ name: 'authz', vip: '10.9.0.3' });
  made.endpoint({ name: 'authz-0', service: 'authz', ip: service.ip, port: service.port });
  return made;
}

describe('over HTTP', () => {
  test('the service hears what always goes and what is named, and the endpoint what it answers', async () => {
    const asked: Heard[] = [];
    const made = await authorizedBy(
      await network({ filters: [asking({ pathPrefix: '/check', includeRequestHeadersInCheck: ['x-ask'] })] }),
      hears((heard, response) => {
        asked.push(heard);
        response
          .writeHead(200, { 'x-user': 'alice', 'content-type': 'text/plain', 'x-more': 'b' })
          .end('yes');
      }),
    );
    const { status, body } = await (await made.client()).request(WEB, {
      method: 'POST',
      path: '/a?b=c',
      headers: {
        authorization: 'let me',
        'x-ask': '1',
        'x-secret': '2',
        'x-user': 'root',
        'content-type': 'a/b',
      },
      body: 'some body',
    });
    expect(status).toBe(200);
    const [question] = asked;
    expect(question).toMatchObject({
      method: 'POST',
      url: '/check/a?b=c',
      body: '',
      headers: { host: 'app.test', authorization: 'let me', 'x-ask': '1', 'content-length': '0' },
    });
    expect(Object.keys(question?.headers ?? {})).not.toContain('x-secret');
    expect(JSON.parse(body)).toMatchObject({
      url: '/a?b=c',
      body: 'some body',
      headers: { 'x-user': 'alice', 'x-more': 'b', 'x-secret': '2', 'content-type': 'a/b' },
    });
  });

  test('with a list, of the answer’s headers those alone that are named', async () => {
    const made = await authorizedBy(
      await network({ filters: [asking({ headersToUpstreamOnAllow: ['x-user'] })] }),
      (_, response) => response.writeHead(200, { 'x-user': 'alice', 'x-more': 'b' }).end(),
    );
    const { body } = await (await made.client()).request(WEB);
    const { headers } = JSON.parse(body) as Heard;
    expect([headers['x-user'], headers['x-more']]).toEqual(['alice', undefined]);
  });

  test('its no is the client’s answer, and no endpoint hears of the request', async () => {
    const made = await authorizedBy(await network({ filters: [asking()] }), (_, response) =>
      response.writeHead(302, { location: '/login' }).end('go'),
    );
    const { status, headers, body } = await (await made.client()).request(WEB);
    expect([status, headers['location'], body]).toEqual([302, '/login', 'go']);
  });

  test.each<[string, RequestListener | undefined]>([
    ['nobody is there', undefined],
    ['it fails', (_, response) => response.writeHead(503).end()],
    ['it hangs up', (request) => request.socket.destroy()],
    ['it hangs', () => undefined],
  ])('%s: 403', async (_, handler) => {
    const made = await network({ filters: [asking({ timeoutMs: 100 })] });
    if (handler) await authorizedBy(made, handler);
    expect((await (await made.client()).request(WEB)).status).toBe(403);
  });

  test('a body goes as far as is asked for, and a longer one is refused', async () => {
    const asked: string[] = [];
    const made = await authorizedBy(
      await network({ filters: [asking({ maxRequestBytes: 65_535 })] }),
      hears(({ body, headers }, response) => {
        asked.push(`${body.length} of ${headers['content-length']}`);
        response.end();
      }),
    );
    const client = await made.client();
    const post = (bytes: number) => client.request(WEB, { method: 'POST', body: 'x'.repeat(bytes) });
    const whole = await post(65_535);
    expect([whole.status, (JSON.parse(whole.body) as Heard).body.length]).toEqual([200, 65_535]);
    expect((await client.request(WEB)).status).toBe(200);
    expect((await post(65_536)).status).toBe(413);
    expect(asked).toEqual(['65535 of 65535', '0 of 0']);
  });

  test('an answer that is cut short is none', async () => {
    const made = await authorizedBy(await network({ filters: [asking()] }), (_, response) =>
      response.writeHead(200, { 'content-length': '9' }).write('cut', () => response.destroy()),
    );
    expect((await (await made.client()).request(WEB)).status).toBe(403);
  });

  test('of a no the client hears so much and no more', async () => {
    const made = await authorizedBy(await network({ filters: [asking()] }), (_, response) =>
      response.writeHead(401).end(Buffer.alloc(MAX_AUTHORIZATION_ANSWER_BYTES + 1)),
    );
    const { status, body } = await (await made.client()).request(WEB);
    expect([status, body.length]).toEqual([401, MAX_AUTHORIZATION_ANSWER_BYTES]);
  });

  test('a handshake of WebSocket is asked about before an endpoint hears of it', async () => {
    const asked: Heard[] = [];
    const made = await authorizedBy(
      await network({ filters: [asking({ maxRequestBytes: 10 })] }),
      hears((heard, response) => {
        asked.push(heard);
        response.writeHead(401).end();
      }),
    );
    const duplex = await (await made.client()).connect(WEB);
    const answered = once(duplex, 'data') as Promise<[Buffer]>;
    const lines = [
      'GET /room HTTP/1.1',
      'host: app.test',
      'connection: upgrade',
      'upgrade: websocket',
      'sec-websocket-version: 13',
      'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
    ];
    duplex.write(`${lines.join('\r\n')}\r\n\r\n`);
    const [answer] = await answered;
    expect(answer.toString().split('\r\n')[0]).toBe('HTTP/1.1 401 Unauthorized');
    expect(asked).toMatchObject([
      { method: 'GET', url: '/room', body: '', headers: { 'content-length': '0' } },
    ]);
    expect(asked[0]?.headers).not.toHaveProperty('upgrade');
  });

  test('it is asked once, however often the request is tried', async () => {
    let asked = 0;
    let tries = 0;
    const made = await authorizedBy(
      await network({
        filters: [asking()],
        retry: { attempts: 2, retryOn: ['5xx'], backoffMs: 1 },
      }),
      (_, response) => {
        asked += 1;
        response.end();
      },
    );
    const failing = use(
      await httpBackend('127.0.0.4', (_, response) => {
        tries += 1;
        response.writeHead(503).end();
      }),
    );
    made.endpoint({ name: 'web-0', service: 'web', ip: failing.ip, port: failing.port });
    expect((await (await made.client()).request(WEB)).status).toBe(503);
    expect([asked, tries]).toEqual([1, 3]);
  });

  test('a script of another origin may read its no', async () => {
    const cors: Filter = {
      kind: {
        $case: 'cors',
        value: { allowOrigins: [{ kind: { $case: 'exact', value: 'https://a' } }] },
      },
    };
    const made = await authorizedBy(await network({ filters: [cors, asking()] }), (_, response) =>
      response.writeHead(401).end(),
    );
    const { status, headers } = await (await made.client()).request(WEB, {
      headers: { origin: 'https://a' },
    });
    expect([status, headers['access-control-allow-origin']]).toEqual([401, 'https://a']);
  });

  test('a client that speaks gRPC is told its no as a status of gRPC', async () => {
    const made = await authorizedBy(await network({ filters: [asking()] }), (_, response) =>
      response.writeHead(401, { 'content-type': 'text/html', 'x-why': 'a' }).end('no such user'),
    );
    const answer = await (await made.client()).request(WEB, {
      method: 'POST',
      headers: { 'content-type': 'application/grpc' },
    });
    expect([answer.status, answer.body]).toEqual([200, '']);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/grpc',
      'grpc-status': '16',
      'grpc-message': 'no such user',
      'x-why': 'a',
    });
  });

  test('whom nobody waits for is asked no longer', async () => {
    const heard = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    const made = await authorizedBy(await network({ filters: [asking()] }), (request) => {
      heard.resolve();
      request.socket.on('close', () => gone.resolve());
    });
    const duplex = await (await made.client()).connect(WEB);
    duplex.write('GET / HTTP/1.1\r\nhost: app.test\r\n\r\n');
    await heard.promise;
    duplex.destroy();
    await gone.promise;
  });

  test('it is asked before a redirect, and not of a preflight', async () => {
    let asked = 0;
    const redirect: Filter = { kind: { $case: 'redirect', value: { hostname: 'secret.example' } } };
    const cors: Filter = {
      kind: {
        $case: 'cors',
        value: { allowOrigins: [{ kind: { $case: 'exact', value: 'https://a' } }], allowMethods: ['PUT'] },
      },
    };
    const made = await authorizedBy(await network({ filters: [redirect, cors, asking()] }), (_, response) => {
      asked += 1;
      response.writeHead(401).end();
    });
    const client = await made.client();
    const { status, headers } = await client.request(WEB);
    expect([status, headers['location'], asked]).toEqual([401, undefined, 1]);
    const preflight = await client.request(WEB, {
      method: 'OPTIONS',
      headers: { origin: 'https://a', 'access-control-request-method': 'PUT' },
    });
    expect([preflight.status, asked]).toEqual([200, 1]);
  });

  test('each of two is asked, the second about what the first has made of it, until one says no', async () => {
    const asked: unknown[] = [];
    const made = await authorizedBy(
      await network({
        filters: [asking({ pathPrefix: '/first' })],
        backends: [
          {
            target: { $case: 'service', value: web },
            weight: 1,
            filters: [asking({ pathPrefix: '/second', includeRequestHeadersInCheck: ['x-first'] })],
          },
        ],
      }),
      hears(({ url, headers }, response) => {
        asked.push([url, headers['x-first']]);
        response.writeHead(url === '/second/no' ? 401 : 200, { 'x-first': 'was here' }).end();
      }),
    );
    const client = await made.client();
    expect((await client.request(WEB, { path: '/yes' })).status).toBe(200);
    expect((await client.request(WEB, { path: '/no' })).status).toBe(401);
    expect(asked).toEqual([
      ['/first/yes', undefined],
      ['/second/yes', 'was here'],
      ['/first/no', undefined],
      ['/second/no', 'was here'],
    ]);
  });
});

describe('whoever writes routes', () => {
  test('writes none of the headers that the service has written, by filters', async () => {
    const set = [
      { name: 'x-user', value: 'admin' },
      { name: 'x-route', value: 'was here' },
    ];
    const made = await authorizedBy(
      await network({ filters: [{ kind: { $case: 'requestHeaders', value: { set } } }, asking()] }),
      (_, response) => response.writeHead(200, { 'x-user': 'alice' }).end(),
    );
    const { headers } = JSON.parse((await (await made.client()).request(WEB)).body) as Heard;
    expect([headers['x-user'], headers['x-route']]).toEqual(['alice', 'was here']);
  });

  const custom = (set: SetResource, policy: object) => {
    set('AuthorizationPolicy', 'custom', {
      targets: [{ kind: { $case: 'service', value: web } }],
      action: AuthorizationAction.CUSTOM,
      provider: 'asker',
      ...policy,
    });
  };
  const provider = {
    name: 'asker',
    kind: {
      $case: 'extAuthzHttp' as const,
      value: {
        service: hostnameOf('authz'),
        port: SERVICE_PORT,
        pathPrefix: '/custom',
        headersToUpstreamOnAllow: ['x-by'],
      },
    },
  };
  const withProvider = (made: WaypointNetwork) =>
    made.controlPlane.set('MeshSettings', 'default', {
      ...MESH_SETTINGS,
      extensionProviders: [...(MESH_SETTINGS.extensionProviders ?? []), provider],
    });

  test('writes none of what services of CUSTOM policies have written, by one of their own', async () => {
    const made = await authorizedBy(
      await network(
        { filters: [asking()] },
        { consumerNamespace: NAMESPACE, more: (set) => custom(set, { rules: [{}] }) },
      ),
      (request, response) =>
        response.writeHead(200, { 'x-by': request.url?.startsWith('/custom') ? 'policy' : 'route' }).end(),
    );
    withProvider(made);
    const client = await made.client();
    const answer = await client.request(WEB);
    expect([answer.status, (JSON.parse(answer.body) as Heard).headers['x-by']]).toEqual([200, 'policy']);
  });

  test('makes no CUSTOM policy count as asked that was not', async () => {
    const when = [{ key: 'request.headers[x-made]', values: ['up'] }];
    const asked: unknown[] = [];
    const made = await authorizedBy(
      await network(
        { filters: [asking()] },
        { consumerNamespace: NAMESPACE, more: (set) => custom(set, { rules: [{ when }] }) },
      ),
      (request, response) => {
        asked.push(request.url);
        response.writeHead(200, { 'x-made': 'up' }).end();
      },
    );
    withProvider(made);
    expect((await (await made.client()).request(WEB)).status).toBe(403);
    expect(asked).toEqual(['/']);
  });

  test.each<[string, string, number, number]>([
    ['of clients: its policies count, and it hears nothing', NAMESPACE, 403, 0],
    ['of its own namespace: they do not, as of any backend there', '', 200, 1],
  ])('leads questions to a service by a route %s', async (_, consumerNamespace, status, want) => {
    let asked = 0;
    const made = await authorizedBy(
      await network(
        { filters: [asking({ pathPrefix: '/admin' })] },
        {
          consumerNamespace,
          more: (set) =>
            set('AuthorizationPolicy', 'closed', {
              targets: [
                {
                  kind: { $case: 'service', value: { namespace: NAMESPACE, hostname: hostnameOf('authz') } },
                },
              ],
              action: AuthorizationAction.DENY,
              rules: [{ to: [{ paths: ['/admin/*'] }] }],
            }),
        },
      ),
      (__, response) => {
        asked += 1;
        response.end();
      },
    );
    expect((await (await made.client()).request(WEB)).status).toBe(status);
    expect(asked).toBe(want);
  });
});

test('over gRPC: what the service hears, yes, no, and what is no answer', async () => {
  const asked: unknown[] = [];
  const answer = (stream: ServerHttp2Stream) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const message = decodeCheckRequest(grpcMessage(Buffer.concat(chunks)) ?? new Uint8Array(0));
      const { path = '', headers, body } = message.attributes?.request?.http ?? {};
      asked.push([path, Object.fromEntries(headers ?? []), body]);
      const header = { key: 'x-by', value: message.attributes?.source?.principal ?? '' };
      const response = path.startsWith('/yes')
        ? createCheckResponse({
            httpResponse: {
              $case: 'okResponse',
              value: {
                headers: [{ header }],
                headersToRemove: ['x-ask'],
                responseHeadersToAdd: [{ header: { key: 'x-told', value: 'a' } }],
                queryParametersToRemove: ['token'],
              },
            },
          })
        : createCheckResponse({
            status: { code: 7 },
            httpResponse: { $case: 'deniedResponse', value: { status: { code: 418 }, body: 'tea' } },
          });
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () =>
        stream.sendTrailers({ 'grpc-status': path === '/broken' ? '13' : '0' }),
      );
      stream.end(grpcFrame(encodeCheckResponse(response)));
    });
  };
  const service = use(await http2Backend('127.0.0.3', answer));
  const value = {
    service: AUTHZ,
    port: SERVICE_PORT,
    maxRequestBytes: 10,
    includeRequestHeadersInCheck: ['x-ask'],
  };
  const made = await network({
    filters: [{ kind: { $case: 'externalAuth', value: { kind: { $case: 'grpc', value } } } }],
  });
  made.service({ name: 'authz', vip: '10.9.0.3', protocol: AppProtocol.GRPC });
  made.endpoint({ name: 'authz-0', service: 'authz', ip: service.ip, port: service.port });
  const client = await made.client();
  const headers = { 'x-ask': '1', 'x-secret': '2' };
  const yes = await client.request(WEB, { method: 'POST', path: '/yes?token=a&b=c', headers, body: 'some' });
  const heard = JSON.parse(yes.body) as Heard;
  expect([yes.status, yes.headers['x-told'], heard.url, heard.body]).toEqual([200, 'a', '/yes?b=c', 'some']);
  expect(heard.headers).toMatchObject({
    'x-by': `spiffe://cluster.local/ns/${NAMESPACE}/sa/alice`,
    'x-secret': '2',
  });
  expect(heard.headers['x-ask']).toBeUndefined();
  const no = await client.request(WEB, { path: '/no' });
  expect([no.status, no.body]).toEqual([418, 'tea']);
  expect((await client.request(WEB, { path: '/broken' })).status).toBe(403);
  expect((await client.request(WEB, { method: 'POST', path: '/yes', body: 'x'.repeat(11) })).status).toBe(
    413,
  );
  expect(asked).toEqual([
    ['/yes?token=a&b=c', { 'x-ask': '1', 'x-envoy-auth-partial-body': 'false' }, 'some'],
    ['/no', { 'x-envoy-auth-partial-body': 'false' }, ''],
    ['/broken', { 'x-envoy-auth-partial-body': 'false' }, ''],
  ]);
});
