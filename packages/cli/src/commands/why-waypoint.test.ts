import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { JsonObject } from '../json-value.ts';
import { BATCH, whyAnswer } from '../testing/answers.ts';
import { FakeCluster, type Pages } from '../testing/fake-cluster.ts';

const CAPTURED = { annotations: { 'ambient.istio.io/redirection': 'enabled' } };

let cluster: FakeCluster;

/** As `why` in commands.test.ts, with a waypoint in front of api, on the second node. */
beforeEach(async () => {
  cluster = await FakeCluster.start();
  for (const name of ['node-1', 'node-2']) cluster.node(name);
  cluster.namespace('istio-system');
  cluster.namespace('shop', { 'istio.io/dataplane-mode': 'ambient' });
  cluster.pod('shop', 'batch-1', { ...CAPTURED, ip: '10.0.1.1' });
  cluster.pod('shop', 'api-1', { ...CAPTURED, ip: '10.0.2.1', node: 'node-2' });
  cluster.service('shop', 'api', '10.1.0.1', [80]);
  cluster.ztunnel('ztunnel-1', 'node-1', { '/debug/why': outbound() });
  cluster.ztunnel('ztunnel-2', 'node-2', { '/debug/why': whyAnswer({ node: 'node-2' }) });
});
afterEach(() => cluster[Symbol.asyncDispose]());

function outbound(): JsonObject {
  const route = {
    step: 'route',
    outcome: 'ok',
    message: 'waypoint, HBONE to 10.0.2.9:15008 for 10.1.0.1:80',
    detail: { via: 'waypoint', protocol: 'HBONE', authority: '10.1.0.1:80' },
  };
  return {
    ...whyAnswer({ outbound: [route] }),
    destination: { workload: 'Kubernetes//Pod/shop/gate-1', address: '10.1.0.1:80', served: false },
  };
}

const step = (name: string, message: string, detail: object = {}, outcome = 'ok') => ({
  step: name,
  outcome,
  message,
  detail,
});
const ENDPOINT = step('endpoint', '1 of 2 endpoints may take the request', {
  endpoints: [
    {
      endpoint: '10.0.2.8:8080',
      workload: 'Kubernetes//Pod/shop/api-0',
      healthy: false,
      weight: 1,
      level: 0,
    },
    { endpoint: '10.0.2.1:8080', workload: 'Kubernetes//Pod/shop/api-1', healthy: true, weight: 1, level: 0 },
  ],
});
const answers = (...steps: readonly object[]) => ({ proxy: { version: '0.1.0' }, steps });

test('asks source, waypoint and destination, each about what it sees', async () => {
  const policy = {
    policy: 'shop/no-delete',
    action: 'DENY',
    dryRun: false,
    failures: [
      {
        rule: 0,
        part: 'to',
        failed: [{ field: 'methods', negated: false, wants: ['DELETE'], has: ['POST'] }],
      },
    ],
  };
  const route = {
    group: 'producer',
    chosen: { route: 'HTTPRoute/shop/api', rule: '', ruleIndex: 1, wants: 'path /items/…' },
    others: [
      { route: 'HTTPRoute/shop/api', rule: 'first', ruleIndex: 0, failed: 'header x-a = 1 (here: nothing)' },
      { route: 'HTTPRoute/shop/late', rule: '', ruleIndex: 0 },
    ],
  };
  const shares = [
    { share: 0.25, service: 'shop/api.shop.svc.cluster.local', port: 80, subset: 'v2' },
    { share: 0.75, status: 500 },
  ];
  cluster.waypoint('shop', 'gate-1', {
    '/debug/why': answers(
      step('authorization', 'no ALLOW policy is attached', { policies: [policy] }),
      step('route', 'rule 1 of HTTPRoute/shop/api matches: path /items/…', route),
      step('backend', 'one of 2 backends by weight', { shares }),
      ENDPOINT,
    ),
  });
  const args = ['--method', 'POST', '--path', '/items/1?x=y', '--header', 'X-A=1', '--header', 'b: 2'];
  expect(await cluster.run('why', 'batch', 'api', ...args)).toEqual({
    code: 0,
    err: '',
    out: `ALLOWED: shop/batch-1 may send POST /items/1?x=y to service shop/api port 80, encrypted, as ${BATCH}
  ✓ source         shop/batch-1 on node-1 is ${BATCH}
  ✓ route          waypoint, HBONE to 10.0.2.9:15008 for 10.1.0.1:80
  ✓ waypoint       shop/gate-1 reads POST /items/1?x=y
  ✓ authorization  no ALLOW policy is attached
                   policy shop/no-delete (DENY): rule 0 does not match, as its to wants methods DELETE (here: POST)
  ✓ route          rule 1 of HTTPRoute/shop/api matches: path /items/…
                   HTTPRoute/shop/api rule 1 matches: path /items/…
                   HTTPRoute/shop/api rule first does not: header x-a = 1 (here: nothing)
                   HTTPRoute/shop/late rule 0 matches too, and comes after it
  ✓ backend        one of 2 backends by weight
                   25 % to shop/api.shop.svc.cluster.local port 80, subset v2
                   75 % answered with 500
  ✓ endpoint       1 of 2 endpoints may take the request
                   10.0.2.8:8080 (Kubernetes//Pod/shop/api-0), not healthy
                   10.0.2.1:8080 (Kubernetes//Pod/shop/api-1)
  ✓ destination    shop/api-1 on node-2
  ✓ inbound        connects to the application at 10.0.2.1:8080
  ✓ authorization  no allow policy binds shop/api-1
`,
  });
  const [, atWaypoint = '', atDestination = ''] = cluster.asked.map((line) => line.replace(/^\S+ /, ''));
  expect(cluster.asked[1]).toMatch(/^gate-1 /);
  const asked = new URL(atWaypoint, 'http://x').searchParams;
  expect(Object.fromEntries(asked)).toMatchObject({
    destination: '10.1.0.1:80',
    identity: BATCH,
    sourceIp: '10.0.1.1',
    protocol: 'http',
    method: 'POST',
    path: '/items/1?x=y',
  });
  expect(asked.getAll('header')).toEqual(['x-a: 1', 'b: 2']);
  // The destination's proxy sees the waypoint.
  expect(Object.fromEntries(new URL(atDestination, 'http://x').searchParams)).toEqual({
    source: 'shop/gate-1',
    destination: '10.0.2.1:8080',
  });
});

