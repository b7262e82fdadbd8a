/**
 * Measures what decisions cost: `node packages/waypoint/src/testing/measure-decisions.ts`. Prints microseconds for one
 * decision, the best of several rounds, since others share the machine.
 */
import { performance } from 'node:perf_hooks';
import type { ServiceKey } from '@ambit/model/address';
import { authorize } from '../decide/authorize.ts';
import { Balancer, type BalancedEndpoint } from '../decide/balance/balancer.ts';
import { forwardedRequest } from '../decide/filters.ts';
import { normalizePath } from '../decide/normalize-path.ts';
import { decideRoute } from '../decide/route.ts';
import { buildRouteTable } from '../decide/route-table.ts';
import { policy } from '../decide/testing/policies.ts';
import {
  backend,
  connection,
  exactHeaders,
  exactPath,
  filter,
  httpRoute,
  prefixPath,
  request,
  SERVICE,
} from '../decide/testing/requests.ts';
import { boundPolicies } from '../resources/index/policies.ts';
import { ResourceStore } from '../resources/store.ts';
import { createWaypointResource, encodeWaypointResource } from '@ambit/api/waypoint';

const ROUNDS = 9;
const from = connection();
const headers = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`x-header-${i}`, `value ${i}`]));
const half = () => 0.5;

function measure(name: string, run: () => unknown, times = 20_000): void {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    for (let i = 0; i < times; i++) run();
    best = Math.min(best, ((performance.now() - start) * 1_000) / times);
  }
  process.stdout.write(`${name.padEnd(72)} ${best.toFixed(3).padStart(10)} µs\n`);
}

const rules = Array.from({ length: 20 }, (_, i) => ({
  matches: [{ ...prefixPath(`/api/v${i}`), ...(i % 2 ? exactHeaders({ 'x-header-15': 'value 15' }) : {}) }],
  filters: [
    filter({
      $case: 'requestHeaders',
      value: { set: [{ name: 'x-set', value: 'a' }], remove: ['x-header-3'] },
    }),
  ] as never,
  backends: [backend(1, 90), backend(2, 10)],
}));
const twenty = buildRouteTable(SERVICE, 80, [httpRoute({ rules })]);
const allow = Array.from({ length: 20 }, (_, i) => ({
  from: [{ principals: [`cluster.local/ns/other/sa/a${i}`, 'cluster.local/ns/web/sa/front'] }],
  to: [{ methods: ['GET'], paths: [`/api/v${i}/*`] }],
}));
const policies = boundPolicies([
  policy({ key: 'shop/deny', action: 'DENY', rules: [{ from: [{ notNamespaces: ['web'] }] }] }),
  policy({ key: 'shop/allow', rules: allow }),
]);
const last = request('/api/v19/users/42?x=1', { headers });
const subject = { request: last, connection: from, token: undefined };

measure('normalize a usual path', () => normalizePath('BASE', '/api/v1/users/42?x=1'));
measure('normalize a path with dots and triplets', () => normalizePath('MERGE_SLASHES', '/a//../b/%61%2fb'));
measure('route, 20 rules, the last of them', () => decideRoute(twenty, last, from, half));
measure('authorize, DENY and ALLOW of 20 rules, the last of them', () => authorize(policies, subject));
measure('both, path and filters', () => {
  normalizePath('BASE', last.path);
  authorize(policies, subject);
  const decision = decideRoute(twenty, last, from, half);
  return decision.kind === 'forward' && forwardedRequest(decision, last);
});

const many = buildRouteTable(
  SERVICE,
  80,
  Array.from({ length: 1_000 }, (_, i) =>
    httpRoute({
      name: `r${i}`,
      rules: [
        { matches: [i % 2 ? exactPath(`/exact/${i}`) : prefixPath(`/prefix/${i}`)], backends: [backend(1)] },
      ],
    }),
  ),
);
measure('route, 1,000 routes of one service, an exact path', () =>
  decideRoute(many, request('/exact/999', { headers }), from, half),
);
measure('route, 1,000 routes of one service, a prefix', () =>
  decideRoute(many, request('/prefix/998/a/b/c', { headers }), from, half),
);
measure('route, 1,000 routes of one service, none matches', () =>
  decideRoute(many, request('/none/of/them', { headers }), from, half),
);
const ordered = buildRouteTable(SERVICE, 80, [
  httpRoute({
    kind: 'VirtualService',
    rules: Array.from({ length: 1_000 }, (_, i) => ({
      matches: [prefixPath(`/prefix/${i}`)],
      backends: [backend(1)],
    })),
  }),
]);
measure(
  'route, a VirtualService of 1,000 matches, the last of them',
  () => decideRoute(ordered, request('/prefix/999', { headers }), from, half),
  2_000,
);

const encoded = Array.from({ length: 1_000 }, (_, i) => ({
  name: `HTTPRoute/shop/r${i}`,
  bytes: encodeWaypointResource(
    'HttpRoute',
    createWaypointResource('HttpRoute', {
      origin: { kind: 'HTTPRoute', namespace: 'shop', name: `r${i}`, createdMs: 1n },
      parents: [{ namespace: 'shop', hostname: `s${i % 200}`, port: 0 }],
      rules: rules.slice(0, 3) as never,
    }),
  ),
}));
const store = new ResourceStore({ namespace: 'shop', gatewayName: 'waypoint' });
measure(
  'store: 1,000 routes of 200 services, decoded and indexed',
  () => store.apply('HttpRoute', encoded, []),
  3,
);
const service = (i: number): ServiceKey => `shop/s${i}`;
for (let i = 0; i < 200; i++) store.servicePort(service(i), 80);
measure(
  'store: one of them changes, and its service is asked for',
  () => {
    store.apply('HttpRoute', encoded.slice(7, 8), []);
    return store.servicePort(service(7), 80).http;
  },
  500,
);

function endpoints(count: number): readonly BalancedEndpoint[] {
  return Array.from({ length: count }, (_, i) => ({
    key: `10.0.${i >> 8}.${i & 255}:8080`,
    weight: 1,
    locality: { region: '', zone: '', subzone: '' },
    network: '',
    node: '',
    clusterId: '',
    sinceMs: 0,
    isHealthy: true,
    activeRequests: i % 7,
  }));
}
const avoid = new Set<BalancedEndpoint>();
for (const [name, parts] of [
  ['least request', {}],
  ['round robin', { simple: 'round-robin' }],
  ['ring hash', { consistentHash: { key: { kind: 'source-ip' }, algorithm: 'ring-hash', tableSize: 1_024 } }],
  ['Maglev', { consistentHash: { key: { kind: 'source-ip' }, algorithm: 'maglev', tableSize: 65_537 } }],
] as const) {
  const set = endpoints(100);
  const make = () =>
    new Balancer([{ groups: [{ name: '', weight: 1, endpoints: set }] }], {
      loadBalancer: {
        simple: undefined,
        consistentHash: undefined,
        locality: undefined,
        warmupMs: 0,
        ...parts,
      },
      panicPercent: 0,
      random: half,
    });
  const balancer = make();
  let hash = 1;
  const ask = () => {
    hash = (Math.imul(hash, 1_664_525) + 1_013_904_223) >>> 0;
    return { hash, avoid, nowMs: 1e9, random: () => hash / 2 ** 32 };
  };
  measure(`pick, 100 endpoints, ${name}`, () => balancer.pick(ask()));
  measure(`build, 100 endpoints, ${name}`, () => make().pick(ask()), 20);
}
