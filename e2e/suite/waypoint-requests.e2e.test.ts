import { beforeAll, describe, expect, test } from '@jest/globals';
import type { KubeObject } from '@ambit/kube/resource';
import { customResourceDefinitions } from '@ambit/kube/resources/authentication';
import { gateways } from '@ambit/kube/resources/gateway';
import { httpRoutes } from '@ambit/kube/resources/routes';
import { serviceEntries } from '@ambit/kube/resources/networking';
import type { RequestOutcome } from '../echo/messages.ts';
import { PORTS } from '../echo/ports.ts';
import { runAmbit } from './kit/ambit.ts';
import type { Asked, EchoPod } from './kit/echo-pod.ts';
import { useProviders } from './kit/mesh-providers.ts';
import { type LabelMatch, total } from './kit/metrics.ts';
import { echoPod, service, serviceAccount } from './kit/objects.ts';
import { inTurn, podOf, wasReadOnTheWay } from './kit/outcomes.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { TokenIssuer } from './kit/tokens.ts';
import { EVERYBODY, eventually, LED, type Patience, until } from './kit/wait.ts';
import { policyFor, route, type RouteRule } from './kit/waypoint-objects.ts';
import { WaypointPods } from './kit/waypoint-pods.ts';

const suite = useSuite('waypoint-requests');
const patience = LED;
/** A waypoint has two pods, which hear of a change each in its own time. */
const settled: Patience = { inARow: EVERYBODY };
/** Far longer than any request of this suite waits. */
const SLOW_MS = 30_000;
const ASK_TIMEOUT_MS = 20_000;
/** Of the ports of an application in the network of its node, which others use as well. */
const HOST_PORT_OFFSET = 21_000;
const OVER_HTTP = 'suite-over-http';
const OVER_GRPC = 'suite-over-grpc';
const issuer = new TokenIssuer('https://issuer.test');

let space: Space;
let client: EchoPod;
let waypoint: WaypointPods;

const ambit = (...args: readonly string[]) => runAmbit(suite.cluster, ...args);
const ask = (name: string, asked: Partial<Asked> = {}) =>
  client.ask({ host: space.host(name), timeoutMs: ASK_TIMEOUT_MS, ...asked });
/** Whether so many requests, one after another, are all served by this pod. */
async function allServedBy(pod: string, name: string, count = 30): Promise<boolean> {
  for (let i = 0; i < count; i++) if (podOf(await ask(name)) !== pod) return false;
  return true;
}
const answered = (outcome: RequestOutcome) => (outcome.ok ? outcome.answer : undefined);
/** What is counted of one destination, all pods of the waypoint together. */
const counted = async (metric: string, name: string, labels: LabelMatch = {}) =>
  total(await waypoint.metrics(), `ambit_waypoint_${metric}`, { destination: space.host(name), ...labels });

/** Whether this cluster's Gateway API has `cookie` in sessions, as from release 1.7 on, or `sessionName`. */
async function spellsCookies(): Promise<boolean> {
  const name = 'httproutes.gateway.networking.k8s.io';
  const { spec } = await suite.cluster.client.get(customResourceDefinitions, { name });
  return !JSON.stringify(spec).includes('"sessionName"');
}

function object(apiVersion: string, kind: string, name: string, spec: object): KubeObject {
  return { apiVersion, kind, metadata: { namespace: space.name, name }, ...{ spec } };
}

const destinationRule = (name: string, trafficPolicy: object) =>
  object('networking.istio.io/v1', 'DestinationRule', name, { host: space.host(name), trafficPolicy });

const to = (name: string) => ({ name, port: PORTS.http });
const httpRoute = (name: string, rule: RouteRule) =>
  route('HTTPRoute', space.name, name, name, PORTS.http, [{ backendRefs: [to(name)], ...rule }]);