test('a refusal at the waypoint is the answer, and nobody behind it is asked', async () => {
  const refused = step(
    'authorization',
    'explicitly denied by: shop/no-delete, rule 0',
    { policies: [{ policy: 'shop/no-delete', action: 'DENY', dryRun: false, matchedRule: 0, failures: [] }] },
    'refuse',
  );
  cluster.waypoint('shop', 'gate-1', { '/debug/why': answers(refused) });
  const { code, out } = await cluster.run('why', 'batch', 'api', '--method', 'DELETE');
  expect(code).toBe(3);
  expect(out).toContain(
    'REFUSED: shop/batch-1 may not send DELETE / to service shop/api port 80: explicitly denied by: shop/no-delete, rule 0\n',
  );
  expect(out).toContain('policy shop/no-delete (DENY): rule 0 matches\n');
  expect(cluster.asked).toHaveLength(2);
});

describe('a policy of the pod sees the waypoint', () => {
  const GATE = 'cluster.local/ns/shop/sa/gate';
  const held = (action: string, match: object) => ({
    policies: [
      { namespace: 'shop', name: 'only-batch', action, scope: 'WorkloadSelector', rules: [[[match]]] },
    ],
  });
  const refused = async (dump: object, detail: object, message: string) => {
    const seen = { principals: GATE, destinationPorts: '8080' };
    const inbound = [step('authorization', message, { seen, ...detail }, 'refuse')];
    const pages = { '/debug/why': whyAnswer({ node: 'node-2', inbound }), '/config_dump': dump };
    cluster.ztunnel('ztunnel-2', 'node-2', pages as Pages);
    cluster.waypoint('shop', 'gate-1', { '/debug/why': answers(ENDPOINT) });
    const { code, out } = await cluster.run('why', 'batch', 'api');
    expect(code).toBe(3);
    return out;
  };
  const notAllowed = (field: string) => ({
    verdict: { kind: 'no-allow-matched' },
    policies: [
      { policy: 'shop/only-batch', action: 'Allow', failures: [{ rule: 0, clause: 0, failed: [field] }] },
    ],
  });
  const NONE = 'allow policies exist, but none allowed';

  test('in place of the caller whom it allows: that is said, with what to do', async () => {
    const dump = held('Allow', { principals: [{ Exact: 'cluster.local/ns/shop/sa/batch' }] });
    const out = await refused(dump, notAllowed('principals'), NONE);
    const text = `shop/api-1 sees the waypoint's identity, ${GATE}, in place of the caller's: ${NONE} (shop/only-batch)`;
    expect(out).toContain(`REFUSED: shop/batch-1 may not send GET / to service shop/api port 80: ${text}\n`);
    expect(out.split('\n').slice(-4)).toEqual([
      `  ✗ authorization  ${text}`,
      `                   policy shop/only-batch (ALLOW): rule 0 does not match, as its clause 0 wants principals cluster.local/ns/shop/sa/batch (here: ${GATE})`,
      `                   the waypoint alone sees the caller: attach shop/only-batch by targetRefs to Service api instead of to pods, and the waypoint enforces it; or allow principal ${GATE} too, which is the waypoint`,
      '',
    ]);
  });

  test('in place of the caller whom it does not deny', async () => {
    const dump = held('Deny', { notPrincipals: [{ Exact: 'cluster.local/ns/shop/sa/batch' }] });
    const by = 'shop/only-batch';
    const detail = {
      verdict: { kind: 'deny', by },
      policies: [{ policy: by, action: 'Deny', matchedRule: 0, failures: [] }],
    };
    const out = await refused(dump, detail, `explicitly denied by: ${by}`);
    expect(out).toContain(`in place of the caller's: explicitly denied by: ${by}\n`);
    expect(out).toContain(`or except principal ${GATE}, which is the waypoint\n`);
  });

  test('and a refusal that is not about identities says nothing of it', async () => {
    const dump = held('Allow', { destinationPorts: [81] });
    const out = await refused(dump, notAllowed('destinationPorts'), NONE);
    expect(out).toContain(`port 80: ${NONE} (shop/only-batch)\n`);
    expect(out).toContain('wants destinationPorts 81 (here: 8080)\n');
    expect(out).not.toContain('in place of');
  });
});

