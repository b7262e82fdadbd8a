/** Routes that nobody should have stored: nothing throws, waypoints can read all that comes of them, nothing opens. */
import { expect, test } from '@jest/globals';
import { decodeWaypointResource } from '@ambit/api/waypoint';
import type { KubeObject } from '@ambit/kube/resource';
import { TestMesh } from '../../testing/mesh-from-yaml.ts';
import { below, JUNK, mutated } from '../../testing/mutate.ts';

const ROUNDS = 3_000;
const WORLD = `
kind: Gateway
metadata: {namespace: shop, name: waypoint}
status: {addresses: [{type: Hostname, value: waypoint.shop.svc.cluster.local}]}
---
kind: Service
metadata: {namespace: shop, name: cart, labels: {istio.io/use-waypoint: waypoint}}
spec: {clusterIPs: [10.1.0.1], ports: [{name: http, port: 80}]}
`;
const parentRefs = [{ group: '', kind: 'Service', name: 'cart', port: 80 }];
const backendRefs = [{ name: 'cart', port: 80, weight: 2, filters: [] }];
const HTTP = {
  parentRefs,
  hostnames: ['a.example.com'],
  rules: [
    {
      name: 'a',
      matches: [
        {
          path: { type: 'PathPrefix', value: '/a' },
          method: 'GET',
          headers: [{ type: 'Exact', name: 'a', value: 'b' }],
          queryParams: [{ name: 'a', value: 'b' }],
        },
      ],
      filters: [
        {
          type: 'RequestHeaderModifier',
          requestHeaderModifier: { set: [{ name: 'a', value: 'b' }], remove: ['c'] },
        },
        {
          type: 'URLRewrite',
          urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/b' } },
        },
        { type: 'RequestMirror', requestMirror: { backendRef: { name: 'cart', port: 80 }, percent: 5 } },
        { type: 'CORS', cors: { allowOrigins: ['https://*.a'], allowMethods: ['GET'], maxAge: 5 } },
      ],
      backendRefs,
      timeouts: { request: '1s', backendRequest: '500ms' },
      retry: { codes: [503], attempts: 2, backoff: '1s' },
      sessionPersistence: {
        sessionName: 's',
        absoluteTimeout: '1h',
        type: 'Cookie',
        cookieConfig: { lifetimeType: 'Session' },
      },
    },
  ],
};
const SPECS = {
  HTTPRoute: HTTP,
  GRPCRoute: {
    parentRefs,
    rules: [
      {
        matches: [{ method: { service: 'a', method: 'b' }, headers: [{ name: 'a', value: 'b' }] }],
        backendRefs,
      },
    ],
  },
  TCPRoute: { parentRefs, rules: [{ name: 'a', backendRefs: [{ name: 'cart', port: 80 }] }] },
  TLSRoute: { parentRefs, hostnames: ['a.b'], rules: [{ backendRefs: [{ name: 'cart', port: 80 }] }] },
} as const;

test(`${ROUNDS} mutated routes`, () => {
  const next = below(17);
  const mesh = new TestMesh();
  mesh.apply(WORLD);
  const feeds = mesh.graph.waypointFeeds;
  let sent = 0;
  let refused = 0;
  for (let i = 0; i < ROUNDS; i++) {
    for (const [kind, whole] of Object.entries(SPECS)) {
      const spec = next(20) === 0 ? JUNK[next(JUNK.length)] : mutated(whole, next);
      const object = { kind, metadata: { namespace: 'shop', name: `r${i % 5}` }, spec } as KubeObject;
      mesh.set(object);
    }
    mesh.scheduler.flush();
    for (const feed of feeds)
      for (const { resource } of feed.entries()) {
        const read = decodeWaypointResource(feed.kind, resource.value);
        sent += 1;
        if ('rules' in read && 'unreadable' in read && read.unreadable !== '') {
          refused += 1;
          expect(read.rules).toEqual([]);
        }
      }
  }
  expect(mesh.errors).toEqual([]);
  // Both were there in plenty.
  expect(sent).toBeGreaterThan(ROUNDS);
  expect(refused).toBeGreaterThan(ROUNDS / 50);
});
