import { beforeAll, describe, expect, test } from '@jest/globals';
import type { RequestListener } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import {
  AuthorizationAction,
  type ExtensionProvider,
  type PolicyTarget,
  type WaypointFields,
  type WaypointResourceKind,
  type WaypointResources,
} from '@ambit/api/waypoint';
import {
  createCheckResponse,
  decodeCheckRequest,
  encodeCheckResponse,
} from '@ambit/api/external-authorization';
import { AppProtocol } from '@ambit/api/workload';
import { CompactSign, exportJWK, generateKeyPair, type JWK } from 'jose';
import { http2Backend, httpBackend } from '../testing/backend.ts';
import { MESH_SETTINGS } from '../testing/control-plane.ts';
import { testScope } from '../testing/scope.ts';
import { until } from '../testing/until.ts';
import { hostnameOf, NAMESPACE, startWaypoint, type WaypointNetwork } from '../testing/waypoint-network.ts';
import { grpcFrame, grpcMessage } from '../grpc.ts';

const use = testScope();
const WEB = '10.9.0.1:80';
const ISSUER = 'https://issuer.example';
const EVERYTHING: readonly PolicyTarget[] = [{ kind: { $case: 'gateway', value: `${NAMESPACE}/waypoint` } }];

let privateKey: CryptoKey;
let publicJwk: JWK;
beforeAll(async () => {
  const pair = await generateKeyPair('ES256', { extractable: true });
  privateKey = pair.privateKey;
  publicJwk = { ...(await exportJWK(pair.publicKey)), kid: 'k', alg: 'ES256' };
});

async function token(claims: object): Promise<string> {
  const payload = new TextEncoder().encode(JSON.stringify({ iss: ISSUER, ...claims }));
  return await new CompactSign(payload).setProtectedHeader({ alg: 'ES256', kid: 'k' }).sign(privateKey);
}

/** A waypoint that has these resources before it serves, with `web` behind it, which answers with the request it saw. */
async function network(
  resources: (
    set: <Kind extends WaypointResourceKind>(
      kind: Kind,
      fields: WaypointFields<WaypointResources[Kind]>,
    ) => void,
  ) => void,
): Promise<WaypointNetwork> {
  const seen: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () =>
      response.end(
        JSON.stringify({
          url: request.url,
          headers: request.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      ),
    );
  };
  const backend = use(await httpBackend('127.0.0.2', seen));
  const made = use(
    await startWaypoint({
      before: (controlPlane) =>
        resources((kind, fields) => {
          const name = kind === 'MeshSettings' ? 'default' : `${NAMESPACE}/p`;
          const origin = { kind, namespace: NAMESPACE, name: 'p', createdMs: 1n };
          controlPlane.set(
            kind,
            name,
            kind === 'MeshSettings' ? fields : ({ origin, targets: EVERYTHING, ...fields } as typeof fields),
          );
        }),
    }),
  );
  made.service({ name: 'web', vip: '10.9.0.1' });
  made.endpoint({ name: 'web-0', service: 'web', ip: backend.ip, port: backend.port });
  return made;
}

/** A route that says of requests who they are from. @param consumerNamespace - Empty: it is of the service. */
function forgingRoute(
  header: string,
  consumerNamespace: string,
): WaypointFields<WaypointResources['HttpRoute']> {
  const to = { namespace: NAMESPACE, hostname: hostnameOf('web') };
  const set = [
    { name: header, value: 'admin' },
    { name: 'x-route', value: 'was here' },
  ];
  return {
    parents: [{ ...to, port: 0 }],
    consumerNamespace,
    rules: [
      {
        filters: [{ kind: { $case: 'requestHeaders', value: { set } } }],
        backends: [{ target: { $case: 'service', value: { ...to, port: 80 } }, weight: 1 }],
      },
    ],
  };
}

