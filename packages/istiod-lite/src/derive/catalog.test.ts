/** What objects of one namespace may name of another. */
import { describe, expect, test } from '@jest/globals';
import { decodeWaypointResource, type HttpBackend, type StreamBackend } from '@ambit/api/waypoint';
import { TestMesh } from '../testing/mesh-from-yaml.ts';

const WORLD = `
kind: ConfigMap
metadata: {namespace: istio-system, name: istio}
data: {mesh: "serviceEntryVisibility: {defaultVisibility: NAMESPACE}"}
---
kind: Namespace
metadata: {name: shop, labels: {istio.io/use-waypoint: w}}
---
kind: Namespace
metadata: {name: bank, labels: {istio.io/use-waypoint: w}}
---
kind: Gateway
metadata: {namespace: shop, name: w}
status: {addresses: [{type: Hostname, value: w.shop.svc.cluster.local}]}
---
kind: Gateway
metadata: {namespace: bank, name: w}
status: {addresses: [{type: Hostname, value: w.bank.svc.cluster.local}]}
---
kind: Service
metadata: {namespace: shop, name: cart}
spec: {clusterIPs: [10.1.0.1], ports: [{port: 80}]}
---
kind: Service
metadata: {namespace: bank, name: till}
spec: {clusterIPs: [10.1.0.2], ports: [{port: 80}]}
---
kind: ServiceEntry
metadata: {namespace: bank, name: db}
spec: {hosts: [db.example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 192.0.2.1}]}
`;

function setUp(yaml: string) {
  const mesh = new TestMesh();
  mesh.apply(WORLD);
  mesh.apply(yaml);
  /** Hostnames of the backends in all that a waypoint is sent. */
  const backends = (waypoint: string) =>
    mesh.graph.waypointFeeds
      .flatMap((feed) => [...feed.views.open(waypoint).all()].map(({ value }) => ({ feed, value })))
      .flatMap(({ feed: { kind }, value }) => {
        if (kind !== 'HttpRoute' && kind !== 'StreamRoute') return [];
        const rules: readonly { readonly backends: readonly (HttpBackend | StreamBackend)[] }[] =
          decodeWaypointResource(kind, value).rules;
        return rules.flatMap((rule) => rule.backends);
      })
      .map(({ target }) => (target?.$case === 'service' ? target.value.hostname : target?.$case));
  return { mesh, backends };
}

const route = (kind: string, namespace: string, service: string, backend: string) => `
kind: ${kind}
metadata: {namespace: ${namespace}, name: ${kind.toLowerCase()}}
spec: {parentRefs: [{group: "", kind: Service, name: ${service}}], rules: [{backendRefs: [${backend}]}]}
`;
const byHostname = '{group: networking.istio.io, kind: Hostname, name: db.example.com, port: 80}';
const byObject = '{group: networking.istio.io, kind: ServiceEntry, namespace: bank, name: db, port: 80}';
const virtualService = (namespace: string, host: string) => `
kind: VirtualService
metadata: {namespace: ${namespace}, name: vs}
spec: {hosts: [${host}], http: [{route: [{destination: {host: db.example.com}}]}]}
`;

describe('a ServiceEntry that only its namespace may see', () => {
  test.each([
    ['an HTTPRoute, by hostname', route('HTTPRoute', 'shop', 'cart', byHostname), 'status'],
    ['an HTTPRoute, by object', route('HTTPRoute', 'shop', 'cart', byObject), 'status'],
    ['a TCPRoute', route('TCPRoute', 'shop', 'cart', byObject), 'closed'],
    ['a VirtualService', virtualService('shop', 'cart'), 'status'],
  ])('is nowhere for %s of another namespace', (_, yaml, refusal) => {
    expect(setUp(yaml).backends('shop/w')).toEqual([refusal]);
  });

  test.each([
    ['an HTTPRoute', route('HTTPRoute', 'bank', 'till', byHostname)],
    ['a VirtualService', virtualService('bank', 'till')],
  ])('is there for %s of its own', (_, yaml) => {
    expect(setUp(yaml).backends('bank/w')).toEqual(['db.example.com']);
  });

  test('takes no routes from elsewhere', () => {
    const { mesh } = setUp(`
kind: HTTPRoute
metadata: {namespace: shop, name: r}
spec: {parentRefs: [{group: networking.istio.io, kind: ServiceEntry, namespace: bank, name: db}], rules: [{}]}
`);
    const [parent] = mesh.graph.routeStatuses.HTTPRoute.get('shop/r') ?? [];
    expect(parent?.conditions[0]).toMatchObject({ isTrue: false, reason: 'NoMatchingParent' });
  });
});

describe('a VirtualService that others delegate to', () => {
  const delegate = (exportTo: string) => `
kind: VirtualService
metadata: {namespace: bank, name: part}
spec: {${exportTo}http: [{route: [{destination: {host: till}}]}]}
---
kind: VirtualService
metadata: {namespace: shop, name: vs}
spec: {hosts: [cart], http: [{delegate: {namespace: bank, name: part}}]}
`;

  test.each([
    ['says nothing of whom it is for', '', ['till.bank.svc.cluster.local']],
    ['is exported there', 'exportTo: [shop], ', ['till.bank.svc.cluster.local']],
    ['is for its own namespace', 'exportTo: ["."], ', []],
    ['is for another namespace', 'exportTo: [other], ', []],
  ])('%s', (_, exportTo, want) => {
    const { mesh, backends } = setUp(delegate(exportTo));
    expect(backends('shop/w')).toEqual(want);
    const feed = mesh.graph.waypointFeeds.find(({ kind }) => kind === 'HttpRoute');
    const sent = feed?.views.open('shop/w').get('VirtualService/shop/vs')?.value;
    const [rule] = decodeWaypointResource('HttpRoute', sent ?? Buffer.from([0xff])).rules;
    expect(rule?.unreadable).toBe(want.length > 0 ? '' : 'delegate bank/part was not found');
  });
});
