import { describe, expect, test } from '@jest/globals';
import { WAYPOINT_RESOURCE_KINDS, type WaypointResourceKind, waypointTypeUrl } from '@ambit/api/waypoint';
import type { FeedChange } from '@ambit/xds/resource-feed';
import { TestMesh } from '../testing/mesh-from-yaml.ts';

const gateway = (name: string) => `
kind: Gateway
metadata: {namespace: shop, name: ${name}}
status: {addresses: [{type: Hostname, value: ${name}.shop.svc.cluster.local}]}
`;
const service = (name: string, waypoint: string) => `
kind: Service
metadata: {namespace: shop, name: ${name}, labels: {istio.io/use-waypoint: ${waypoint}}}
spec: {clusterIPs: [10.1.0.1], ports: [{port: 80}]}
`;
const route = (name: string, parent: string, path = '/') => `
kind: HTTPRoute
metadata: {namespace: shop, name: ${name}}
spec:
  parentRefs: [{group: "", kind: Service, name: ${parent}}]
  rules: [{matches: [{path: {value: ${path}}}], backendRefs: [{name: ${parent}, port: 80}]}]
`;

function setUp(kind: WaypointResourceKind = 'HttpRoute') {
  const mesh = new TestMesh();
  mesh.apply(
    [gateway('one'), gateway('two'), service('a', 'one'), service('b', 'two'), route('a', 'a')].join('---'),
  );
  const feed = mesh.graph.waypointFeeds.find((each) => each.kind === kind);
  if (!feed) throw new Error(`no feed of ${kind}`);
  const open = (waypoint: string) => {
    const view = feed.views.open(waypoint);
    const told: FeedChange[] = [];
    view.subscribe((change) => told.push(change));
    return { view, told, names: () => [...view.all()].map(({ name }) => name) };
  };
  return { mesh, feed, open };
}

describe('what each waypoint is sent', () => {
  test('every type is served, so that a waypoint hears that there is nothing', () => {
    const { mesh } = setUp();
    expect(mesh.graph.waypointFeeds.map(({ typeUrl }) => typeUrl)).toEqual(
      WAYPOINT_RESOURCE_KINDS.map(waypointTypeUrl),
    );
  });

  test('routes of services that are attached to it, and news of those alone', () => {
    const { mesh, open } = setUp();
    const [one, two] = [open('shop/one'), open('shop/two')];
    expect(one.names()).toEqual(['HTTPRoute/shop/a']);
    expect(two.names()).toEqual([]);
    mesh.apply(route('b', 'b'));
    mesh.apply(route('a', 'a', '/new'));
    expect(one.told).toEqual([{ changed: ['HTTPRoute/shop/a'], removed: [] }]);
    expect(two.told).toEqual([{ changed: ['HTTPRoute/shop/b'], removed: [] }]);
    expect(one.view.get('HTTPRoute/shop/b')).toBeUndefined();
    expect(one.view.resolve('HTTPRoute/shop/b')).toEqual([]);
    expect(two.view.resolve('HTTPRoute/shop/b')).toHaveLength(1);
  });

  test('what its user deleted goes at once; what is for another from now on goes a while later', () => {
    const { mesh, open } = setUp();
    const [one, two] = [open('shop/one'), open('shop/two')];
    mesh.apply(service('a', 'two'));
    expect(two.told).toEqual([{ changed: ['HTTPRoute/shop/a'], removed: [] }]);
    expect(one.told).toEqual([]);
    mesh.runLater();
    expect(one.told).toEqual([{ changed: [], removed: ['HTTPRoute/shop/a'] }]);
    mesh.delete('HTTPRoute', 'shop/a');
    expect(two.told.at(-1)).toEqual({ changed: [], removed: ['HTTPRoute/shop/a'] });
  });

  test('a service that is back before that keeps what it had', () => {
    const { mesh, open } = setUp();
    const one = open('shop/one');
    mesh.apply(service('a', 'two'));
    mesh.apply(service('a', 'one'));
    mesh.runLater();
    expect(one.told.flatMap(({ removed }) => removed)).toEqual([]);
    expect(one.names()).toEqual(['HTTPRoute/shop/a']);
  });

  test('a view that was closed hears nothing more', () => {
    const { mesh, open } = setUp();
    const one = open('shop/one');
    mesh.apply(service('a', 'two'));
    one.view[Symbol.dispose]();
    mesh.runLater();
    mesh.apply(route('b', 'a'));
    expect(one.told).toEqual([]);
  });

  test('what concerns no resource is told to nobody', () => {
    const { mesh, open } = setUp();
    const one = open('shop/one');
    mesh.apply(route('a', 'a').replace('name: a}', 'name: a, annotations: {checked: "1"}}'));
    mesh.apply(service('c', 'one'));
    mesh.apply(service('a', 'one').replace('port: 80', 'port: 80}, {port: 81'));
    expect(one.told).toEqual([]);
  });

  test('a client that is no waypoint sees nothing, not even the settings of the mesh', () => {
    const { feed, open } = setUp('MeshSettings');
    expect(open('shop/one').names()).toEqual(['default']);
    const audience = feed.views.audienceOf({ id: 'ztunnel~1~z.istio-system~d', metadata: {} });
    expect(open(audience).names()).toEqual([]);
    const waypoint = { id: 'waypoint~1~w-0.shop~d', metadata: { GATEWAY_NAME: 'one' } };
    expect(feed.views.audienceOf(waypoint)).toBe('shop/one');
  });
});
