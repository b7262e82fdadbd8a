import { describe, expect, test } from '@jest/globals';
import type { HttpRoute } from '../resources/http-route.ts';
import { byAge } from '../resources/origin.ts';
import { failingPart } from './match-request.ts';
import type { RequestView } from './request-view.ts';
import { decideRoute, findEntry, groupFor, requestFacts } from './route.ts';
import type { RouteDecision } from './route-decision.ts';
import { buildRouteTable, type RouteEntry } from './route-table.ts';
import {
  backend,
  connection,
  exactHeaders,
  exactMethod,
  exactPath,
  exactQuery,
  filter,
  httpRoute,
  prefixPath,
  regexPath,
  request,
  type RouteParts,
  SERVICE,
  textPrefixPath,
} from './testing/requests.ts';

const FIRST = () => 0;

function decide(
  routes: readonly HttpRoute[],
  asked: RequestView,
  options: { port?: number; namespace?: string; random?: () => number } = {},
): RouteDecision {
  const { port = 80, namespace = 'web', random = FIRST } = options;
  const from = connection({ identity: `spiffe://cluster.local/ns/${namespace}/sa/x` });
  return decideRoute(buildRouteTable(SERVICE, port, routes), asked, from, random);
}

/** The port of the backend that was chosen, or the status that was answered. */
function chosen(decision: RouteDecision): number {
  return decision.kind === 'forward' ? decision.backend.to.port : decision.status;
}

const CONFORMANCE_MATCHING = httpRoute({
  rules: [
    { matches: [prefixPath('/'), exactHeaders({ version: 'one' })], backends: [backend(1)] },
    { matches: [prefixPath('/v2'), exactHeaders({ version: 'two' })], backends: [backend(2)] },
  ],
});

const GRPC = { 'content-type': 'application/grpc' };

describe('a text that a regular expression may not be tried on', () => {
  const long = `/admin/${'x'.repeat(9_000)}`;

  test('is refused, and no later rule takes the place of the one that may have matched', () => {
    const rules = [{ matches: [regexPath('/admin.*')], backends: [backend(1)] }, { backends: [backend(2)] }];
    for (const kind of ['VirtualService', 'HTTPRoute'] as const) {
      const routes = [httpRoute({ kind, rules })];
      expect(chosen(decide(routes, request('/admin/x')))).toBe(1);
      expect(decide(routes, request(long))).toMatchObject({ status: 400, reason: 'undecidable' });
    }
  });

  test('does not matter where no regular expression is asked', () => {
    const routes = [httpRoute({ rules: [{ matches: [prefixPath('/admin')], backends: [backend(1)] }] })];
    expect(chosen(decide(routes, request(long)))).toBe(1);
  });
});

