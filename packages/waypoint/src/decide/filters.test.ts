import { describe, expect, test } from '@jest/globals';
import { answerPreflight } from './cors.ts';
import { changeFields, forwardedRequest, forwardedResponse } from './filters.ts';
import type { RequestView } from './request-view.ts';
import { decideRoute } from './route.ts';
import type { RouteDecision } from './route-decision.ts';
import { buildRouteTable } from './route-table.ts';
import {
  backend,
  connection,
  exactPath,
  filter,
  httpRoute,
  prefixPath,
  regexPath,
  request,
  type RouteParts,
  SERVICE,
  textPrefixPath,
} from './testing/requests.ts';

type Rule = NonNullable<RouteParts['rules']>[number];
type Filters = NonNullable<Rule['filters']>;

function decide(rule: Rule, asked: RequestView, options: { port?: number; kind?: RouteParts['kind'] } = {}) {
  const { port = 80, kind = 'HTTPRoute' } = options;
  const table = buildRouteTable(SERVICE, port, [httpRoute({ kind, rules: [rule] })]);
  return decideRoute(table, asked, connection(), () => 0);
}

function sent(rule: Rule, asked: RequestView, kind: RouteParts['kind'] = 'HTTPRoute') {
  const decision = decide({ backends: [backend(1)], ...rule }, asked, { kind });
  if (decision.kind !== 'forward') throw new Error(`decided ${decision.kind}`);
  return forwardedRequest(decision, asked);
}

function location(
  redirect: object,
  asked: RequestView,
  options: { port?: number; rule?: Rule; kind?: RouteParts['kind'] } = {},
) {
  const filters = [filter({ $case: 'redirect', value: redirect })] as Filters;
  const decision = decide({ ...options.rule, filters }, asked, options);
  return decision.kind === 'redirect' ? `${decision.status} ${decision.location}` : decision.kind;
}

const PREFIX = (value: string) => ({ path: { kind: { $case: 'replacePrefix', value } as const } });
const FULL = (value: string) => ({ path: { kind: { $case: 'replaceFull', value } as const } });
const REGEX = (match: string, rewrite: string) => ({
  path: { kind: { $case: 'regex', value: { match, rewrite } } as const },
});

describe('the path that is sent', () => {
  const cases: Record<
    string,
    [rule: Rule, path: string, change: object, want: string, kind?: RouteParts['kind']]
  > = {
    // The table of the Gateway API.
    '/foo/bar, /foo → /xyz': [{ matches: [prefixPath('/foo')] }, '/foo/bar', PREFIX('/xyz'), '/xyz/bar'],
    '/foo/bar, /foo → /xyz/': [{ matches: [prefixPath('/foo')] }, '/foo/bar', PREFIX('/xyz/'), '/xyz/bar'],
    '/foo/bar, /foo/ → /xyz': [{ matches: [prefixPath('/foo/')] }, '/foo/bar', PREFIX('/xyz'), '/xyz/bar'],
    '/foo/bar, /foo/ → /xyz/': [{ matches: [prefixPath('/foo/')] }, '/foo/bar', PREFIX('/xyz/'), '/xyz/bar'],
    '/foo, /foo → /xyz': [{ matches: [prefixPath('/foo')] }, '/foo', PREFIX('/xyz'), '/xyz'],
    '/foo/, /foo → /xyz': [{ matches: [prefixPath('/foo')] }, '/foo/', PREFIX('/xyz'), '/xyz/'],
    '/foo/bar, /foo → nothing': [{ matches: [prefixPath('/foo')] }, '/foo/bar', PREFIX(''), '/bar'],
    '/foo/, /foo → nothing': [{ matches: [prefixPath('/foo')] }, '/foo/', PREFIX(''), '/'],
    '/foo, /foo → nothing': [{ matches: [prefixPath('/foo')] }, '/foo', PREFIX(''), '/'],
    '/foo/, /foo → /': [{ matches: [prefixPath('/foo')] }, '/foo/', PREFIX('/'), '/'],
    '/foo, /foo → /': [{ matches: [prefixPath('/foo')] }, '/foo', PREFIX('/'), '/'],
    'the query stays': [{ matches: [prefixPath('/foo')] }, '/foo?a=/foo', PREFIX('/xyz'), '/xyz?a=/foo'],
    'the prefix / is replaced as well': [{ matches: [prefixPath('/')] }, '/foo', PREFIX('/xyz'), '/xyz/foo'],
    'the full path, and the query stays': [{}, '/full/one/two?x=1', FULL('/one'), '/one?x=1'],
    'a new path with a query of its own replaces the old': [{}, '/a?x=1', FULL('/one?y=2'), '/one?y=2'],
    'a regular expression and its groups': [
      {},
      '/a/42/b?x=1',
      REGEX('^/a/([0-9]+)/(.*)$', '/\\2/\\1/\\0'),
      '/b/42//a/42/b?x=1',
    ],
    'a regular expression, every time it matches': [{}, '/a/a', REGEX('a', 'b'), '/b/b'],
    'VirtualService: the text of the prefix': [
      { matches: [textPrefixPath('/foo')] },
      '/foobar',
      PREFIX('/xyz'),
      '/xyzbar',
      'VirtualService',
    ],
    'VirtualService: no two slashes': [
      { matches: [textPrefixPath('/foo')] },
      '/foo/bar',
      PREFIX('/'),
      '/bar',
      'VirtualService',
    ],
    'VirtualService: an exact path is replaced whole': [
      { matches: [exactPath('/foo')] },
      '/foo?x',
      PREFIX('/xyz'),
      '/xyz?x',
      'VirtualService',
    ],
    'VirtualService: what a regular expression matched is all of it': [
      { matches: [regexPath('/f.*')] },
      '/foo?x',
      PREFIX('/xyz'),
      '/xyz?x',
      'VirtualService',
    ],
  };

  test.each(Object.entries(cases))('%s', (_, [rule, path, change, want, kind]) => {
    const filters = [filter({ $case: 'rewrite', value: change })] as Filters;
    expect(sent({ ...rule, filters }, request(path), kind).path).toBe(want);
  });
});