beforeAll(async () => {
  const [one, two] = suite.nodes;
  space = await suite.space('app', 'ambient');
  waypoint = new WaypointPods(suite.cluster, space.name);
  await space.apply(serviceAccount(space.name, 'client'));
  const healthy = { labels: { health: 'good' } };
  [client] = (await space.run(
    { name: 'client', node: one, serviceAccount: 'client' },
    { name: 'quick', node: two, labels: { ...healthy.labels, pace: 'mixed' } },
    { name: 'slow', node: one, labels: { pace: 'mixed' }, env: { DELAY_MS: String(SLOW_MS) } },
    { name: 'good', node: one, labels: { ...healthy.labels, luck: 'mixed' } },
    { name: 'bad', node: two, labels: { luck: 'mixed' }, env: { STATUS: '503' } },
    { name: 'keeper', node: two, ...healthy, env: { DOCUMENT: issuer.keySet } },
  )) as [EchoPod];
  await space.apply(
    service(space.name, 'paced', { selector: { pace: 'mixed' } }),
    service(space.name, 'lucky', { selector: { luck: 'mixed' } }),
    service(space.name, 'healthy', { selector: { health: 'good' } }),
  );
  await space.enrolled(true, 'client', 'quick', 'slow', 'good', 'bad', 'keeper');
  await ambit('waypoint', 'apply', '-n', space.name, '--enroll-namespace', '--waypoint-timeout', '150s');
  for (const name of ['quick', 'good', 'healthy'])
    await until(`requests to ${name} at L7`, async () => wasReadOnTheWay(await ask(name)), settled);
  await until('both of the lucky are asked', async () => {
    const outcomes = await inTurn(10, () => ask('lucky'));
    return outcomes.some(({ ok }) => ok) && outcomes.some(({ ok }) => !ok);
  });
});

describe('an endpoint that fails', () => {
  test('is asked, and its failure is told, as long as nobody asks for more', async () => {
    const outcomes = await inTurn(30, () => ask('lucky'));
    const failures = outcomes.filter(({ ok }) => !ok);
    expect(failures.length).toBeGreaterThan(0);
    expect(failures.length).toBeLessThan(30);
  });

  test('is tried, and then another, where a route retries; tries are counted', async () => {
    const before = await counted('retries_total', 'lucky');
    await space.having([httpRoute('lucky', { retry: { attempts: 3, codes: [503] } })], async () => {
      await until('thirty requests in turn to the good one', () => allServedBy('good', 'lucky'), patience);
      expect((await ambit('waypoint', 'routes', '-n', space.name)).text).toContain('lucky');
    });
    expect(await counted('retries_total', 'lucky')).toBeGreaterThan(before);
  });

  test('is left out by outlier detection, which metrics, the log and the command tell', async () => {
    const outlierDetection = {
      consecutive5xxErrors: 1,
      interval: '1s',
      baseEjectionTime: '120s',
      maxEjectionPercent: 100,
    };
    await space.having([destinationRule('lucky', { outlierDetection })], async () => {
      await until('thirty requests in turn to the good one', () => allServedBy('good', 'lucky'), patience);
      expect(await counted('ejections_total', 'lucky')).toBeGreaterThan(0);
      expect(await counted('endpoints', 'lucky', { state: 'ejected' })).toBeGreaterThan(0);
      await until('the command tells', async () =>
        new RegExp(`${space.host('lucky')}:${PORTS.http} .*ejected: requests to it failed`).test(
          (await ambit('waypoint', 'endpoints', '-n', space.name)).text,
        ),
      );
      await until('the log tells', async () =>
        (await waypoint.logs()).some((line) => line.includes('endpoint ejected')),
      );
    });
    await until('the bad one is asked again', async () => !(await ask('lucky')).ok, patience);
  });
});

