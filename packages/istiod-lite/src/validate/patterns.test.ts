import { expect, test } from '@jest/globals';
import type { KubeObject } from '@ambit/kube/resource';
import { decodeWaypointResource } from '@ambit/api/waypoint';
import { MAX_PATTERN_CHARS } from '../limits.ts';
import { TestMesh } from '../testing/mesh-from-yaml.ts';
import { patternsProblem } from './patterns.ts';
import { validateVirtualService } from './virtual-service.ts';

const pattern = 'a?'.repeat(200);
const many = Math.floor(MAX_PATTERN_CHARS / pattern.length) + 1;

test.each([
  ['a match', { match: [{ uri: { regex: pattern } }] }],
  ['a header', { match: [{ headers: { a: { regex: pattern } } }] }],
  ['a rewrite', { rewrite: { uriRegexRewrite: { match: pattern, rewrite: 'x' } } }],
  ['an origin', { corsPolicy: { allowOrigins: [{ regex: pattern }] } }],
])('of a VirtualService: %s', (_, part) => {
  const of = (count: number) => ({
    metadata: { namespace: 'shop', name: 'v' },
    spec: {
      hosts: ['cart'],
      http: Array.from({ length: count }, () => ({ ...part, route: [{ destination: { host: 'cart' } }] })),
    },
  });
  expect(validateVirtualService(of(many - 1)).errors).toEqual([]);
  expect(validateVirtualService(of(many)).errors).toEqual([
    `spec: regular expressions of ${many * pattern.length} characters in all, where at most ${MAX_PATTERN_CHARS} are taken; most are in http`,
  ]);
});

test.each([
  ['a path', { path: { type: 'RegularExpression', value: pattern } }],
  ['a header', { headers: [{ type: 'RegularExpression', name: 'a', value: pattern }] }],
  ['a parameter', { queryParams: [{ type: 'RegularExpression', name: 'a', value: pattern }] }],
])('of an HTTPRoute: %s, and then it refuses its parents', (_, match) => {
  const mesh = new TestMesh();
  mesh.apply(`
kind: Gateway
metadata: {namespace: shop, name: w}
status: {addresses: [{type: Hostname, value: w.shop.svc.cluster.local}]}
---
kind: Service
metadata: {namespace: shop, name: cart, labels: {istio.io/use-waypoint: w}}
spec: {clusterIPs: [10.1.0.1], ports: [{port: 80}]}
`);
  mesh.set({
    kind: 'HTTPRoute',
    metadata: { namespace: 'shop', name: 'r' },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: 'cart' }],
      rules: [{ matches: Array.from({ length: many }, () => match) }],
    },
  } as KubeObject);
  mesh.scheduler.flush();
  const feed = mesh.graph.waypointFeeds.find(({ kind }) => kind === 'HttpRoute');
  const sent = feed?.get('HTTPRoute/shop/r')?.value ?? Buffer.from([0xff]);
  const { unreadable, parents } = decodeWaypointResource('HttpRoute', sent);
  expect([parents.length, unreadable]).toEqual([1, expect.stringContaining('regular expressions of')]);
  const [parent] = mesh.graph.routeStatuses.HTTPRoute.get('shop/r') ?? [];
  expect(parent?.conditions[0]).toMatchObject({ isTrue: false, reason: 'UnsupportedValue' });
});

test('one that has too many is told where, and its status says so', () => {
  const mesh = new TestMesh();
  const route = { route: [{ destination: { host: 'cart' } }] };
  const headers = Object.fromEntries(Array.from({ length: many }, (_, i) => [`a${i}`, { regex: pattern }]));
  mesh.set({
    kind: 'VirtualService',
    metadata: { namespace: 'shop', name: 'v', generation: 3 },
    spec: { hosts: ['cart'], http: [route, { ...route, match: [{ headers }] }] },
  } as KubeObject);
  mesh.scheduler.flush();
  expect(mesh.graph.conditions.ofVirtualServices.get('shop/v')).toEqual([
    {
      type: 'WaypointAccepted',
      isTrue: false,
      reason: 'Invalid',
      message: expect.stringMatching(/ are taken; most are in http\[1\]\.match\[0\]\.headers$/),
      observedGeneration: 3,
    },
  ]);
});

test('what is none does not count', () => {
  const text = 'x'.repeat(MAX_PATTERN_CHARS);
  expect(
    patternsProblem([{ match: [{ uri: { exact: text } }] }, { path: { value: text } }, null, 7]),
  ).toBeUndefined();
});