test.each([
  ['the prefix', PREFIX('/backend'), '/backend/bar?a=1'],
  ['all', FULL('/backend'), '/backend?a=1'],
])('a backend’s path stands in place of its rule’s: %s', (_, change, want) => {
  const rewrite = (value: object) => [filter({ $case: 'rewrite', value })] as Filters;
  const asked = request('/foo/bar?a=1');
  const backends = [backend(1, 1, { filters: rewrite(change) })];
  const matches = [prefixPath('/foo')];
  expect(sent({ matches, backends }, asked).path).toBe(want);
  expect(sent({ matches, filters: rewrite(PREFIX('/rule')), backends }, asked).path).toBe(want);
});

describe('the fields that are sent', () => {
  const change = (value: object) => filter({ $case: 'requestHeaders', value });

  test('set replaces all, add appends with a comma or makes one, remove removes', () => {
    const filters = [
      change({
        set: [{ name: 'X-Header-Set', value: 'set-overwrites-values' }],
        add: [
          { name: 'X-Header-Add', value: 'header-val-1' },
          { name: 'X-Header-Add-Append', value: 'header-val-2' },
        ],
        remove: ['X-Header-Remove'],
      }),
    ] as Filters;
    const asked: RequestView = {
      ...request('/'),
      fields: [
        'x-header-set',
        'a',
        'x-header-remove',
        'b',
        'x-header-set',
        'c',
        'x-header-add-append',
        'append-val-1',
      ],
    };
    expect(sent({ filters }, asked).fields).toEqual([
      'x-header-add-append',
      'append-val-1,header-val-2',
      'x-header-set',
      'set-overwrites-values',
      'x-header-add',
      'header-val-1',
    ]);
  });

  test('the rule’s filters come before the backend’s', () => {
    const set = (value: string) => [change({ set: [{ name: 'x', value }] })] as Filters;
    expect(
      sent({ filters: set('rule'), backends: [backend(1, 1, { filters: set('backend') })] }, request('/'))
        .fields,
    ).toEqual(['x', 'backend']);
  });

  test('host is the authority, by rewrite or by field', () => {
    expect(
      sent(
        { filters: [filter({ $case: 'rewrite', value: { hostname: 'other.example' } })] as Filters },
        request('/'),
      ).authority,
    ).toBe('other.example');
    const set = sent({ filters: [change({ set: [{ name: 'Host', value: 'h' }] })] as Filters }, request('/'));
    expect(set).toEqual({ authority: 'h', path: '/', fields: [] });
  });

  test('fields that frame the message are not for filters', () => {
    const fields = ['content-length', '3', 'te', 'trailers'];
    const changed = changeFields(
      {
        set: [{ name: 'content-length', value: '9' }],
        add: [{ name: 'transfer-encoding', value: 'chunked' }],
        remove: ['te'],
      },
      fields,
    );
    expect(changed).toEqual(fields);
  });

  test('nor is whom the mesh says that a request is from', () => {
    const name = 'x-forwarded-client-cert';
    const said = [name, 'By=spiffe://td/ns/shop/sa/waypoint;URI=spiffe://td/ns/web/sa/front'];
    const forged = { name, value: 'URI=spiffe://td/ns/shop/sa/admin' };
    expect(changeFields({ set: [forged], add: [], remove: [name] }, said)).toEqual(said);
    expect(changeFields({ set: [], add: [forged], remove: [] }, said)).toEqual(said);
    expect(changeFields({ set: [forged], add: [forged], remove: [] }, [])).toEqual([]);
  });

  describe('what tokens and authorizing services have the say of', () => {
    const vouched = ['x-user', 'x-role'];
    const asked = { ...request('/'), fields: ['x-user', 'alice', 'x-other', '1'], vouched };
    const change = (set: object[], add: object[], remove: string[]) =>
      filter({ $case: 'requestHeaders', value: { set, add, remove } } as never);
    const of = (consumerNamespace: string | undefined, filters: Filters) => {
      const decision = decide({ backends: [backend(1)], filters }, asked);
      if (decision.kind !== 'forward') throw new Error(`decided ${decision.kind}`);
      return forwardedRequest({ ...decision, consumerNamespace }, asked).fields;
    };
    const forged = (name: string) => ({ name, value: 'admin' });

    test.each([undefined, 'web'])('no route writes it, there or not (route of clients: %s)', (consumer) => {
      expect(of(consumer, [change([forged('x-user'), forged('x-role'), forged('x-other')], [], [])])).toEqual(
        ['x-user', 'alice', 'x-other', 'admin'],
      );
      expect(of(consumer, [change([], [forged('x-user'), forged('x-role')], [])])).toEqual(asked.fields);
    });

    test('a route of the service may remove it, and one of its clients may not', () => {
      const filters = [change([], [forged('x-user')], ['x-user', 'x-other'])];
      expect(of(undefined, filters)).toEqual([]);
      expect(of('web', filters)).toEqual(['x-user', 'alice']);
    });
  });

  describe('where tokens are looked for', () => {
    const tokenPlaces = { fields: ['authorization', 'cookie'], isQuery: true };
    const asked = {
      ...request('/a?access_token=mine'),
      fields: ['authorization', 'Bearer mine'],
      tokenPlaces,
    };
    const forged = [
      { name: 'authorization', value: 'Bearer forged' },
      { name: 'cookie', value: 'token=forged' },
    ];
    const filters = [
      filter({ $case: 'requestHeaders', value: { set: forged, add: [], remove: [] } } as never),
      filter({
        $case: 'requestHeaders',
        value: { set: [], add: forged, remove: ['authorization'] },
      } as never),
      filter({ $case: 'rewrite', value: FULL('/b?access_token=forged') }),
    ] as Filters;
    const of = (consumerNamespace: string | undefined) => {
      const decision = decide({ backends: [backend(1)], filters }, asked);
      if (decision.kind !== 'forward') throw new Error(`decided ${decision.kind}`);
      const { path, fields } = forwardedRequest({ ...decision, consumerNamespace }, asked);
      return { path, fields };
    };

    test('a route of clients changes nothing', () => {
      expect(of('web')).toEqual({ path: '/b?access_token=mine', fields: asked.fields });
    });

    test('a route of the service may', () => {
      expect(of(undefined).path).toBe('/b?access_token=forged');
      expect(of(undefined).fields).toContain('Bearer forged');
    });
  });

  test('set-cookie is never joined', () => {
    const changed = changeFields({ set: [], add: [{ name: 'set-cookie', value: 'b=2' }], remove: [] }, [
      'set-cookie',
      'a=1',
    ]);
    expect(changed).toEqual(['set-cookie', 'a=1', 'set-cookie', 'b=2']);
  });

  test('without filters the fields are the same list', () => {
    const asked = request('/', { headers: { a: '1' } });
    expect(sent({}, asked).fields).toBe(asked.fields);
  });

  test('of a response, the backend’s filters come before the rule’s', () => {
    const set = (value: string) =>
      [filter({ $case: 'responseHeaders', value: { set: [{ name: 'x', value }] } })] as Filters;
    const asked = request('/');
    const decision = decide(
      { filters: set('rule'), backends: [backend(1, 1, { filters: set('backend') })] },
      asked,
    );
    expect(forwardedResponse(decision, asked, ['x', 'endpoint', 'y', '1'])).toEqual(['y', '1', 'x', 'rule']);
  });
});