describe('an endpoint that is slow', () => {
  test('has a request wait, unless the route sends it to another one as well', async () => {
    await until('a request that waits', async () => !(await ask('paced', { timeoutMs: 1_000 })).ok, patience);
    const before = await counted('retries_total', 'paced');
    const rule = httpRoute('paced', {});
    const annotations = { 'ambit.mesh/hedge-after': '100ms' };
    await space.having([{ ...rule, metadata: { ...rule.metadata, annotations } }], async () => {
      await until('thirty requests in turn to the quick one', () => allServedBy('quick', 'paced'), patience);
      expect(await counted('retries_total', 'paced')).toBeGreaterThan(before);
    });
  });

  test('a circuit breaker refuses what is above its limit, and metrics tell', async () => {
    const connectionPool = { http: { http2MaxRequests: 1, http1MaxPendingRequests: 1 } };
    await space.having([destinationRule('good', { connectionPool })], async () => {
      await until(
        'the limit',
        async () => {
          await ask('good');
          return (await counted('destination_limit', 'good', { what: 'requests' })) <= 2;
        },
        settled,
      );
      const asked = await Promise.all(
        Array.from({ length: 8 }, () => ask('good', { path: '/?delayMs=4000' })),
      );
      const refused = asked.filter(({ ok }) => !ok);
      expect(refused.length).toBeGreaterThan(0);
      expect(asked.length - refused.length).toBeGreaterThan(0);
      expect(refused[0]).toMatchObject({ error: expect.stringMatching(/^status 503: .*overflow/) });
      expect(await counted('destination_refused_total', 'good', { what: 'requests' })).toBe(refused.length);
    });
  });
});

describe('who is served by whom', () => {
  const cookieOf = (outcome: RequestOutcome) => answered(outcome)?.headers['set-cookie']?.split(';')[0];

  test('one header, one endpoint: a consistent hash', async () => {
    const loadBalancer = { consistentHash: { httpHeaderName: 'x-user' } };
    await space.having([destinationRule('healthy', { loadBalancer })], async () => {
      const asks = async (user: number) =>
        new Set((await inTurn(4, () => ask('healthy', { headers: { 'x-user': `u${user}` } }))).map(podOf));
      const served = await eventually(
        'each user has one endpoint',
        () => inTurn(10, asks),
        (all) => all.every((one) => one.size === 1),
        patience,
      );
      expect(new Set(served.flatMap((one) => [...one])).size).toBeGreaterThan(1);
    });
  });

  test.each([
    [
      'a consistent hash',
      () =>
        destinationRule('healthy', {
          loadBalancer: { consistentHash: { httpCookie: { name: 'stick', ttl: '60s' } } },
        }),
    ],
    [
      'a session of a route',
      async () => {
        const named = (await spellsCookies()) ? { cookie: { name: 'stick' } } : { sessionName: 'stick' };
        return httpRoute('healthy', { sessionPersistence: { type: 'Cookie', ...named } });
      },
    ],
  ])('one cookie, one endpoint: %s', async (_, made) => {
    await space.having([await made()], async () => {
      const first = await eventually(
        'a cookie',
        () => ask('healthy', { wantsAnswer: true }),
        (outcome) => cookieOf(outcome)?.startsWith('stick=') ?? false,
        settled,
      );
      const headers = { cookie: cookieOf(first) ?? '' };
      const served = new Set((await inTurn(12, () => ask('healthy', { headers }))).map(podOf));
      // Where the cookie is hashed, the first request was sent by it as well.
      expect([...served]).toEqual([podOf(first)]);
    });
  });
});