describe('which backend a request gets', () => {
  const cases: Record<
    string,
    { routes: readonly HttpRoute[]; asked: RequestView; want: number; namespace?: string }
  > = {
    'no route at all: the service itself': { routes: [], asked: request('/x'), want: 80 },
    'a backend without a port: the one that was asked for': {
      routes: [httpRoute({ kind: 'VirtualService', rules: [{ backends: [backend(0)] }] })],
      asked: request('/x'),
      want: 80,
    },
    'conformance, matching: anything under /': {
      routes: [CONFORMANCE_MATCHING],
      asked: request('/example'),
      want: 1,
    },
    'conformance, matching: the longer prefix': {
      routes: [CONFORMANCE_MATCHING],
      asked: request('/v2/example'),
      want: 2,
    },
    'conformance, matching: a slash at the end': {
      routes: [CONFORMANCE_MATCHING],
      asked: request('/v2/'),
      want: 2,
    },
    'conformance, matching: no whole segment': {
      routes: [CONFORMANCE_MATCHING],
      asked: request('/v2example'),
      want: 1,
    },
    'conformance, matching: not at the beginning': {
      routes: [CONFORMANCE_MATCHING],
      asked: request('/foo/v2/example'),
      want: 1,
    },
    'conformance, matching: a header beats no header at the same path': {
      routes: [CONFORMANCE_MATCHING],
      asked: request('/', { headers: { version: 'two' } }),
      want: 2,
    },
    'exact beats a prefix, though it is no longer': {
      routes: [
        httpRoute({
          rules: [
            { matches: [prefixPath('/a/b')], backends: [backend(1)] },
            { matches: [exactPath('/a/b')], backends: [backend(2)] },
          ],
        }),
      ],
      asked: request('/a/b'),
      want: 2,
    },
    'exact means exact': {
      routes: [httpRoute({ rules: [{ matches: [exactPath('/a')], backends: [backend(1)] }] })],
      asked: request('/a/'),
      want: 404,
    },
    'the query is no part of the path': {
      routes: [httpRoute({ rules: [{ matches: [exactPath('/a')], backends: [backend(1)] }] })],
      asked: request('/a?b=/c'),
      want: 1,
    },
    'a prefix with a slash at its end is the same without': {
      routes: [httpRoute({ rules: [{ matches: [prefixPath('/a/')], backends: [backend(1)] }] })],
      asked: request('/a'),
      want: 1,
    },
    'a regular expression comes after any prefix but /': {
      routes: [
        httpRoute({
          rules: [
            { matches: [regexPath('/a/.*')], backends: [backend(1)] },
            { matches: [prefixPath('/a')], backends: [backend(2)] },
          ],
        }),
      ],
      asked: request('/a/b'),
      want: 2,
    },
    'a regular expression comes before /': {
      routes: [
        httpRoute({
          rules: [
            { matches: [prefixPath('/')], backends: [backend(2)] },
            { matches: [regexPath('/a/.*')], backends: [backend(1)] },
          ],
        }),
      ],
      asked: request('/a/b'),
      want: 1,
    },
    'a regular expression must match all of the path': {
      routes: [httpRoute({ rules: [{ matches: [regexPath('/a')], backends: [backend(1)] }] })],
      asked: request('/a/b'),
      want: 404,
    },
    'a method beats headers': {
      routes: [
        httpRoute({
          rules: [
            {
              matches: [{ ...prefixPath('/'), ...exactHeaders({ a: '1', b: '2' }) }],
              backends: [backend(1)],
            },
            { matches: [{ ...prefixPath('/'), ...exactMethod('POST') }], backends: [backend(2)] },
          ],
        }),
      ],
      asked: request('/', { method: 'POST', headers: { a: '1', b: '2' } }),
      want: 2,
    },
    'more headers beat fewer': {
      routes: [
        httpRoute({
          rules: [
            { matches: [exactHeaders({ a: '1' })], backends: [backend(1)] },
            { matches: [exactHeaders({ a: '1', b: '2' })], backends: [backend(2)] },
          ],
        }),
      ],
      asked: request('/', { headers: { a: '1', b: '2' } }),
      want: 2,
    },
    'headers beat query parameters': {
      routes: [
        httpRoute({
          rules: [
            { matches: [exactQuery({ a: '1', b: '2', c: '3' })], backends: [backend(1)] },
            { matches: [exactHeaders({ a: '1' })], backends: [backend(2)] },
          ],
        }),
      ],
      asked: request('/?a=1&b=2&c=3', { headers: { a: '1' } }),
      want: 2,
    },
    'more query parameters beat fewer': {
      routes: [
        httpRoute({
          rules: [
            { matches: [exactQuery({ animal: 'whale' })], backends: [backend(1)] },
            { matches: [exactQuery({ animal: 'whale', azure: 'blue' })], backends: [backend(2)] },
          ],
        }),
      ],
      asked: request('/?animal=whale&azure=blue'),
      want: 2,
    },
    'of a repeated query parameter the first counts': {
      routes: [httpRoute({ rules: [{ matches: [exactQuery({ a: '1' })], backends: [backend(1)] }] })],
      asked: request('/?a=2&a=1'),
      want: 404,
    },
    'a query parameter without a value is there, and empty': {
      routes: [httpRoute({ rules: [{ matches: [exactQuery({ a: '' })], backends: [backend(1)] }] })],
      asked: request('/?b=1&a'),
      want: 1,
    },
    'a repeated header is one, with commas': {
      routes: [httpRoute({ rules: [{ matches: [exactHeaders({ a: '1,2' })], backends: [backend(1)] }] })],
      asked: { ...request('/'), fields: ['a', '1', 'b', 'x', 'a', '2'] },
      want: 1,
    },
    'the older route among equals, whatever the order of arrival': {
      routes: [
        httpRoute({ name: 'a', createdMs: 2_000, rules: [{ backends: [backend(1)] }] }),
        httpRoute({ name: 'z', createdMs: 1_000, rules: [{ backends: [backend(2)] }] }),
      ],
      asked: request('/'),
      want: 2,
    },
    'then the namespace, then the name': {
      routes: [
        httpRoute({ name: 'b', rules: [{ backends: [backend(1)] }] }),
        httpRoute({ name: 'a', rules: [{ backends: [backend(2)] }] }),
        httpRoute({ name: 'c', namespace: 'aaa', rules: [{ backends: [backend(3)] }] }),
      ],
      asked: request('/'),
      want: 3,
    },
    'then the first rule of a route': {
      routes: [httpRoute({ rules: [{ backends: [backend(1)] }, { backends: [backend(2)] }] })],
      asked: request('/'),
      want: 1,
    },
    'specificity goes across routes': {
      routes: [
        httpRoute({ createdMs: 1, rules: [{ matches: [prefixPath('/a')], backends: [backend(1)] }] }),
        httpRoute({
          name: 'q',
          createdMs: 2,
          rules: [{ matches: [prefixPath('/a/b')], backends: [backend(2)] }],
        }),
      ],
      asked: request('/a/b/c'),
      want: 2,
    },
    'a longer prefix whose headers do not match leaves the shorter one': {
      routes: [
        httpRoute({
          rules: [
            { matches: [{ ...prefixPath('/a/b'), ...exactHeaders({ x: '1' }) }], backends: [backend(1)] },
            { matches: [prefixPath('/a')], backends: [backend(2)] },
          ],
        }),
      ],
      asked: request('/a/b'),
      want: 2,
    },
    'conformance, ports: a parent of another port does not count': {
      routes: [httpRoute({ port: 8080, rules: [{ backends: [backend(1)] }] })],
      asked: request('/'),
      want: 80,
    },
    'routes, and none that matches: 404': {
      routes: [httpRoute({ rules: [{ matches: [exactPath('/a')], backends: [backend(1)] }] })],
      asked: request('/b'),
      want: 404,
    },
    'a route without rules matches nothing': { routes: [httpRoute({})], asked: request('/'), want: 404 },
    'a rule without backends: 500': { routes: [httpRoute({ rules: [{}] })], asked: request('/'), want: 500 },
    'backends without any weight: 500': {
      routes: [httpRoute({ rules: [{ backends: [backend(1, 0)] }] })],
      asked: request('/'),
      want: 500,
    },
    'a backend that does not exist: what the control plane says': {
      routes: [
        httpRoute({ rules: [{ backends: [{ target: { $case: 'status', value: 500 }, weight: 1 }] }] }),
      ],
      asked: request('/'),
      want: 500,
    },
    'an unreadable rule: 500 for what it matches': {
      routes: [
        httpRoute({
          rules: [{ matches: [exactPath('/a')], unreadable: 'ExtensionRef' }, { backends: [backend(1)] }],
        }),
      ],
      asked: request('/a'),
      want: 500,
    },
    'an unreadable rule leaves the others alone': {
      routes: [
        httpRoute({
          rules: [{ matches: [exactPath('/a')], unreadable: 'ExtensionRef' }, { backends: [backend(1)] }],
        }),
      ],
      asked: request('/b'),
      want: 1,
    },
    'an unreadable route: 500 for everything': {
      routes: [
        httpRoute({ rules: [{ backends: [backend(1)] }] }),
        httpRoute({ name: 'q', unreadable: 'no idea' }),
      ],
      asked: request('/'),
      want: 500,
    },
    'consumer: its namespace gets its routes alone': {
      routes: [
        httpRoute({ rules: [{ matches: [exactPath('/a')], backends: [backend(1)] }] }),
        httpRoute({ name: 'c', consumerNamespace: 'web', rules: [{ backends: [backend(2)] }] }),
      ],
      asked: request('/a'),
      want: 2,
    },
    'consumer: the others get the producer’s': {
      routes: [
        httpRoute({ rules: [{ backends: [backend(1)] }] }),
        httpRoute({ name: 'c', consumerNamespace: 'web', rules: [{ backends: [backend(2)] }] }),
      ],
      asked: request('/a'),
      namespace: 'other',
      want: 1,
    },
    'consumer: without a producer’s route, others go to the service itself': {
      routes: [httpRoute({ consumerNamespace: 'web', rules: [{ backends: [backend(2)] }] })],
      asked: request('/a'),
      namespace: 'other',
      want: 80,
    },
    'gRPC: service and method': {
      routes: [
        httpRoute({
          kind: 'GRPCRoute',
          rules: [
            { matches: [prefixPath('/shop.Cart')], backends: [backend(1)] },
            { matches: [exactPath('/shop.Cart/Add')], backends: [backend(2)] },
          ],
        }),
      ],
      asked: request('/shop.Cart/Add', { method: 'POST', headers: GRPC }),
      want: 2,
    },
    'gRPC: another request does not match': {
      routes: [httpRoute({ kind: 'GRPCRoute', rules: [{ backends: [backend(1)] }] })],
      asked: request('/shop.Cart/Add', { method: 'POST' }),
      want: 404,
    },
    'gRPC: grpc-web is not gRPC': {
      routes: [httpRoute({ kind: 'GRPCRoute', rules: [{ backends: [backend(1)] }] })],
      asked: request('/', { headers: { 'content-type': 'application/grpc-web' } }),
      want: 404,
    },
    'gRPC: an invalid backend is 503, which is UNAVAILABLE': {
      routes: [
        httpRoute({
          kind: 'GRPCRoute',
          rules: [{ backends: [{ target: { $case: 'status', value: 500 }, weight: 1 }] }],
        }),
      ],
      asked: request('/', { headers: { 'content-type': 'application/grpc+proto' } }),
      want: 503,
    },
    'VirtualService: the first match, not the best': {
      routes: [
        httpRoute({
          kind: 'VirtualService',
          rules: [
            { matches: [textPrefixPath('/a')], backends: [backend(1)] },
            { matches: [exactPath('/a/b')], backends: [backend(2)] },
          ],
        }),
      ],
      asked: request('/a/b'),
      want: 1,
    },
    'VirtualService: a prefix is one of the text': {
      routes: [
        httpRoute({
          kind: 'VirtualService',
          rules: [{ matches: [textPrefixPath('/v1')], backends: [backend(1)] }],
        }),
      ],
      asked: request('/v1beta'),
      want: 1,
    },
    'VirtualService: ignoreUriCase': {
      routes: [
        httpRoute({
          kind: 'VirtualService',
          rules: [{ matches: [textPrefixPath('/Api', true)], backends: [backend(1)] }],
        }),
      ],
      asked: request('/aPI/x'),
      want: 1,
    },
    'VirtualService: not asked where a Gateway API route has the parent': {
      routes: [
        httpRoute({ kind: 'VirtualService', createdMs: 1, rules: [{ backends: [backend(1)] }] }),
        httpRoute({ name: 'g', rules: [{ matches: [exactPath('/x')], backends: [backend(2)] }] }),
      ],
      asked: request('/a'),
      want: 404,
    },
    'VirtualService: the oldest alone': {
      routes: [
        httpRoute({ kind: 'VirtualService', name: 'new', createdMs: 2, rules: [{ backends: [backend(1)] }] }),
        httpRoute({
          kind: 'VirtualService',
          name: 'old',
          createdMs: 1,
          rules: [{ matches: [exactPath('/x')], backends: [backend(2)] }],
        }),
      ],
      asked: request('/a'),
      want: 404,
    },
    'VirtualService: withoutHeaders': {
      routes: [
        httpRoute({
          kind: 'VirtualService',
          rules: [
            {
              matches: [
                { withoutHeaders: [{ name: 'x', value: { kind: { $case: 'present', value: true } } }] },
              ],
              backends: [backend(1)],
            },
            { backends: [backend(2)] },
          ],
        }),
      ],
      asked: request('/a', { headers: { x: '' } }),
      want: 2,
    },
    'VirtualService: sourceNamespace': {
      routes: [
        httpRoute({
          kind: 'VirtualService',
          rules: [
            { matches: [{ sourceNamespace: 'other' }], backends: [backend(1)] },
            { backends: [backend(2)] },
          ],
        }),
      ],
      asked: request('/a'),
      want: 2,
    },
    'VirtualService: a match for another port': {
      routes: [
        httpRoute({
          kind: 'VirtualService',
          rules: [{ matches: [{ port: 81 }], backends: [backend(1)] }, { backends: [backend(2)] }],
        }),
      ],
      asked: request('/a'),
      want: 2,
    },
    'VirtualService: authority, whatever its case, and scheme': {
      routes: [
        httpRoute({
          kind: 'VirtualService',
          rules: [
            {
              matches: [
                {
                  authority: { kind: { $case: 'suffix', value: '.Example.com' }, ignoreCase: true },
                  scheme: { kind: { $case: 'exact', value: 'http' } },
                },
              ],
              backends: [backend(1)],
            },
          ],
        }),
      ],
      asked: request('/a', { authority: 'A.example.COM' }),
      want: 1,
    },
  };

  test.each(Object.entries(cases))('%s', (_, { routes, asked, want, namespace }) => {
    expect(chosen(decide(routes, asked, namespace === undefined ? {} : { namespace }))).toBe(want);
  });
});

