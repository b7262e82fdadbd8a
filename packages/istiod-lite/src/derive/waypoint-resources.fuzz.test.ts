/** VirtualServices and the like that nobody should have stored: nothing throws, and what cannot be read refuses. */
import { expect, test } from '@jest/globals';
import { decodeWaypointResource } from '@ambit/api/waypoint';
import type { KubeObject } from '@ambit/kube/resource';
import { TestMesh } from '../testing/mesh-from-yaml.ts';
import { below, JUNK, mutated } from '../testing/mutate.ts';

const ROUNDS = 2_000;
const WORLD = `
kind: Gateway
metadata: {namespace: shop, name: waypoint}
status: {addresses: [{type: Hostname, value: waypoint.shop.svc.cluster.local}]}
---
kind: Service
metadata: {namespace: shop, name: cart, labels: {istio.io/use-waypoint: waypoint}}
spec: {clusterIPs: [10.1.0.1], selector: {app: cart}, ports: [{name: http, port: 80}, {name: tcp, port: 9090}]}
---
kind: Pod
metadata: {namespace: shop, name: cart, labels: {app: cart, version: v1}}
spec: {nodeName: n1}
status: {phase: Running, podIPs: [{ip: 10.0.0.1}], conditions: [{type: Ready, status: "True"}]}
`;
const destination = { host: 'cart', subset: 'v1', port: { number: 80 } };
const VIRTUAL_SERVICE = {
  http: [
    {
      name: 'a',
      match: [
        {
          uri: { prefix: '/a' },
          headers: { a: { exact: 'b' } },
          queryParams: { q: { regex: 'a*' } },
          sourceLabels: {},
          gateways: ['mesh'],
        },
      ],
      route: [
        { destination, weight: 50, headers: { request: { set: { host: 'a', b: 'c' } } } },
        { destination, weight: 50 },
      ],
      rewrite: { uri: '/b', authority: 'c' },
      timeout: '5s',
      retries: { attempts: 3, perTryTimeout: '2s', retryOn: '5xx,503', backoff: '100ms' },
      fault: {
        delay: { percentage: { value: 1.5 }, fixedDelay: '1s' },
        abort: { percentage: { value: 1 }, httpStatus: 500 },
      },
      mirrors: [{ destination, percentage: { value: 10 } }],
      corsPolicy: { allowOrigins: [{ exact: 'a' }], allowMethods: ['GET'], maxAge: '1h' },
    },
    { match: [{ uri: { exact: '/c' } }], redirect: { uri: '/d', redirectCode: 301, port: 80 } },
    { match: [{ uri: { exact: '/e' } }], directResponse: { status: 418, body: { bytes: 'AAECAw==' } } },
    { match: [{ uri: { prefix: '/f' } }], delegate: { name: 'part' } },
  ],
  tls: [{ match: [{ sniHosts: ['a.b'], port: 443 }], route: [{ destination, weight: 1 }] }],
  tcp: [{ match: [{ port: 9090 }], route: [{ destination }] }],
};
const DESTINATION_RULE = {
  trafficPolicy: {
    loadBalancer: {
      consistentHash: { httpCookie: { name: 'c', ttl: '1s' }, maglev: { tableSize: 101 } },
      warmup: { duration: '1s' },
    },
    connectionPool: {
      tcp: { maxConnections: 1, connectTimeout: '1s' },
      http: { maxRetries: 1, idleTimeout: '1s' },
    },
    outlierDetection: { consecutive5xxErrors: 1, interval: '1s', maxEjectionPercent: 5 },
    tls: { mode: 'SIMPLE', sni: 'a', subjectAltNames: ['b'] },
    portLevelSettings: [{ port: { number: 80 }, loadBalancer: { simple: 'RANDOM' } }],
    proxyProtocol: { version: 'V1' },
    retryBudget: { percent: 1.5 },
  },
  subsets: [
    { name: 'v1', labels: { version: 'v1' }, trafficPolicy: { loadBalancer: { simple: 'ROUND_ROBIN' } } },
  ],
  exportTo: ['*'],
};
const TELEMETRY = {
  tracing: [
    {
      providers: [{ name: 'a' }],
      randomSamplingPercentage: 1.5,
      customTags: { a: { literal: { value: 'b' } } },
    },
  ],
  metrics: [
    {
      overrides: [
        { match: { metric: 'REQUEST_COUNT' }, tagOverrides: { a: { operation: 'UPSERT', value: 'b' } } },
      ],
    },
  ],
  accessLogging: [{ match: { mode: 'SERVER' }, filter: { expression: 'true' } }],
};

test(`${ROUNDS} mutated VirtualServices, DestinationRules and Telemetries`, () => {
  const next = below(31);
  const mesh = new TestMesh();
  mesh.apply(WORLD);
  const of = (kind: string) => mesh.graph.waypointFeeds.find((feed) => feed.kind === kind);
  const count = { http: 0, streams: 0, refusing: 0, destinations: 0, telemetries: 0 };
  const set = (kind: string, name: string, spec: unknown) =>
    mesh.set({ kind, metadata: { namespace: 'shop', name }, spec } as KubeObject);
  const part = (whole: object) =>
    next(20) === 0 ? { http: JUNK[next(JUNK.length)] } : (mutated(whole, next) as object);
  for (let i = 0; i < ROUNDS; i++) {
    set('VirtualService', 'cart', { ...part(VIRTUAL_SERVICE), hosts: ['cart'] });
    set('VirtualService', 'part', mutated({ http: VIRTUAL_SERVICE.http.slice(0, 1) }, next));
    set(
      'VirtualService',
      'any',
      next(10) === 0 ? JUNK[next(JUNK.length)] : mutated({ ...VIRTUAL_SERVICE, hosts: ['*'] }, next),
    );
    set('DestinationRule', 'cart', {
      ...(mutated(DESTINATION_RULE, next) as object),
      host: 'cart',
      exportTo: ['*'],
    });
    set(
      'DestinationRule',
      'any',
      next(10) === 0 ? JUNK[next(JUNK.length)] : mutated({ ...DESTINATION_RULE, host: '*.local' }, next),
    );
    set('Telemetry', 'any', next(10) === 0 ? JUNK[next(JUNK.length)] : mutated(TELEMETRY, next));
    mesh.scheduler.flush();
    for (const feed of mesh.graph.waypointFeeds)
      for (const { resource } of feed.entries()) decodeWaypointResource(feed.kind, resource.value);
    const http = of('HttpRoute')?.get('VirtualService/shop/cart');
    const streams = [...(of('StreamRoute')?.all() ?? [])].filter(({ name }) =>
      name.startsWith('VirtualService/shop/cart'),
    );
    // Whatever it says, its service is never as if it were not there.
    expect(http !== undefined || streams.length > 0).toBe(true);
    const route = http && decodeWaypointResource('HttpRoute', http.value);
    if (route && route.unreadable !== '') count.refusing += 1;
    else if (route) count.http += 1;
    count.streams += streams.length;
    expect(of('DestinationPolicy')?.get('DestinationRule/shop/cart')).toBeDefined();
    count.destinations += 1;
    count.telemetries += of('Telemetry')?.size ?? 0;
  }
  expect(mesh.errors).toEqual([]);
  expect(Math.min(...Object.values(count))).toBeGreaterThan(ROUNDS / 50);
});