test('a VirtualService aborts, delays, redirects, rewrites and answers preflights', async () => {
  const under = (prefix: string, what: object) => ({
    match: [{ uri: { prefix } }],
    ...('redirect' in what
      ? {}
      : { route: [{ destination: { host: space.host('quick'), port: { number: PORTS.http } } }] }),
    ...what,
  });
  const always = { percentage: { value: 100 } };
  const http = [
    under('/abort', { fault: { abort: { httpStatus: 418, ...always } } }),
    under('/delay', { fault: { delay: { fixedDelay: '1.5s', ...always } } }),
    under('/redirect', { redirect: { uri: '/elsewhere', authority: 'other.test', redirectCode: 307 } }),
    under('/rewrite', { rewrite: { uri: '/new', authority: 'changed.test' } }),
    under('/regex', { rewrite: { uriRegexRewrite: { match: '^/regex/(\\w+)$', rewrite: '/by-\\1' } } }),
    under('/cors', {
      corsPolicy: { allowOrigins: [{ exact: 'https://a.test' }], allowMethods: ['PUT'], maxAge: '60s' },
    }),
    { route: [{ destination: { host: space.host('quick'), port: { number: PORTS.http } } }] },
  ];
  const rules = object('networking.istio.io/v1', 'VirtualService', 'quick', {
    hosts: [space.host('quick')],
    http,
  });
  const whole = (path: string, asked: Partial<Asked> = {}) =>
    ask('quick', { path, wantsAnswer: true, ...asked });
  const told = async (path: string, asked: Partial<Asked> = {}) => answered(await whole(path, asked));
  await space.having([rules], async () => {
    await until('the rules', async () => (await told('/abort'))?.status === 418, settled);
    const delayed = await whole('/delay');
    expect([answered(delayed)?.status, delayed.latencyMs >= 1_500]).toEqual([200, true]);
    expect(await told('/redirect')).toMatchObject({
      status: 307,
      headers: { location: 'http://other.test/elsewhere' },
    });
    expect(await whole('/rewrite/a')).toMatchObject({
      server: { path: '/new/a', authority: 'changed.test' },
    });
    expect(await whole('/regex/seven')).toMatchObject({ server: { path: '/by-seven' } });
    const preflight = (origin: string) =>
      told('/cors', { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'PUT' } });
    expect((await preflight('https://a.test'))?.headers).toMatchObject({
      'access-control-allow-origin': 'https://a.test',
      'access-control-allow-methods': 'PUT',
      'access-control-max-age': '60',
    });
    expect((await preflight('https://b.test'))?.headers).not.toHaveProperty('access-control-allow-origin');
    expect(await told('/cors', { headers: { origin: 'https://a.test' } })).toMatchObject({
      status: 200,
      headers: { 'access-control-allow-origin': 'https://a.test' },
    });
    expect(await told('/')).toMatchObject({ status: 200 });
  });
});

test('an HTTPRoute rewrites paths for one backend alone, answers preflights, and keeps to its time', async () => {
  const under = (value: string, rule: RouteRule = {}) => ({
    matches: [{ path: { type: 'PathPrefix', value } }],
    backendRefs: [to('quick')],
    ...rule,
  });
  const rewriting = (path: object) => ({
    backendRefs: [{ ...to('quick'), filters: [{ type: 'URLRewrite', urlRewrite: { path } }] }],
  });
  const rules = [
    under('/full', rewriting({ type: 'ReplaceFullPath', replaceFullPath: '/whole' })),
    under('/prefix', rewriting({ type: 'ReplacePrefixMatch', replacePrefixMatch: '/part' })),
    under('/cors', {
      filters: [
        { type: 'CORS', cors: { allowOrigins: ['https://a.test'], allowMethods: ['PUT'], maxAge: 60 } },
      ],
    }),
    under('/late', { timeouts: { request: '1s' } }),
    under('/', {}),
  ];
  const whole = (path: string, asked: Partial<Asked> = {}) =>
    ask('quick', { path, wantsAnswer: true, ...asked });
  await space.having([route('HTTPRoute', space.name, 'filtering', 'quick', PORTS.http, rules)], async () => {
    const pathOf = async (path: string) => {
      const outcome = await whole(path);
      return outcome.ok ? outcome.server?.path : undefined;
    };
    await until('the route', async () => (await pathOf('/full/a')) === '/whole', settled);
    expect(await pathOf('/prefix/a?b=c')).toBe('/part/a?b=c');
    expect(await pathOf('/other/a')).toBe('/other/a');
    const preflight = async (origin: string) =>
      answered(
        await whole('/cors', {
          method: 'OPTIONS',
          headers: { origin, 'access-control-request-method': 'PUT' },
        }),
      )?.headers;
    expect(await preflight('https://a.test')).toMatchObject({
      'access-control-allow-origin': 'https://a.test',
      'access-control-allow-methods': 'PUT',
      'access-control-max-age': '60',
    });
    expect(await preflight('https://b.test')).not.toHaveProperty('access-control-allow-origin');
    expect(answered(await whole('/late?delayMs=5000'))?.status).toBe(504);
    expect(answered(await whole('/other?delayMs=1500'))?.status).toBe(200);
  });
});

