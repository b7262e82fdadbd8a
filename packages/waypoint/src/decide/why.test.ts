import { describe, expect, test } from '@jest/globals';
import { NO_TRAFFIC_POLICY } from '../resources/destination-policy.ts';
import { boundPolicies } from '../resources/index/policies.ts';
import type { HttpRoute } from '../resources/http-route.ts';
import type { PortConfig } from '../resources/snapshot.ts';
import { explainPolicies } from './explain-policies.ts';
import type { RequestView } from './request-view.ts';
import { buildRouteTable } from './route-table.ts';
import { type PolicyParts, policy } from './testing/policies.ts';
import {
  backend,
  connection,
  exactHeaders,
  exactMethod,
  exactPath,
  filter,
  httpRoute,
  prefixPath,
  request,
  SERVICE,
} from './testing/requests.ts';
import { explainConnection, explainRequest, type WhyQuestion } from './why.ts';

function config(routes: readonly HttpRoute[], policies: readonly PolicyParts[] = []): PortConfig {
  return {
    http: buildRouteTable(SERVICE, 80, routes),
    streams: [],
    authorization: boundPolicies(policies.map(policy)),
    authentication: [],
    telemetry: [],
  };
}

function explain(
  routes: readonly HttpRoute[],
  asked: RequestView,
  parts: Partial<WhyQuestion> & { policies?: readonly PolicyParts[] } = {},
) {
  const { policies, ...more } = parts;
  return explainRequest({
    config: config(routes, policies),
    normalization: 'BASE',
    request: asked,
    connection: connection(),
    token: { kind: 'verified', claims: undefined },
    authorizes: () => true,
    keptFrom: () => undefined,
    destination: ({ backend: { to } }) => ({
      ...NO_TRAFFIC_POLICY,
      ...to,
      workloads: undefined,
      unusable: undefined,
      from: [],
    }),
    endpoints: () => ({
      kind: 'all',
      all: [{ endpoint: '10.0.0.1:80', workload: 'w', level: 0, weight: 1, healthy: true }],
    }),
    ...more,
  });
}

const says = (steps: readonly { step: string; outcome: string; message: string }[]) =>
  steps.map(({ step, outcome, message }) => `${step} ${outcome}: ${message}`);

describe('why a request is refused', () => {
  test('each policy, and in each rule the first condition that did not hold, with what is wanted and what is there', () => {
    const bound = boundPolicies([
      policy({ key: 'shop/a', action: 'DENY', rules: [{ to: [{ methods: ['PUT'] }] }] }),
      policy({
        key: 'shop/b',
        rules: [
          { from: [{ namespaces: ['other'] }, { principals: ['*/sa/x'], notIpBlocks: ['10.0.0.0/8'] }] },
          { to: [{ methods: ['GET'], notPaths: ['/adm*'] }] },
          { when: { 'request.headers[Authorization]': ['let me'], 'request.auth.claims[a][b]': ['c'] } },
          { when: { 'request.auth.claims[groups]': ['admin'] } },
        ],
      }),
      policy({ key: 'shop/c', dryRun: true }),
    ]);
    const subject = {
      request: request('/admin?x', { headers: { authorization: 'secret' } }),
      connection: connection(),
      token: { principal: 'i/s', claims: { groups: ['users', 'staff'] } },
    };
    expect(explainPolicies(bound, subject)).toEqual({
      verdict: { kind: 'no-allow-matched' },
      dryRunVerdict: { kind: 'no-allow-matched' },
      externalChecks: [],
      policies: [
        {
          policy: 'shop/a',
          action: 'DENY',
          dryRun: false,
          unreadable: undefined,
          matchedRule: undefined,
          failures: [
            {
              rule: 0,
              part: 'to',
              failed: [{ field: 'methods', negated: false, wants: ['PUT'], has: ['GET'] }],
            },
          ],
        },
        {
          policy: 'shop/b',
          action: 'ALLOW',
          dryRun: false,
          unreadable: undefined,
          matchedRule: undefined,
          failures: [
            {
              rule: 0,
              part: 'from',
              failed: [
                { field: 'namespaces', negated: false, wants: ['other'], has: ['web'] },
                {
                  field: 'principals',
                  negated: false,
                  wants: ['*/sa/x'],
                  has: ['cluster.local/ns/web/sa/front'],
                },
              ],
            },
            {
              rule: 1,
              part: 'to',
              failed: [{ field: 'notPaths', negated: true, wants: ['/adm*'], has: ['/admin'] }],
            },
            {
              rule: 2,
              part: 'when',
              failed: [
                {
                  field: 'request.headers[Authorization]',
                  negated: false,
                  wants: ['(not shown)'],
                  has: ['(not shown)'],
                },
              ],
            },
            {
              rule: 3,
              part: 'when',
              failed: [
                {
                  field: 'request.auth.claims[groups]',
                  negated: false,
                  wants: ['admin'],
                  has: ['users', 'staff'],
                },
              ],
            },
          ],
        },
        {
          policy: 'shop/c',
          action: 'ALLOW',
          dryRun: true,
          unreadable: undefined,
          matchedRule: undefined,
          failures: [],
        },
      ],
    });
  });

  test('ends the explanation there', () => {
    const steps = explain([], request('/a/../b'), { policies: [{ action: 'DENY', rules: [{}] }] });
    expect(says(steps)).toEqual([
      'path ok: the path /a/../b is taken for /b (BASE)',
      'authentication ok: no RequestAuthentication is attached',
      'authorization refuse: explicitly denied by: shop/p, rule 0',
    ]);
  });

  test('by a path that is none', () => {
    expect(says(explain([], request('/a%00')))).toEqual(['path refuse: the path is refused: nul-in-path']);
  });

  test('perhaps, by somebody who would be asked', () => {
    const steps = explain([], request('/'), { policies: [{ action: 'CUSTOM', rules: [{}] }] });
    expect(says(steps)[2]).toBe('authorization unknown: asker decides, and would be asked');
  });

  test('by a policy that asks somebody who is not there', () => {
    const policies = [{ key: 'shop/ext', action: 'CUSTOM', rules: [{}] }] as const;
    const steps = explain([], request('/'), { policies, authorizes: (name) => name !== 'asker' });
    expect(says(steps).slice(2)).toEqual([
      'authorization refuse: 403: shop/ext asks the provider "asker", and the mesh\'s settings have none of that name that authorizes',
    ]);
  });
});