interface Seen {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

describe('tokens', () => {
  const rule = (parts: object = {}) => ({
    issuer: ISSUER,
    jwks: JSON.stringify({ keys: [publicJwk] }),
    outputClaimToHeaders: [{ header: 'x-user', claim: 'sub' }],
    ...parts,
  });

  test('are believed, used by policies, and turned into headers', async () => {
    const made = await network((set) => {
      set('RequestAuthentication', { rules: [rule()] });
      set('AuthorizationPolicy', {
        action: AuthorizationAction.ALLOW,
        rules: [{ when: [{ key: 'request.auth.claims[groups]', values: ['admin'] }] }],
      });
    });
    const client = await made.client();
    const ask = async (headers: Record<string, string>) => {
      const { status, body } = await client.request(WEB, { headers });
      return { status, body };
    };
    const admin = await ask({ authorization: `Bearer ${await token({ sub: 'alice', groups: ['admin'] })}` });
    expect(admin.status).toBe(200);
    const seen = JSON.parse(admin.body) as Seen;
    expect([seen.headers['x-user'], seen.headers['authorization']]).toEqual(['alice', undefined]);
    expect(await ask({ authorization: `Bearer ${await token({ sub: 'bob' })}` })).toEqual({
      status: 403,
      body: 'RBAC: access denied',
    });
    expect(await ask({})).toEqual({ status: 403, body: 'RBAC: access denied' });
    expect(await ask({ authorization: 'Bearer a.b.c' })).toMatchObject({
      status: 401,
      body: expect.stringContaining('Jwt'),
    });
  });

  test('nor by a route, of clients or of the service, with a token or without', async () => {
    for (const consumerNamespace of ['', NAMESPACE]) {
      const made = await network((set) => {
        set('RequestAuthentication', { rules: [rule()] });
        set('HttpRoute', forgingRoute('x-user', consumerNamespace));
      });
      const client = await made.client();
      const heard = async (headers: Record<string, string>) => {
        const { body } = await client.request(WEB, { headers });
        const seen = JSON.parse(body) as Seen;
        return [seen.headers['x-user'], seen.headers['x-route']];
      };
      expect(await heard({ authorization: `Bearer ${await token({ sub: 'alice' })}` })).toEqual([
        'alice',
        'was here',
      ]);
      expect(await heard({})).toEqual([undefined, 'was here']);
    }
  });

  test('a header that a rule fills cannot be written by a client', async () => {
    const made = await network((set) => set('RequestAuthentication', { rules: [rule()] }));
    const { status, body } = await (await made.client()).request(WEB, { headers: { 'x-user': 'root' } });
    expect([status, (JSON.parse(body) as Seen).headers['x-user']]).toEqual([200, undefined]);
  });

  test('keys may come from a service of the mesh', async () => {
    const asked: string[] = [];
    const issuer = use(
      await httpBackend('127.0.0.3', (request, response) => {
        asked.push(`${request.headers.host} ${request.url}`);
        response.end(JSON.stringify({ keys: [publicJwk] }));
      }),
    );
    const jwksUri = `http://${hostnameOf('issuer')}/keys`;
    const made = await network((set) =>
      set('RequestAuthentication', { rules: [rule({ jwks: '', jwksUri })] }),
    );
    made.service({ name: 'issuer', vip: '10.9.0.3' });
    made.endpoint({ name: 'issuer-0', service: 'issuer', ip: issuer.ip, port: issuer.port });
    const client = await made.client();
    const headers = { authorization: `Bearer ${await token({ sub: 'alice' })}` };
    expect((await client.request(WEB, { headers })).status).toBe(200);
    expect((await client.request(WEB, { headers })).status).toBe(200);
    expect(asked).toEqual([`${hostnameOf('issuer')} /keys`]);
  });

  test('keys that cannot be had: refused, with the reason', async () => {
    const jwksUri = 'http://127.0.0.1:1/keys';
    const made = await network((set) =>
      set('RequestAuthentication', { rules: [rule({ jwks: '', jwksUri })] }),
    );
    const headers = { authorization: `Bearer ${await token({ sub: 'alice' })}` };
    const { status, body, headers: answered } = await (await made.client()).request(WEB, { headers });
    expect([status, body]).toEqual([401, 'Jwks remote fetch is failed']);
    expect(answered['www-authenticate']).toMatch(/^Bearer realm="http:.*", error="invalid_token"$/);
  });
});

test('AUDIT and dry runs are counted, of requests', async () => {
  const made = await network((set) =>
    set('AuthorizationPolicy', { action: AuthorizationAction.DENY, dryRun: true, rules: [{}] }),
  );
  made.controlPlane.set('AuthorizationPolicy', `${NAMESPACE}/audit`, {
    origin: { kind: 'AuthorizationPolicy', namespace: NAMESPACE, name: 'audit', createdMs: 1n },
    targets: EVERYTHING,
    action: AuthorizationAction.AUDIT,
    rules: [{}],
  });
  const client = await made.client();
  await until(async () => {
    await client.request(WEB);
    const { body } = await made.page('stats', '/metrics');
    return /^ambit_waypoint_audited_total\{policy="shop\/audit"\} \d+$/m.test(body);
  }, 'audited');
  const { body } = await made.page('stats', '/metrics');
  expect(body).toMatch(
    /^ambit_waypoint_dry_run_verdicts_total\{policy="shop\/p",result="denied",enforced_result="allowed"\} \d+$/m,
  );
});

describe('services that authorize', () => {
  const custom = (
    set: Parameters<Parameters<typeof network>[0]>[0],
    provider: WaypointFields<ExtensionProvider>['kind'],
  ) => {
    const extensionProviders = [
      ...(MESH_SETTINGS.extensionProviders ?? []),
      { name: 'asker', kind: provider },
    ];
    set('MeshSettings', { ...MESH_SETTINGS, extensionProviders } as WaypointFields<
      WaypointResources['MeshSettings']
    >);
    set('AuthorizationPolicy', {
      action: AuthorizationAction.CUSTOM,
      provider: 'asker',
      rules: [{ to: [{ paths: ['/ask*'] }] }],
    });
  };

  async function overHttp(handler: RequestListener, parts: object = {}): Promise<WaypointNetwork> {
    const service = use(await httpBackend('127.0.0.3', handler));
    const made = await network((set) =>
      custom(set, {
        $case: 'extAuthzHttp',
        value: { service: hostnameOf('authz'), port: 80, headersToUpstreamOnAllow: ['x-by'], ...parts },
      }),
    );
    made.service({ name: 'authz', vip: '10.9.0.3' });
    made.endpoint({ name: 'authz-0', service: 'authz', ip: service.ip, port: service.port });
    return made;
  }

  test('over HTTP: yes, no, and not asked', async () => {
    const made = await overHttp((request, response) => {
      const allowed = request.headers.authorization === 'let me';
      response.writeHead(allowed ? 200 : 401, { 'x-by': 'authz' });
      response.end(allowed ? '' : `no ${request.method} ${request.url}`);
    });
    const client = await made.client();
    const yes = await client.request(WEB, { path: '/ask', headers: { authorization: 'let me' } });
    expect([yes.status, (JSON.parse(yes.body) as Seen).headers['x-by']]).toEqual([200, 'authz']);
    const no = await client.request(WEB, { path: '/ask?a=b' });
    expect([no.status, no.body, no.headers['x-by']]).toEqual([401, 'no GET /ask?a=b', 'authz']);
    expect((await client.request(WEB, { path: '/other' })).status).toBe(200);
  });

  test('what one has written no route of clients changes', async () => {
    const made = await overHttp((_, response) => response.writeHead(200, { 'x-by': 'authz' }).end());
    made.controlPlane.set('HttpRoute', `${NAMESPACE}/forging`, {
      origin: { kind: 'HTTPRoute', namespace: NAMESPACE, name: 'forging', createdMs: 1n },
      ...forgingRoute('x-by', NAMESPACE),
    });
    const client = await made.client();
    const heard = async () => JSON.parse((await client.request(WEB, { path: '/ask' })).body) as Seen;
    await until(async () => (await heard()).headers['x-route'] === 'was here', 'the route is there');
    expect((await heard()).headers['x-by']).toBe('authz');
  });

  test('one that hangs: refused in time', async () => {
    const made = await overHttp(() => undefined, { timeoutMs: 50 });
    expect((await (await made.client()).request(WEB, { path: '/ask' })).status).toBe(403);
  });

  test('one that is not there: refused, or let pass where the settings say so', async () => {
    const parts = { service: hostnameOf('nobody'), statusOnError: 503 };
    const refusing = await overHttp(() => undefined, parts);
    expect((await (await refusing.client()).request(WEB, { path: '/ask' })).status).toBe(503);
    const passing = await overHttp(() => undefined, { ...parts, failOpen: true });
    expect((await (await passing.client()).request(WEB, { path: '/ask' })).status).toBe(200);
  });

  test('bodies: seen by the service up to the limit, and whole by the endpoint', async () => {
    const bodies: string[] = [];
    const collect: RequestListener = (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        bodies.push(`${Buffer.concat(chunks).length} ${request.headers['x-envoy-auth-partial-body']}`);
        response.end();
      });
    };
    const made = await overHttp(collect, { maxRequestBytes: 1_000, allowPartialMessage: true });
    const client = await made.client();
    const post = async (bytes: number) => {
      const { status, body } = await client.request(WEB, {
        method: 'POST',
        path: '/ask',
        body: 'x'.repeat(bytes),
      });
      return [status, (JSON.parse(body) as Seen).body.length];
    };
    expect([await post(1_000), await post(300_000)]).toEqual([
      [200, 1_000],
      [200, 300_000],
    ]);
    expect(bodies).toEqual(['1000 false', '1000 true']);
    const strict = await overHttp(collect, { maxRequestBytes: 1_000 });
    expect(
      (await (await strict.client()).request(WEB, { method: 'POST', path: '/ask', body: 'x'.repeat(1_001) }))
        .status,
    ).toBe(413);
  });