describe('a service that authorizes', () => {
  beforeAll(async () => {
    const provider = (port: number) => ({ service: space.host('keeper'), port, timeout: '20s' });
    await useProviders(suite, [
      {
        name: OVER_HTTP,
        envoyExtAuthzHttp: {
          ...provider(PORTS.http),
          pathPrefix: '/authorize',
          includeRequestHeadersInCheck: ['x-allow'],
          headersToUpstreamOnAllow: ['x-authorized-by'],
          headersToDownstreamOnDeny: ['x-authorized-by'],
        },
      },
      { name: OVER_GRPC, envoyExtAuthzGrpc: provider(PORTS.grpc) },
    ]);
  });

  test.each([OVER_HTTP, OVER_GRPC])('%s', async (name) => {
    const rules = [{ to: [{ operation: { paths: ['/guarded*'] } }] }];
    const custom = policyFor(space.name, name, 'quick', { action: 'CUSTOM', provider: { name }, rules });
    const guarded = (headers: Readonly<Record<string, string>>) =>
      ask('quick', { path: '/guarded', wantsAnswer: true, headers });
    await space.having([custom], async () => {
      const refused = await eventually(
        'a refusal by the service',
        () => guarded({ 'x-allow': 'no' }),
        (outcome) => answered(outcome)?.headers['x-authorized-by'] === 'keeper',
        settled,
      );
      expect(answered(refused)?.status).toBe(403);
      expect(await guarded({ 'x-allow': 'yes' })).toMatchObject({
        answer: { status: 200 },
        server: { pod: 'quick', headers: { 'x-authorized-by': 'keeper' } },
      });
      const { server } = (await ask('quick')) as { readonly server?: { readonly headers?: object } };
      expect(server?.headers).not.toHaveProperty('x-authorized-by');
      expect((await ambit('waypoint', 'policies', '-n', space.name)).text).toMatch(
        new RegExp(`AuthorizationPolicy +${space.name}/${name} +CUSTOM`, 'i'),
      );
    });
    await until('nobody is asked', async () => answered(await guarded({}))?.status === 200, settled);
  });
});

