import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import type { FeedChange } from '@ambit/xds/resource-feed';
import { stringify } from 'yaml';
import type { MeshSettings } from './translate/settings.ts';
import { TestMesh } from './testing/mesh-from-yaml.ts';

const TESTDATA = new URL('./translate/testdata/', import.meta.url);

/** Other settings than the defaults, by name of the file. */
const SETTINGS: Readonly<Record<string, Partial<MeshSettings>>> = {
  'l7-policies-as-istio': { l7WithoutWaypoint: 'istio' },
  'allowed-waypoints': { autoAllowWaypoints: true },
};

describe('what a user writes, and what becomes of it', () => {
  const names = readdirSync(TESTDATA)
    .filter((name) => name.endsWith('.in.yaml'))
    .map((name) => name.slice(0, -'.in.yaml'.length));

  test.each(names)('%s', (name) => {
    const mesh = new TestMesh(SETTINGS[name] ?? {});
    mesh.apply(readFileSync(new URL(`${name}.in.yaml`, TESTDATA), 'utf8'));
    expect(mesh.errors).toEqual([]);
    const golden = new URL(`${name}.out.yaml`, TESTDATA);
    const text = stringify(mesh.results(), { lineWidth: 0, aliasDuplicateObjects: false });
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(golden, text);
    expect(text).toBe(readFileSync(golden, 'utf8'));
  });
});

const pod = (name: string, ip: string, more = '') => `
kind: Pod
metadata: {namespace: shop, name: ${name}, labels: {app: ${name}}${more}}
spec: {nodeName: n1, serviceAccountName: ${name}}
status: {phase: Running, podIPs: [{ip: ${ip}}], conditions: [{type: Ready, status: "True"}]}
`;
const service = (name: string, ip: string) => `
kind: Service
metadata: {namespace: shop, name: ${name}}
spec: {clusterIPs: [${ip}], selector: {app: ${name}}, ports: [{port: 80, targetPort: 8080}]}
`;

describe('feeds', () => {
  const setUp = () => {
    const mesh = new TestMesh();
    mesh.apply([pod('a', '10.0.0.1'), pod('b', '10.0.0.2'), service('a', '10.1.0.1')].join('---'));
    const changes: FeedChange[] = [];
    mesh.graph.addressFeed.subscribe((change) => changes.push(change));
    const names = (key: string) => mesh.graph.addressFeed.resolve(key).map(({ name }) => name);
    return { mesh, changes, names };
  };

  test('a key is found by name and by address, and a service brings its workloads', () => {
    const { names } = setUp();
    expect(names('Kubernetes//Pod/shop/a')).toEqual(['Kubernetes//Pod/shop/a']);
    expect(names('/10.0.0.2')).toEqual(['Kubernetes//Pod/shop/b']);
    const both = ['shop/a.shop.svc.cluster.local', 'Kubernetes//Pod/shop/a'];
    expect(names('/10.1.0.1')).toEqual(both);
    expect(names('shop/a.shop.svc.cluster.local')).toEqual(both);
    expect(names('/10.9.9.9')).toEqual([]);
  });

  test('a node gets its own workloads', () => {
    const { mesh } = setUp();
    const residents = mesh.graph.addressFeed.residents({ id: '', metadata: { NODE_NAME: 'n1' } });
    expect(residents.map(({ name }) => name).sort()).toEqual([
      'Kubernetes//Pod/shop/a',
      'Kubernetes//Pod/shop/b',
    ]);
    expect(mesh.graph.addressFeed.residents({ id: '', metadata: {} })).toEqual([]);
  });

  test('one change is told once, by the names it concerns', () => {
    const { mesh, changes } = setUp();
    mesh.apply(pod('b', '10.0.0.3'));
    expect(changes).toEqual([{ changed: ['Kubernetes//Pod/shop/b'], removed: [] }]);
  });

  test('what does not change a resource is not told', () => {
    const { mesh, changes } = setUp();
    mesh.apply(pod('b', '10.0.0.2', ', annotations: {checked: "yes"}'));
    mesh.apply('kind: Node\nmetadata: {name: n1, annotations: {beat: "2"}}');
    expect(changes).toEqual([]);
  });

  test('a pod that ended is removed, though its object is still there', () => {
    const { mesh, changes } = setUp();
    mesh.apply(pod('b', '10.0.0.2').replace('Running', 'Succeeded'));
    expect(changes).toEqual([{ changed: [], removed: ['Kubernetes//Pod/shop/b'] }]);
  });

  test('a policy with a selector is told with the workloads that name it', () => {
    const { mesh, changes } = setUp();
    const policies: FeedChange[] = [];
    mesh.graph.authorizationFeed.subscribe((change) => policies.push(change));
    mesh.apply(`
kind: AuthorizationPolicy
metadata: {namespace: shop, name: p}
spec: {selector: {matchLabels: {app: a}}}
`);
    expect(policies).toEqual([{ changed: ['shop/p'], removed: [] }]);
    // The workload that names it is told a moment later.
    expect(changes).toEqual([]);
    mesh.runLater();
    expect(changes).toEqual([{ changed: ['Kubernetes//Pod/shop/a'], removed: [] }]);
    mesh.delete('AuthorizationPolicy', 'shop/p');
    // And here the workload is first; the policy goes when nobody can be naming it any more.
    mesh.runLater(10);
    expect(changes).toHaveLength(2);
    expect(policies).toHaveLength(1);
    mesh.runLater();
    expect(policies.at(-1)).toEqual({ changed: [], removed: ['shop/p'] });
  });

  test('a policy that is back before it was withdrawn stays; one of a namespace goes at once', () => {
    const { mesh } = setUp();
    const policies: FeedChange[] = [];
    mesh.graph.authorizationFeed.subscribe((change) => policies.push(change));
    const selecting = 'kind: AuthorizationPolicy\nmetadata: {namespace: shop, name: p}\nspec: {selector: {}}';
    mesh.apply(selecting);
    mesh.delete('AuthorizationPolicy', 'shop/p');
    mesh.apply(selecting);
    mesh.runLater();
    mesh.apply('kind: AuthorizationPolicy\nmetadata: {namespace: shop, name: wide}\nspec: {}');
    mesh.delete('AuthorizationPolicy', 'shop/wide');
    expect(policies.slice(-2)).toEqual([
      { changed: ['shop/wide'], removed: [] },
      { changed: [], removed: ['shop/wide'] },
    ]);
    expect(policies.flatMap(({ removed }) => removed)).toEqual(['shop/wide']);
  });

  test('versions depend on content alone', () => {
    const [first, second] = [setUp().mesh, setUp().mesh];
    const versions = (mesh: TestMesh) => [...mesh.graph.addressFeed.all()].map(({ version }) => version);
    expect(versions(first)).toEqual(versions(second));
    expect(versions(first)[0]).toMatch(/^[0-9a-f]{16}$/);
  });
});
