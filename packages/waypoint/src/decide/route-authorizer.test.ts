import { describe, expect, test } from '@jest/globals';
import { questionView, withAnswer } from './route-authorizer.ts';
import { decideRoute } from './route.ts';
import type { RouteAuthorizer } from './route-decision.ts';
import { buildRouteTable } from './route-table.ts';
import {
  backend,
  connection,
  filter,
  httpRoute,
  request,
  type RouteParts,
  SERVICE,
} from './testing/requests.ts';

type Rule = NonNullable<RouteParts['rules']>[number];
type Kind = Parameters<typeof filter>[0];

const AUTHZ = 'auth/authz.auth.svc.cluster.local';
const ask = (value: object) => filter({ $case: 'externalAuth', value: { kind: value } } as Kind);
const http = (value: object = {}) => ask({ $case: 'http', value: { service: AUTHZ, port: 80, ...value } });
const grpc = (value: object = {}) => ask({ $case: 'grpc', value: { service: AUTHZ, port: 90, ...value } });

function decide(rule: Rule, parts: RouteParts = {}) {
  const table = buildRouteTable(SERVICE, 80, [
    httpRoute({ ...parts, rules: [{ backends: [backend(1)], ...rule }] }),
  ]);
  return decideRoute(
    table,
    request('/'),
    connection({ identity: 'spiffe://cluster.local/ns/web/sa/a' }),
    () => 0,
  );
}

function authorizersOf(rule: Rule, parts: RouteParts = {}): readonly RouteAuthorizer[] {
  const decision = decide(rule, parts);
  if (decision.kind === 'respond') throw new Error(`responds: ${decision.message}`);
  return decision.authorizers;
}

function asked(rule: Rule, parts: RouteParts = {}): RouteAuthorizer & { readonly kind: 'service' } {
  const [first] = authorizersOf(rule, parts);
  if (first?.kind !== 'service') throw new Error('nobody is asked');
  return first;
}

describe('who is asked', () => {
  test('the service of the rule, then that of the backend, as their route leads there', () => {
    const both = authorizersOf({
      filters: [http()],
      backends: [{ ...backend(1), filters: [grpc()] }],
    });
    const lead = { consumerNamespace: undefined, authorNamespace: 'shop' };
    expect(both).toEqual([
      {
        kind: 'service',
        backend: { to: { service: AUTHZ, port: 80 }, subset: '' },
        ...lead,
        authorizer: expect.objectContaining({ kind: 'ext-authz-http', statusOnError: 403, failOpen: false }),
      },
      {
        kind: 'service',
        backend: { to: { service: AUTHZ, port: 90 }, subset: '' },
        ...lead,
        authorizer: expect.objectContaining({ kind: 'ext-authz-grpc', timeoutMs: 10_000 }),
      },
    ]);
  });

  test('before a redirect as well', () => {
    expect(
      authorizersOf({ filters: [http(), filter({ $case: 'redirect', value: {} } as Kind)] }),
    ).toHaveLength(1);
  });

  test('nobody where there is no such filter', () => {
    expect(authorizersOf({})).toEqual([]);
  });

  test('a route of clients says whose it is', () => {
    expect(asked({ filters: [http()] }, { namespace: 'web', consumerNamespace: 'web' })).toMatchObject({
      consumerNamespace: 'web',
      authorNamespace: 'web',
    });
  });

  test('one that is not there', () => {
    const filters = [ask({ $case: 'status', value: 500 })];
    expect(authorizersOf({ filters })).toEqual([{ kind: 'status', status: 500 }]);
  });

  test.each<[string, readonly ReturnType<typeof ask>[]]>([
    ['of a kind that came later', [filter({ $case: 'externalAuth', value: {} } as Kind)]],
    ['more than once', [http(), grpc()]],
    ['a service without namespace', [http({ service: 'authz' })]],
    ['no port', [grpc({ port: 0 })]],
    ['no service', [grpc({ service: '' })]],
    ['one that lets pass whoever it is not asked about', [http({ failOpen: true })]],
    ['a path that is none', [http({ pathPrefix: '/a b' })]],
    ['a header that is none', [http({ includeRequestHeadersInCheck: ['a b'] })]],
    ['a status that is none', [ask({ $case: 'status', value: 99 })]],
    [
      'an answer of the user’s beside it',
      [http(), filter({ $case: 'directResponse', value: { status: 200 } } as Kind)],
    ],
  ])('%s: the rule refuses', (_, filters) => {
    expect(decide({ filters })).toMatchObject({ kind: 'respond', status: 500, reason: 'unreadable' });
  });
});

