import { describe, expect, test } from '@jest/globals';
import { MAX_WAYPOINT_RESOURCE_BYTES } from '@ambit/api/limits';
import { decodeWaypointResource } from '@ambit/api/waypoint';
import type { KubeObject } from '@ambit/kube/resource';
import { TestMesh } from '../testing/mesh-from-yaml.ts';
import { waypointResource } from './encode.ts';

/** As long as a namespace's name may be: what names its accounts in short is spelled out with it. */
const TENANT = 't'.repeat(63);
const WORLD = `
kind: Namespace
metadata: {name: ${TENANT}, labels: {istio.io/use-waypoint: shared, istio.io/use-waypoint-namespace: infra}}
---
kind: Gateway
metadata: {namespace: infra, name: shared}
spec: {listeners: [{name: mesh, port: 15008, protocol: HBONE, allowedRoutes: {namespaces: {from: All}}}]}
status: {addresses: [{type: Hostname, value: shared.infra.svc.cluster.local}]}
---
kind: Service
metadata: {namespace: ${TENANT}, name: cart}
spec: {clusterIPs: [10.1.0.1], ports: [{port: 80}]}
`;
const service = { namespace: TENANT, hostname: `cart.${TENANT}.svc.cluster.local`, port: 0 };

function sent<K extends 'AuthorizationPolicy' | 'HttpRoute'>(mesh: TestMesh, kind: K, name: string) {
  const found = mesh.graph.waypointFeeds
    .find((feed) => feed.kind === kind)
    ?.views.open('infra/shared')
    .get(name);
  return decodeWaypointResource(kind, found?.value ?? Buffer.from([0xff]));
}

describe('what is longer than waypoints read', () => {
  test('a policy refuses what it is for, and nothing else', () => {
    const mesh = new TestMesh();
    mesh.apply(WORLD);
    const serviceAccounts = Array.from({ length: 16 }, (_, i) => `a${i}`);
    const from = Array.from({ length: 12 }, () => ({ source: { serviceAccounts } }));
    const spec = {
      targetRefs: [{ group: '', kind: 'Service', name: 'cart' }],
      rules: Array.from({ length: 500 }, () => ({ from })),
    };
    mesh.set({
      kind: 'AuthorizationPolicy',
      metadata: { namespace: TENANT, name: 'p' },
      spec,
    } as KubeObject);
    mesh.scheduler.flush();
    const { targets, unreadable, rules } = sent(mesh, 'AuthorizationPolicy', `${TENANT}/p`);
    expect(targets).toEqual([{ kind: { $case: 'service', value: service } }]);
    expect(unreadable).toMatch(/^[0-9]+ bytes where waypoints read 4194304$/);
    expect(rules).toEqual([]);
    expect(mesh.graph.conditions.ofPoliciesAtWaypoints.get(`${TENANT}/p`)).toMatchObject([
      {
        type: 'WaypointAccepted',
        isTrue: false,
        reason: 'Invalid',
        message: `the policy is invalid: ${unreadable}`,
      },
    ]);
  });

  test('a route refuses what it is for', () => {
    const mesh = new TestMesh();
    mesh.apply(WORLD);
    const headers = Array.from({ length: 16 }, (_, i) => ({ name: `x-${i}`, value: 'v'.repeat(4_096) }));
    const rule = { matches: Array.from({ length: 8 }, () => ({ headers })) };
    mesh.set({
      kind: 'HTTPRoute',
      metadata: { namespace: TENANT, name: 'r' },
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: 'cart' }],
        rules: Array.from({ length: 16 }, () => rule),
      },
    } as KubeObject);
    mesh.scheduler.flush();
    const { parents, unreadable } = sent(mesh, 'HttpRoute', `HTTPRoute/${TENANT}/r`);
    expect(parents).toEqual([service]);
    expect(unreadable).toMatch(/bytes where waypoints read/);
    const [parent] = mesh.graph.routeStatuses.HTTPRoute.get(`${TENANT}/r`) ?? [];
    expect(parent?.conditions[0]).toMatchObject({
      isTrue: false,
      reason: 'UnsupportedValue',
      message: expect.stringContaining(unreadable),
    });
  });
});

test('settings that are longer than waypoints read are not taken for none', () => {
  const trustDomainAliases = ['x'.repeat(MAX_WAYPOINT_RESOURCE_BYTES)];
  const fields = { rootNamespace: 'istio-system', trustDomainAliases };
  const { value } = waypointResource('MeshSettings', 'default', fields);
  expect(() => decodeWaypointResource('MeshSettings', value)).toThrow();
});

test('a policy of as many hosts as can be named is read', () => {
  const mesh = new TestMesh();
  mesh.apply(WORLD);
  const names = Array.from({ length: 16 }, (_, i) => `entry-${i}`);
  for (const name of names) {
    const hosts = Array.from({ length: 256 }, (_, i) => `h${i}.${name}.example.com`);
    mesh.set({
      kind: 'ServiceEntry',
      metadata: { namespace: TENANT, name },
      spec: { hosts, ports: [{ number: 443, name: 'tls', protocol: 'TLS' }], resolution: 'DNS' },
    } as KubeObject);
  }
  const targetRefs = names.map((name) => ({ group: 'networking.istio.io', kind: 'ServiceEntry', name }));
  mesh.set({
    kind: 'AuthorizationPolicy',
    metadata: { namespace: TENANT, name: 'p' },
    spec: { targetRefs },
  } as KubeObject);
  mesh.scheduler.flush();
  const { targets, unreadable } = sent(mesh, 'AuthorizationPolicy', `${TENANT}/p`);
  expect([targets.length, unreadable]).toEqual([4_096, '']);
});