  test('over gRPC: yes and no', async () => {
    const answer = (stream: ServerHttp2Stream) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const asked = decodeCheckRequest(grpcMessage(Buffer.concat(chunks)) ?? new Uint8Array(0));
        const { principal } = asked.attributes?.source ?? {};
        const allowed = asked.attributes?.request?.http?.path.startsWith('/ask/yes') === true;
        const header = { key: 'x-by', value: principal ?? '' };
        const response = allowed
          ? createCheckResponse({
              httpResponse: {
                $case: 'okResponse',
                value: {
                  headers: [{ header }],
                  queryParametersToSet: [{ key: 'by', value: 'alice' }],
                  queryParametersToRemove: ['token'],
                },
              },
            })
          : createCheckResponse({
              status: { code: 7 },
              httpResponse: { $case: 'deniedResponse', value: { status: { code: 418 }, body: 'tea' } },
            });
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.end(grpcFrame(encodeCheckResponse(response)));
      });
    };
    const service = use(await http2Backend('127.0.0.3', answer));
    const made = await network((set) =>
      custom(set, { $case: 'extAuthzGrpc', value: { service: hostnameOf('authz'), port: 80 } }),
    );
    made.service({ name: 'authz', vip: '10.9.0.3', protocol: AppProtocol.GRPC });
    made.endpoint({ name: 'authz-0', service: 'authz', ip: service.ip, port: service.port });
    const client = await made.client();
    const yes = await client.request(WEB, { path: '/ask/yes?token=secret&page=2' });
    const seen = JSON.parse(yes.body) as Seen;
    expect([yes.status, seen.headers['x-by'], seen.url]).toEqual([
      200,
      'spiffe://cluster.local/ns/shop/sa/alice',
      '/ask/yes?page=2&by=alice',
    ]);
    const no = await client.request(WEB, { path: '/ask/no' });
    expect([no.status, no.body]).toEqual([418, 'tea']);
  });
});