describe('what a decision says', () => {
  test('names route, rule and match, and takes defaults where the rule says nothing', () => {
    const route = httpRoute({
      rules: [
        { matches: [exactPath('/x')] },
        { name: 'main', matches: [{ ...prefixPath('/a'), name: 'm' }], backends: [backend(7)] },
      ],
    });
    expect(decide([route], request('/a/b'))).toMatchObject({
      kind: 'forward',
      name: { route: 'HTTPRoute/shop/r', rule: 'main', ruleIndex: 1, match: 'm' },
      backend: { to: { service: SERVICE, port: 7 }, subset: '' },
      matchedPrefixLength: 2,
      timeouts: { requestMs: undefined, perTryMs: undefined },
      retry: {
        attempts: 2,
        retryOn: new Set(['connect-failure', 'refused-stream', 'unavailable', 'cancelled']),
      },
      fault: undefined,
      mirrors: [],
    });
  });

  test('a try has the retry’s time, or else the rule’s time of a backend', () => {
    const rule = { requestTimeoutMs: 900, backendRequestTimeoutMs: 300, backends: [backend(1)] };
    const of = (rules: RouteParts['rules']) => {
      const decision = decide([httpRoute(rules ? { rules } : {})], request('/'));
      return decision.kind === 'forward' ? decision.timeouts : undefined;
    };
    expect(of([rule])).toEqual({ requestMs: 900, requestFrom: 'first-byte', perTryMs: 300 });
    expect(of([{ ...rule, retry: { attempts: 1, perTryTimeoutMs: 100 } }])).toEqual({
      requestMs: 900,
      requestFrom: 'first-byte',
      perTryMs: 100,
    });
  });

  test('weights come out exactly, over numbers evenly spread', () => {
    const weights = [1, 0, 3, 96];
    const route = httpRoute({ rules: [{ backends: weights.map((weight, i) => backend(i + 1, weight)) }] });
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 10_000; i++) {
      const port = chosen(decide([route], request('/'), { random: () => i / 10_000 }));
      counts[port - 1] = (counts[port - 1] ?? 0) + 1;
    }
    expect(counts).toEqual([100, 0, 300, 9_600]);
  });

  test('an invalid backend takes its share', () => {
    const broken = { target: { $case: 'status', value: 500 } as const, weight: 1 };
    const route = httpRoute({ rules: [{ backends: [backend(1, 3), broken] }] });
    const answers = [0, 0.5, 0.74, 0.75, 0.99].map((number) =>
      chosen(decide([route], request('/'), { random: () => number })),
    );
    expect(answers).toEqual([1, 1, 1, 500, 500]);
  });

  test('faults and mirrors are drawn by their shares', () => {
    const route = httpRoute({
      rules: [
        {
          backends: [backend(1)],
          fault: { delayPpm: 500_000, delayMs: 70, abortPpm: 250_000, abortGrpcStatus: 'UNAVAILABLE' },
          filters: [
            filter({
              $case: 'mirror',
              value: {
                service: { namespace: 'shop', hostname: 'copy', port: 9 },
                numerator: 1,
                denominator: 4,
              },
            }),
            filter({ $case: 'mirror', value: { service: { namespace: 'shop', hostname: 'all', port: 9 } } }),
          ],
        },
      ],
    });
    const at = (number: number) => {
      const decision = decide([route], request('/'), { random: () => number });
      if (decision.kind !== 'forward') throw new Error('not forwarded');
      return { fault: decision.fault, mirrors: decision.mirrors.map(({ to }) => to.service) };
    };
    const abort = { kind: 'grpc', status: 14 };
    expect(at(0.1)).toEqual({ fault: { delayMs: 70, abort }, mirrors: ['shop/copy', 'shop/all'] });
    expect(at(0.3)).toEqual({ fault: { delayMs: 70, abort: undefined }, mirrors: ['shop/all'] });
    expect(at(0.6)).toEqual({ fault: undefined, mirrors: ['shop/all'] });
  });

  test('a response of the user’s needs no backend', () => {
    const value = { status: 418, body: new TextEncoder().encode('tea') };
    const route = httpRoute({ rules: [{ filters: [filter({ $case: 'directResponse', value })] }] });
    expect(decide([route], request('/'))).toMatchObject({
      kind: 'respond',
      status: 418,
      reason: 'direct-response',
      body: new TextEncoder().encode('tea'),
    });
  });
});