describe('where a request goes', () => {
  const ROUTES = [
    httpRoute({
      name: 'main',
      rules: [
        { name: 'exact', matches: [{ ...exactPath('/x'), ...exactMethod('PUT') }], backends: [backend(1)] },
        { matches: [{ ...prefixPath('/x'), ...exactHeaders({ v: '2' }) }], backends: [backend(2)] },
        {
          name: 'split',
          matches: [prefixPath('/')],
          backends: [backend(3, 1), backend(4, 3)],
          requestTimeoutMs: 900,
        },
      ],
    }),
    httpRoute({ kind: 'VirtualService', name: 'old', rules: [{ backends: [backend(9)] }] }),
  ];

  test('with one backend of several that is not there: how many are lost, and where the others go', () => {
    const gone = { target: { $case: 'status', value: 500 } as const, weight: 1 };
    const split = (...backends: readonly ReturnType<typeof backend>[]) =>
      says(explain([httpRoute({ rules: [{ backends }] })], request('/'))).slice(4, 5);
    const want = [
      `backend unknown: about 10 % of requests are refused, as a backend does not exist or may not be used; the others go on, such as to ${SERVICE} port 4`,
    ];
    expect(split(gone, backend(4, 9))).toEqual(want);
    expect(split(backend(4, 9), gone)).toEqual(want);
    expect(split({ ...gone, weight: 0 }, backend(4, 9))).toEqual([
      `backend ok: one of 2 backends by weight, such as ${SERVICE} port 4`,
    ]);
    expect(says(explain([httpRoute({ rules: [{ backends: [gone] }] })], request('/')))[3]).toMatch(
      /^route refuse: 500: a backend of .* does not exist/,
    );
  });

  test('the match that was met, and why the others were not', () => {
    const steps = explain(ROUTES, request('/x'));
    expect(says(steps).slice(3)).toEqual([
      'route ok: rule split of HTTPRoute/shop/main matches: path /…',
      `backend ok: one of 2 backends by weight, such as ${SERVICE} port 3`,
      'endpoint ok: 1 of 1 endpoints may take the request',
      'tries ok: up to 2 more tries on connect-failure, refused-stream, unavailable, cancelled; 900 ms for all of it, no limit for a try',
    ]);
    expect(steps[3]?.detail).toEqual({
      group: 'producer',
      chosen: {
        route: 'HTTPRoute/shop/main',
        rule: 'split',
        ruleIndex: 2,
        matchIndex: 0,
        wants: 'path /…',
        failed: undefined,
      },
      others: [
        {
          route: 'HTTPRoute/shop/main',
          rule: 'exact',
          ruleIndex: 0,
          matchIndex: 0,
          wants: 'path = /x and method = PUT',
          failed: 'the method is GET',
        },
        {
          route: 'HTTPRoute/shop/main',
          rule: '',
          ruleIndex: 1,
          matchIndex: 0,
          wants: 'path /x/… and header v = 2',
          failed: 'header v is missing or another',
        },
      ],
      more: 0,
      notAsked: ['VirtualService/shop/old'],
    });
    expect(steps[4]?.detail).toMatchObject({
      shares: [
        { share: 0.25, port: 3 },
        { share: 0.75, port: 4 },
      ],
    });
  });

  test('with a second try beside the first', () => {
    const hedged = httpRoute({ hedgeAfterMs: 100, rules: [{ backends: [backend(1)] }] });
    expect(says(explain([hedged], request('/'))).at(-1)).toContain(
      '; without an answer for 100 ms a second one beside it;',
    );
  });

  test('nowhere, as no match is met', () => {
    const only = [httpRoute({ rules: [{ matches: [exactPath('/y')], backends: [backend(1)] }] })];
    expect(says(explain(only, request('/x'))).at(-1)).toBe(
      `route refuse: 404: no route of ${SERVICE} matches the request`,
    );
  });

  test('elsewhere, by a redirect', () => {
    const away = [
      httpRoute({ rules: [{ filters: [filter({ $case: 'redirect', value: { hostname: 'e' } })] as never }] }),
    ];
    expect(says(explain(away, request('/x'))).at(-1)).toBe(
      'route ok: rule 0 of HTTPRoute/shop/r redirects with 302 to http://e/x',
    );
  });

  test('to the service itself, without routes', () => {
    expect(says(explain([], request('/x'))).slice(3, 5)).toEqual([
      'route ok: no route has the service as its parent',
      `backend ok: ${SERVICE} port 80`,
    ]);
  });

  test('to nobody who is well', () => {
    const sick = [{ endpoint: '10.0.0.1:80', workload: 'w', level: 0, weight: 1, healthy: false }];
    expect(says(explain([], request('/'), { endpoints: () => ({ kind: 'all', all: sick }) })).at(-2)).toBe(
      'endpoint refuse: 0 of 1 endpoints may take the request',
    );
  });

  test.each([
    [
      { kind: 'none', problem: 'no endpoint of x can be reached: y' } as const,
      'endpoint refuse: no endpoint of x can be reached: y',
    ],
    [{ kind: 'chosen' } as const, 'endpoint ok: where the client itself wants to go'],
  ])('an endpoint that no list has: %j', (found, want) => {
    expect(says(explain([], request('/'), { endpoints: () => found }))).toContain(want);
  });

  test('agrees with the decision over every route of a table', () => {
    for (const path of ['/x', '/y', '/x/y', '/']) {
      for (const method of ['GET', 'PUT']) {
        for (const headers of [{}, { v: '2' }] as Record<string, string>[]) {
          const [, , , step] = explain(ROUTES, request(path, { method, headers }));
          const detail = step?.detail as {
            chosen?: { failed?: string };
            others: readonly { failed?: string }[];
          };
          expect(detail.chosen).toBeDefined();
          expect(detail.chosen?.failed).toBeUndefined();
        }
      }
    }
  });
});