const silent: Record<string, [page: unknown, sentence: string]> = {
  'has no such page': [404, 'waypoint shop/gate-1 cannot say why: it has no /debug/why'],
  'answers nonsense': ['<html>', 'answered /debug/why?'],
  'does not like the question': [400, 'answered 400 to /debug/why?'],
};
test.each(Object.entries(silent))('a waypoint that %s makes it not known', async (_, [page, sentence]) => {
  cluster.waypoint('shop', 'gate-1', { '/debug/why': page });
  const { code, out } = await cluster.run('why', 'batch', 'api');
  expect(code).toBe(4);
  expect(out).toContain(
    'NOT KNOWN: whether shop/batch-1 may send GET / to service shop/api port 80 is not known: ',
  );
  expect(out).toContain(sentence);
});

test('an answer of another shape is poorer, not a crash', async () => {
  cluster.waypoint('shop', 'gate-1', {
    '/debug/why': answers(
      step('authorization', 'a', { policies: [7, { failures: [null], action: 3 }, { unreadable: 'x' }] }),
      step('route', 'b', { chosen: 5, others: [null] }),
      step('backend', 'c', { shares: { a: null } }),
      step('endpoint', 'd', { endpoints: [[], { healthy: true, weight: 1 }] }),
      step('later', 'e'),
    ),
  });
  const { code, out, err } = await cluster.run('why', 'batch', 'api');
  expect([code, err]).toEqual([0, '']);
  expect(out).toContain('✓ later');
});

test('what the port declares is what the waypoint is asked about', async () => {
  cluster.api.put('/api/v1/services', {
    metadata: { namespace: 'shop', name: 'api' },
    spec: { clusterIP: '10.1.0.1', clusterIPs: ['10.1.0.1'], ports: [{ name: 'tcp-db', port: 80 }] },
  } as never);
  cluster.waypoint('shop', 'gate-1', { '/debug/why': answers(ENDPOINT) });
  const { out } = await cluster.run('why', 'batch', 'api');
  expect(out).toContain('may connect to service shop/api port 80');
  expect(out).toContain('shop/gate-1 carries the connection\n');
  expect(cluster.asked[1]).toContain('protocol=tcp');
  await cluster.run('why', 'batch', 'api', '--protocol', 'tls', '--authority', 'a.b');
  expect(cluster.asked.findLast((line) => line.startsWith('gate-1 '))).toMatch(/protocol=tls.*sni=a\.b/);
});

test('a token is for the waypoint to verify, and claims are taken as believed', async () => {
  cluster.waypoint('shop', 'gate-1', { '/debug/why': answers(ENDPOINT) });
  const asked = async (jwt: string) => {
    await cluster.run('why', 'batch', 'api', '--jwt', jwt);
    const line = cluster.asked.findLast((one) => one.startsWith('gate-1 ')) ?? '';
    const { searchParams } = new URL(line.split(' ')[1] ?? '', 'http://x');
    return { jwt: searchParams.get('jwt'), claims: searchParams.get('claims') };
  };
  const claims = '{"iss":"i","sub":"s"}';
  const token = `x.${Buffer.from(claims).toString('base64url')}.y`;
  expect(await asked(token)).toEqual({ jwt: token, claims: null });
  expect(await asked(claims)).toEqual({ jwt: null, claims });
});

test.each([
  [['--method', 'GET IT'], '--method: "GET IT" is no method'],
  [['--path', 'items'], '--path: "items" does not begin with /'],
  [['--header', 'x'], '--header: "x" is not NAME=VALUE'],
  [['--jwt', 'abc'], '--jwt wants a token, or its claims as JSON'],
  [['--jwt', '[]'], '--jwt wants a token, or its claims as JSON'],
  [['--protocol', 'udp'], '--protocol is http, tcp, tls, not "udp"'],
])('%j is a wrong command line', async (args, message) => {
  expect(await cluster.run('why', 'batch', 'api', ...args)).toEqual({
    code: 2,
    out: '',
    err: `ambit: ${message}\n`,
  });
  expect(cluster.asked).toEqual([]);
});

test('without a waypoint on the way, a request makes no difference, and that is said', async () => {
  cluster.ztunnel('ztunnel-1', 'node-1', { '/debug/why': whyAnswer() });
  const { out } = await cluster.run('why', 'batch', 'api', '--method', 'POST');
  expect(out).toContain(
    '· note           no waypoint is on the way: nothing reads requests, so what they say makes no difference\n',
  );
  expect((await cluster.run('why', 'batch', 'api')).out).not.toContain('no waypoint is on the way');
});