describe('a service that a rule of a route has asked (ExternalAuth)', () => {
  const over = {
    HTTP: {
      protocol: 'HTTP',
      backendRef: { name: 'keeper', port: PORTS.http },
      http: {
        path: '/authorize',
        allowedHeaders: ['x-allow'],
        allowedResponseHeaders: ['x-authorized-by'],
      },
    },
    GRPC: {
      protocol: 'GRPC',
      backendRef: { name: 'keeper', port: PORTS.grpc },
      grpc: { allowedHeaders: ['x-allow'] },
    },
  } as const;
  const asking = (externalAuth: object, more: RouteRule = {}) =>
    route('HTTPRoute', space.name, 'asking', 'quick', PORTS.http, [
      {
        matches: [{ path: { type: 'PathPrefix', value: '/guarded' } }],
        filters: [{ type: 'ExternalAuth', externalAuth }],
        backendRefs: [to('quick')],
        ...more,
      },
      { backendRefs: [to('quick')] },
    ]);
  const guarded = (asked: Partial<Asked> = {}) =>
    ask('quick', { path: '/guarded', wantsAnswer: true, ...asked });
  const allowed = { headers: { 'x-allow': 'yes' } };
  const statusOf = async (asked?: Partial<Asked>) => answered(await guarded(asked))?.status;
  /** The waypoint may act by the route before its status is written. */
  const resolved = async (want: string) => {
    const condition = async () => {
      const at = { namespace: space.name, name: 'asking' };
      const { status } = await suite.cluster.client.get(httpRoutes, at);
      const [parent] = status?.parents ?? [];
      const found = parent?.conditions?.find(({ type }) => type === 'ResolvedRefs');
      return `${found?.status} ${found?.reason}`;
    };
    await eventually('ResolvedRefs', condition, (text) => text === want, patience);
  };
  const gone = () => until('nobody is asked', async () => (await statusOf()) === 200, settled);

  test.each(['HTTP', 'GRPC'] as const)('over %s: its no is the answer, its yes goes on', async (protocol) => {
    await space.having([asking({ ...over[protocol], forwardBody: { maxSize: 64 } })], async () => {
      await until('its no', async () => (await statusOf()) === 403, settled);
      expect(await guarded({ headers: { 'x-allow': 'no' } })).toMatchObject({
        answer: { status: 403, headers: { 'x-authorized-by': 'keeper' } },
      });
      expect(await guarded(allowed)).toMatchObject({
        answer: { status: 200 },
        server: { pod: 'quick', headers: { 'x-authorized-by': 'keeper', 'x-allow': 'yes' } },
      });
      // What the rule does not match is nobody's affair.
      const { server } = (await ask('quick')) as { readonly server?: { readonly headers?: object } };
      expect(server?.headers).not.toHaveProperty('x-authorized-by');
      await resolved('True ResolvedRefs');
      const said = await ambit(
        ...['why', `${space.name}/client`, `${space.name}/quick:${PORTS.http}`, '--path', '/guarded'],
      );
      expect(said.text).toContain('keeper');
    });
    await gone();
  });

  test('before a redirect, which tells only whom it may', async () => {
    const redirect = {
      type: 'RequestRedirect',
      requestRedirect: { hostname: 'secret.test', statusCode: 302 },
    };
    const filters = [redirect, { type: 'ExternalAuth', externalAuth: over.HTTP }];
    await space.having([asking({}, { filters, backendRefs: [] })], async () => {
      await until('its no', async () => (await statusOf()) === 403, settled);
      expect(await guarded(allowed)).toMatchObject({
        answer: { status: 302, headers: { location: expect.stringContaining('secret.test') } },
      });
    });
    await gone();
  });

  test('that is not there, or hangs, lets nobody through', async () => {
    await space.having(
      [asking({ ...over.HTTP, backendRef: { name: 'nobody', port: PORTS.http } })],
      async () => {
        await until('a refusal', async () => (await statusOf(allowed)) === 500, patience);
        await resolved('False BackendNotFound');
      },
    );
    await gone();
    await space.having(
      [
        asking(
          { ...over.HTTP, backendRef: { name: 'slow', port: PORTS.http } },
          { timeouts: { request: '1s' } },
        ),
      ],
      async () => {
        await until('a refusal', async () => (await statusOf(allowed)) === 504, patience);
        await resolved('True ResolvedRefs');
      },
    );
    await gone();
  });
});

describe('a policy counts by what it is attached to', () => {
  const targets = {
    Gateway: { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'waypoint' },
    GatewayClass: { group: 'gateway.networking.k8s.io', kind: 'GatewayClass', name: 'istio-waypoint' },
    ServiceEntry: { group: 'networking.istio.io', kind: 'ServiceEntry', name: 'attached' },
  } as const;
  const ENTRY = () => `attached.${space.name}.example`;

  test.each(Object.entries(targets))('a %s', async (kind, targetRef) => {
    const { ip: address } = await space.ready('good');
    const entry = object('networking.istio.io/v1', 'ServiceEntry', 'attached', {
      hosts: [ENTRY()],
      location: 'MESH_EXTERNAL',
      resolution: 'STATIC',
      ports: [{ number: PORTS.http, name: 'http', protocol: 'HTTP' }],
      endpoints: [{ address }],
    });
    const rules = [{ to: [{ operation: { paths: ['/kept'] } }] }];
    const policy = {
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: {
        // Of a class, what the whole mesh shall have.
        namespace: kind === 'GatewayClass' ? 'istio-system' : space.name,
        name: `e2e-attached-${space.name}`,
      },
      ...{ spec: { targetRefs: [targetRef], action: 'DENY', rules } },
    };
    const status = async (host: string) =>
      answered(await client.ask({ host, path: '/kept', wantsAnswer: true, timeoutMs: ASK_TIMEOUT_MS }))
        ?.status;
    const reads = async () => [await status(space.host('quick')), await status(ENTRY())].join();
    await space.having([entry], async () => {
      await until('nobody is kept', async () => (await reads()) === '200,200', settled);
      await space.having([policy], async () => {
        await until('a refusal', async () => (await status(ENTRY())) === 403, settled);
        expect(await reads()).toBe(kind === 'ServiceEntry' ? '200,403' : '403,403');
      });
      await until('nobody is kept any more', async () => (await reads()) === '200,200', settled);
    });
  });
});