describe('where a redirect leads', () => {
  const cases: Record<
    string,
    [redirect: object, asked: RequestView, want: string, options?: Parameters<typeof location>[2]]
  > = {
    'host alone': [{ hostname: 'example.org' }, request('/h?x=1'), '302 http://example.org/h?x=1'],
    'the service’s port, where it is not the scheme’s': [
      { hostname: 'example.org' },
      request('/', { authority: 'cart:9' }),
      '302 http://example.org:8080/',
      { port: 8080 },
    ],
    'a named port': [{ port: 8083 }, request('/port', { authority: 'echo' }), '302 http://echo:8083/port'],
    'port 80 goes without saying': [
      { port: 80, hostname: 'e' },
      request('/'),
      '302 http://e/',
      { port: 8080 },
    ],
    'a scheme brings its port': [{ scheme: 'https' }, request('/s'), '302 https://cart/s', { port: 8080 }],
    'a scheme and a port': [{ scheme: 'https', port: 8443 }, request('/'), '302 https://cart:8443/'],
    'port 443 of https goes without saying': [
      { scheme: 'https', port: 443 },
      request('/'),
      '302 https://cart/',
    ],
    'the status of the user': [{ status: 308, hostname: 'e' }, request('/'), '308 http://e/'],
    'an IPv6 host keeps its brackets': [
      {},
      request('/', { authority: '[fd00::1]:80' }),
      '302 http://[fd00::1]/',
    ],
    'a prefix of the path': [
      PREFIX('/replacement-prefix'),
      request('/original-prefix/lemon'),
      '302 http://cart/replacement-prefix/lemon',
      { rule: { matches: [prefixPath('/original-prefix')] } },
    ],
    'the full path': [
      FULL('/full-path-replacement'),
      request('/full/path'),
      '302 http://cart/full-path-replacement',
    ],
    'VirtualService keeps the port of Host': [
      {},
      request('/', { authority: 'cart:9' }),
      '302 http://cart:9/',
      { kind: 'VirtualService' },
    ],
    'VirtualService: another host, no port': [
      { hostname: 'e' },
      request('/', { authority: 'cart:9' }),
      '302 http://e/',
      { kind: 'VirtualService', port: 8080 },
    ],
    'VirtualService: the port of the request': [
      { hostname: 'e', portFromRequest: true },
      request('/'),
      '302 http://e:8080/',
      { kind: 'VirtualService', port: 8080 },
    ],
    'VirtualService: the old scheme’s port goes with it': [
      { scheme: 'https' },
      request('/', { authority: 'cart:80' }),
      '302 https://cart/',
      { kind: 'VirtualService' },
    ],
  };

  test.each(Object.entries(cases))('%s', (_, [redirect, asked, want, options]) => {
    expect(location(redirect, asked, options)).toBe(want);
  });
});