describe('the index', () => {
  /** Precedence in other words: everything that matches, sorted by all criteria at once. */
  function plainly(entries: readonly RouteEntry[], asked: RequestView): RouteEntry | undefined {
    const facts = requestFacts(asked, connection());
    const pathRank = ({ match: { path } }: RouteEntry): readonly [number, number] => {
      if (path === undefined) return [0, 0];
      if (path.kind === 'regex') return [1, path.regex.pattern.length];
      if (path.kind === 'segment-prefix') return path.path === '' ? [0, 0] : [2, path.path.length];
      return [3, path.path.length];
    };
    const key = (entry: RouteEntry) => [
      ...pathRank(entry),
      Number(entry.match.method !== undefined),
      entry.match.headers.length,
      entry.match.queryParameters.length,
    ];
    const compare = (a: RouteEntry, b: RouteEntry) => {
      const [left, right] = [key(a), key(b)];
      for (const [i, value] of left.entries()) if (value !== right[i]) return (right[i] ?? 0) - value;
      return (
        byAge(a.route.origin, b.route.origin) || a.ruleIndex - b.ruleIndex || a.matchIndex - b.matchIndex
      );
    };
    return entries.filter((entry) => failingPart(entry, facts) === undefined).sort(compare)[0];
  }

  test('finds what sorting all matches finds, over 4 000 random tables and any order of arrival', () => {
    let state = 42;
    const below = (count: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return (state >>> 8) % count;
    };
    const pick = <T>(from: readonly T[]): T => from[below(from.length)] as T;
    const segments = ['', 'a', 'b', 'ab'];
    const path = () => `/${Array.from({ length: below(4) }, () => pick(segments)).join('/')}`;
    const match = () => ({
      ...pick([() => exactPath(path()), () => prefixPath(path()), () => regexPath('/a.*'), () => ({})])(),
      ...pick([() => ({}), () => exactMethod(pick(['GET', 'PUT']))])(),
      ...pick([
        () => ({}),
        () => exactHeaders({ x: pick(['1', '2']) }),
        () => exactHeaders({ x: '1', y: '1' }),
      ])(),
      ...pick([() => ({}), () => exactQuery({ q: pick(['1', '2']) })])(),
    });
    const some = <T>(count: number, make: (i: number) => T) =>
      Array.from({ length: below(count) + 1 }, (_, i) => make(i));
    let found = 0;
    for (let round = 0; round < 4_000; round++) {
      const routes = some(4, (i) =>
        httpRoute({
          name: `r${i}`,
          createdMs: 1_000 + below(2),
          rules: some(3, () => ({ matches: some(3, match), backends: [backend(1)] })),
        }),
      );
      const table = buildRouteTable(SERVICE, 80, below(2) === 0 ? routes : routes.toReversed());
      const asked = request(`${path()}${pick(['', '?q=1', '?q=2'])}`, {
        method: pick(['GET', 'PUT']),
        headers: pick([{}, { x: '1' }, { x: '1', y: '1' }]) as Record<string, string>,
      });
      const facts = requestFacts(asked, connection());
      const group = groupFor(table, facts);
      if (group?.kind !== 'indexed') throw new Error('not indexed');
      const { exact, prefixes, patterns, everything } = group.index;
      const all = [...exact.values(), ...prefixes.values(), patterns, everything].flat();
      const want = plainly(all, asked);
      const got = findEntry(group, facts);
      if (got !== want) throw new Error(`differs for ${JSON.stringify({ asked, routes })}`);
      found += got ? 1 : 0;
    }
    expect(found).toBeGreaterThan(1_000);
    expect(found).toBeLessThan(4_000);
  });
});