test('a policy in dry run lets through, and what it would do is counted and logged', async () => {
  const policy = policyFor(space.name, 'only-tried', 'quick', {
    action: 'DENY',
    rules: [{ to: [{ operation: { paths: ['/tried'] } }] }],
  });
  const annotations = { 'istio.io/dry-run': 'true' };
  await space.having([{ ...policy, metadata: { ...policy.metadata, annotations } }], async () => {
    const verdicts = async () =>
      total(await waypoint.metrics(), 'ambit_waypoint_dry_run_verdicts_total', {
        policy: `${space.name}/only-tried`,
        result: 'denied',
        enforced_result: 'allowed',
      });
    await until(
      'a verdict',
      async () => {
        expect((await ask('quick', { path: '/tried' })).ok).toBe(true);
        return (await verdicts()) > 0;
      },
      patience,
    );
    await until('the log tells', async () =>
      (await waypoint.logs()).some((line) => line.includes('a dry run decides otherwise')),
    );
    await until('the command tells', async () =>
      (await ambit('waypoint', 'policies', '-n', space.name)).text.includes('DENY (dry run)'),
    );
  });
});

describe('tokens', () => {
  const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` }, wantsAnswer: true });
  const status = async (asked: Partial<Asked>) => answered(await ask('good', asked))?.status;
  const why = (...more: readonly string[]) =>
    ambit('why', `${space.name}/client`, `${space.name}/good:${PORTS.http}`, ...more);

  test('are verified by keys that a service of the mesh has, and policies see their claims', async () => {
    const targetRefs = [{ group: '', kind: 'Service', name: 'good' }];
    const jwksUri = `http://${space.host('keeper')}:${PORTS.http}/document`;
    const authentication = object('security.istio.io/v1', 'RequestAuthentication', 'tokens', {
      targetRefs,
      jwtRules: [{ issuer: issuer.name, jwksUri }],
    });
    const policy = policyFor(space.name, 'tokens', 'good', {
      action: 'ALLOW',
      rules: [{ from: [{ source: { requestPrincipals: [`${issuer.name}/ann`] } }] }],
    });
    const ann = issuer.token({ sub: 'ann' });
    const forged = new TokenIssuer(issuer.name).token({ sub: 'ann' });
    await space.having([authentication, policy], async () => {
      await until(
        'a refusal without a token',
        async () => (await status({ wantsAnswer: true })) === 403,
        settled,
      );
      await until('ann is let in', async () => (await status(bearer(ann))) === 200, settled);
      expect(await status(bearer(issuer.token({ sub: 'bob' })))).toBe(403);
      expect(await status(bearer(forged))).toBe(401);
      expect(await status(bearer('nonsense'))).toBe(401);
      expect((await why('--jwt', ann)).status).toBe(0);
      expect(await why('--jwt', forged)).toMatchObject({ status: 3, text: expect.stringContaining('Jwt') });
      expect((await why('--jwt', '{"iss":"https://issuer.test","sub":"bob"}')).status).toBe(3);
      expect((await why()).status).toBe(3);
    });
  });

  test('whose keys cannot be fetched are refused, and the log says from where', async () => {
    const jwksUri = `http://${space.host('slow')}:${PORTS.http}/document`;
    const authentication = object('security.istio.io/v1', 'RequestAuthentication', 'late', {
      targetRefs: [{ group: '', kind: 'Service', name: 'good' }],
      jwtRules: [{ issuer: issuer.name, jwksUri, timeout: '1s' }],
    });
    await space.having([authentication], async () => {
      await until(
        'a refusal',
        async () => (await status(bearer(issuer.token({ sub: 'ann' })))) === 401,
        patience,
      );
      const late = `timed out after 1000 ms: no whole answer of ${jwksUri} (through the mesh)`;
      await until(
        'the log',
        async () => (await waypoint.logs()).some((line) => line.includes(late)),
        patience,
      );
    });
  });
});