describe('CORS', () => {
  const exact = (value: string) => ({ kind: { $case: 'exact', value } as const });
  const FOO_AND_BAR = {
    allowOrigins: [
      exact('https://www.foo.com'),
      { kind: { $case: 'regex', value: 'https://.*\\.bar\\.com' } as const },
    ],
    allowMethods: ['GET', 'OPTIONS'],
    allowHeaders: ['x-header-1', 'x-header-2'],
    exposeHeaders: ['x-header-3', 'x-header-4'],
    allowCredentials: true,
    maxAgeS: 3600,
  };
  const WILD = { allowOrigins: [exact('*')], allowMethods: ['*'], allowHeaders: ['*'], exposeHeaders: ['*'] };
  const decision = (cors: object, asked: RequestView): RouteDecision =>
    decide({ filters: [filter({ $case: 'cors', value: cors })] as Filters, backends: [backend(1)] }, asked);
  const preflight = (origin: string, headers: Record<string, string> = {}) =>
    request('/', {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'PUT', ...headers },
    });
  const answer = (cors: object, asked: RequestView) => {
    const found = answerPreflight(decision(cors, asked), asked);
    return found && { status: found.status, ...pairs(found.fields) };
  };
  const response = (cors: object, asked: RequestView, fields: readonly string[] = []) =>
    pairs(forwardedResponse(decision(cors, asked), asked, fields));

  function pairs(fields: readonly string[]): Record<string, string> {
    return Object.fromEntries(
      fields.flatMap((name, i) => (i % 2 === 0 ? [[name, fields[i + 1] ?? '']] : [])),
    );
  }

  test('a preflight from an allowed origin is told what is allowed', () => {
    expect(answer(FOO_AND_BAR, preflight('https://www.foo.com'))).toEqual({
      status: 200,
      'access-control-allow-origin': 'https://www.foo.com',
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'GET, OPTIONS',
      'access-control-allow-headers': 'x-header-1, x-header-2',
      'access-control-expose-headers': 'x-header-3, x-header-4',
      'access-control-max-age': '3600',
      vary: 'origin',
    });
  });

  test('a wildcard in a host spans labels', () => {
    expect(answer(FOO_AND_BAR, preflight('https://xpto.www.bar.com'))).toMatchObject({
      'access-control-allow-origin': 'https://xpto.www.bar.com',
    });
  });

  test('a preflight from another origin is answered without a word of what is allowed, or goes on where the user wants it', () => {
    expect(answer(FOO_AND_BAR, preflight('https://foobar.com'))).toEqual({ status: 200, vary: 'origin' });
    expect(
      answer({ ...FOO_AND_BAR, forwardUnmatchedPreflights: true }, preflight('https://foobar.com')),
    ).toBeUndefined();
  });

  test('wildcards with credentials are answered with what was asked for', () => {
    const asked = preflight('https://other.foo.com', { 'access-control-request-headers': 'x-1, x-2' });
    expect(answer({ ...WILD, allowCredentials: true }, asked)).toEqual({
      status: 200,
      'access-control-allow-origin': 'https://other.foo.com',
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'PUT',
      'access-control-allow-headers': 'x-1, x-2',
      vary: 'origin',
    });
  });

  test('without credentials the wildcard of exposed headers may be said', () => {
    expect(answer(WILD, preflight('https://a'))).toEqual({
      status: 200,
      'access-control-allow-origin': 'https://a',
      'access-control-allow-methods': 'PUT',
      'access-control-expose-headers': '*',
      vary: 'origin',
    });
  });

  test('OPTIONS without origin or method is no preflight', () => {
    expect(answer(WILD, request('/', { method: 'OPTIONS' }))).toBeUndefined();
    expect(
      answer(WILD, request('/', { method: 'OPTIONS', headers: { origin: 'https://a' } })),
    ).toBeUndefined();
  });

  test('an actual response gets ours in place of the endpoint’s', () => {
    const asked = request('/', { headers: { origin: 'https://www.foo.com' } });
    expect(response(FOO_AND_BAR, asked, ['access-control-allow-origin', '*', 'x', '1'])).toEqual({
      x: '1',
      'access-control-allow-origin': 'https://www.foo.com',
      'access-control-allow-credentials': 'true',
      'access-control-expose-headers': 'x-header-3, x-header-4',
      vary: 'origin',
    });
  });

  test('an actual response to another origin, or to none, stays as it is', () => {
    expect(response(FOO_AND_BAR, request('/', { headers: { origin: 'https://foobar.com' } }))).toEqual({});
    expect(response(FOO_AND_BAR, request('/'))).toEqual({});
  });
});