test('a connection that is no HTTP', () => {
  const stream = { isTls: false, sni: undefined, sourceNamespace: 'web' };
  expect(
    says(
      explainConnection(
        config([]),
        connection(),
        stream,
        () => undefined,
        () => true,
      ),
    ),
  ).toEqual(['authorization ok: no ALLOW policy is attached', 'route ok: no route: the service itself']);
  const denying = config([], [{ action: 'DENY', rules: [{ to: [{ methods: ['GET'] }] }] }]);
  expect(
    says(
      explainConnection(
        denying,
        connection(),
        stream,
        () => undefined,
        () => true,
      ),
    ),
  ).toEqual(['authorization refuse: explicitly denied by: shop/p, rule 0']);
  expect(
    says(
      explainConnection(
        config([]),
        connection(),
        stream,
        () => 'bank/p',
        () => true,
      ),
    ).at(-1),
  ).toMatch(/^backend refuse: .* is in another namespace, and its policies count there: bank\/p refuses$/);
});

describe('a service that a route has asked', () => {
  const ask = (kind: object) => [
    httpRoute({
      rules: [
        {
          backends: [backend(1)],
          filters: [filter({ $case: 'externalAuth', value: { kind } } as Parameters<typeof filter>[0])],
        },
      ],
    }),
  ];
  const service = { $case: 'grpc', value: { service: 'auth/authz', port: 90 } };

  test('is told of, and the rest as if it said yes', () => {
    const steps = says(explain(ask(service), request('/')));
    expect(steps.slice(3, 5)).toEqual([
      'route ok: rule 0 of HTTPRoute/shop/r matches: every request',
      'authorization unknown: auth/authz port 90 decides, and would be asked',
    ]);
    expect(steps.at(-1)).toMatch(/^tries ok/);
  });

  test('and is not there', () => {
    const steps = says(explain(ask({ $case: 'status', value: 500 }), request('/')));
    expect(steps.slice(4)).toEqual([
      'authorization refuse: 500: a service that authorizes does not exist or may not be used',
    ]);
  });

  test('and whose policies keep the question from it', () => {
    const steps = says(explain(ask(service), request('/'), { keptFrom: (_, __, led) => led?.request?.path }));
    expect(steps.slice(4)).toEqual([
      'authorization refuse: auth/authz is where a route of shop leads, and its policies count there: /envoy.service.auth.v3.Authorization/Check refuses',
    ]);
  });
});