describe('what policies of the service are asked about', () => {
  const client = request('/a?b=c', {
    method: 'PUT',
    headers: { authorization: 'Bearer t', cookie: 'd', 'x-other': 'e' },
  });

  test('over HTTP the path with its prefix, and the headers that go', () => {
    const filters = [http({ pathPrefix: '/check', includeRequestHeadersInCheck: ['cookie'] })];
    expect(questionView(asked({ filters }), client)).toEqual({
      ...client,
      path: '/check/a?b=c',
      fields: ['authorization', 'Bearer t', 'cookie', 'd'],
    });
  });

  test('over gRPC the call', () => {
    expect(questionView(asked({ filters: [grpc()] }), client)).toEqual({
      method: 'POST',
      scheme: 'http',
      authority: 'authz.auth.svc.cluster.local',
      path: '/envoy.service.auth.v3.Authorization/Check',
      fields: [],
      version: '2',
    });
  });
});

describe('what an answer changes', () => {
  const before = {
    ...request('/', { headers: { 'x-user': 'alice', 'x-client': '1', 'x-forwarded-client-cert': 'By=a' } }),
    vouched: ['x-user', 'x-role'],
  };
  const changes = (set: readonly string[], remove: readonly string[] = []) => ({
    changes: { set, remove, vouched: [...remove, ...set.filter((_, i) => i % 2 === 0)] },
    query: undefined,
  });
  const filters = [http()];
  const consumer = () => asked({ filters }, { namespace: 'web', consumerNamespace: 'web' });

  test('headers, of which filters have no say then', () => {
    const { fields, vouched } = withAnswer(
      asked({ filters }),
      before,
      changes(['x-client', '2', 'x-new', '3']),
    );
    expect(fields).toEqual([
      ...['x-user', 'alice', 'x-forwarded-client-cert', 'By=a'],
      ...['x-client', '2', 'x-new', '3'],
    ]);
    expect(vouched).toEqual(['x-user', 'x-role', 'x-client', 'x-new']);
  });

  test('nothing of what tokens, other services and the mesh say of the client', () => {
    const forged = changes([
      'x-user',
      'admin',
      'x-role',
      'admin',
      'x-forwarded-client-cert',
      'By=b',
      'host',
      'evil',
    ]);
    expect(withAnswer(asked({ filters }), before, forged).fields).toEqual(before.fields);
  });

  test('a service of a route of clients removes none of it either', () => {
    const removed = changes([], ['x-user', 'x-client']);
    expect(withAnswer(asked({ filters }), before, removed).fields).toEqual([
      'x-forwarded-client-cert',
      'By=a',
    ]);
    expect(withAnswer(consumer(), before, removed).fields).toEqual([
      ...['x-user', 'alice', 'x-forwarded-client-cert', 'By=a'],
    ]);
  });

  const withToken = {
    ...request('/?access_token=good&a=b', { headers: { authorization: 'Bearer good' } }),
    tokenPlaces: { fields: ['authorization'], isQuery: true },
  };
  const forged = {
    ...changes(['authorization', 'Bearer forged']),
    query: { set: [['access_token', 'forged'] as const], remove: ['a'] },
  };

  test('where tokens are looked for, a service of a route of clients changes nothing', () => {
    const { path, fields } = withAnswer(consumer(), withToken, forged);
    expect([path, fields]).toEqual([withToken.path, withToken.fields]);
  });

  test('and one of a route of the service does', () => {
    const { path, fields } = withAnswer(asked({ filters }), withToken, forged);
    expect([path, fields]).toEqual(['/?access_token=forged', ['authorization', 'Bearer forged']]);
  });
});