describe('names below a wildcard', () => {
  /** The cluster's DNS has an address for a name that says one. */
  const named = (ip: string) => `${ip.replaceAll('.', '-')}.${space.name}.pod.cluster.local`;

  test('lead where they lead outside of the mesh, and to nobody whom the mesh knows', async () => {
    const port = PORTS.http + HOST_PORT_OFFSET;
    await space.apply(
      echoPod(suite.cluster.file.images, {
        name: 'on-host',
        namespace: space.name,
        node: suite.nodes[1],
        hostNetwork: true,
        env: { PORT_OFFSET: String(HOST_PORT_OFFSET) },
        probes: {},
      }),
    );
    const { ip: outside } = await space.ready('on-host');
    const { status: ofGood } = await space.pod('good');
    const entry = object('networking.istio.io/v1', 'ServiceEntry', 'wild', {
      hosts: [`*.${space.name}.pod.cluster.local`],
      location: 'MESH_EXTERNAL',
      resolution: 'DYNAMIC_DNS',
      ports: [{ number: port, name: 'http', protocol: 'HTTP' }],
    });
    await space.having([entry], async () => {
      const at = { namespace: space.name, name: 'wild' };
      const { status } = await eventually(
        'an address',
        () => suite.cluster.client.get(serviceEntries, at),
        (seen) => (seen.status?.addresses ?? []).length > 0,
        patience,
      );
      const reach = (ip: string) =>
        client.ask({ host: named(ip), port, timeoutMs: ASK_TIMEOUT_MS, wantsAnswer: true });
      const reached = await eventually(
        'an answer from outside, through the waypoint',
        () => reach(outside),
        wasReadOnTheWay,
        settled,
      );
      expect(podOf(reached)).toBe('on-host');
      const good = ofGood?.podIP ?? '';
      expect(answered(await reach(good))?.status).toBe(503);
      const vip = status?.addresses?.[0]?.value ?? '';
      const why = () =>
        ambit('why', `${space.name}/client`, `${vip}:${port}`, '--path', '/', '--authority', named(good));
      // Each of the waypoint's pods looks names up for itself, and it may be another one's turn to tell.
      const told = await eventually(
        'the waypoint knows where the name leads',
        why,
        ({ text }) => !text.includes('being looked up'),
        patience,
      );
      expect(told).toMatchObject({
        status: 3,
        text: expect.stringContaining(`is at ${good}, which the mesh knows as`),
      });
    });
  });
});

test('no request of all of these ended by a fault of the waypoint', async () => {
  expect(total(await waypoint.metrics(), 'ambit_waypoint_faults_total', {})).toBe(0);
});

test('applications are told who the client proved to be, where the Gateway asks for it', async () => {
  const forged = { 'x-forwarded-client-cert': 'URI=spiffe://forged' };
  const told = async () => {
    const outcome = await ask('good', { headers: forged });
    return outcome.ok ? (outcome.server?.headers?.['x-forwarded-client-cert'] ?? '') : undefined;
  };
  expect(await told()).toBe('');
  const annotations = { 'ambient.istio.io/xfcc-include-client-identity': 'true' };
  await suite.cluster.client.patch(
    gateways,
    { namespace: space.name, name: 'waypoint' },
    { type: 'merge', body: { metadata: { annotations } } },
  );
  const text = await eventually(
    'the identity of the client',
    told,
    (value) => value !== undefined && value !== '',
    { timeoutMs: 150_000, everyMs: 1_000 },
  );
  expect(text).toContain(`URI=spiffe://cluster.local/ns/${space.name}/sa/client`);
  expect(text).toContain(`By=spiffe://cluster.local/ns/${space.name}/sa/waypoint`);
  expect(text).not.toContain('forged');
});
