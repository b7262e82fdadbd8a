import { describe, expect, test } from '@jest/globals';
import { decodeAddress, Visibility } from '@ambit/api/workload';
import { TestMesh } from '../testing/mesh-from-yaml.ts';
import { meshConfigName, widening } from './mesh-config.ts';
import { readMeshConfig } from './read.ts';

const namespace = (name: string, labels = '{}') => `
kind: Namespace
metadata: {name: ${name}, labels: ${labels}}
`;
const meshConfig = (text: string) => `
kind: ConfigMap
metadata: {namespace: istio-system, name: istio}
data: {mesh: '${text}'}
`;
const contents = (ns: string) => `
kind: Pod
metadata: {namespace: ${ns}, name: p, labels: {app: p}}
spec: {nodeName: n1}
status: {podIPs: [{ip: 10.0.0.${ns.length}}], conditions: [{type: Ready, status: "True"}]}
---
kind: Service
metadata: {namespace: ${ns}, name: s}
spec: {clusterIPs: [10.1.0.${ns.length}], selector: {app: p}, ports: [{port: 80}]}
---
kind: ServiceEntry
metadata: {namespace: ${ns}, name: e}
spec: {hosts: [${ns}.example.com], addresses: [192.0.2.${ns.length}], ports: [{number: 80, name: http}], resolution: DNS}
---
kind: WorkloadEntry
metadata: {namespace: ${ns}, name: w}
spec: {address: 192.0.3.${ns.length}}
---
kind: AuthorizationPolicy
metadata: {namespace: ${ns}, name: a}
spec: {}
`;
const SELECT = 'discoverySelectors: [{matchLabels: {mesh: "yes"}}]';

/** Namespaces of all that is served. */
const served = (mesh: TestMesh) => {
  const addresses = [...mesh.graph.addressFeed.all()].map(
    ({ value }) => decodeAddress(value).type?.value.namespace ?? '',
  );
  const policies = [...mesh.graph.authorizationFeed.all()].map(({ name }) => name.split('/')[0] ?? '');
  const count = new Map<string, number>();
  for (const name of [...addresses, ...policies]) count.set(name, (count.get(name) ?? 0) + 1);
  return Object.fromEntries(count);
};
const ALL = 6;

describe('discovery selectors', () => {
  test('without them nothing depends on namespaces, which may come later than what is in them', () => {
    const mesh = new TestMesh();
    mesh.apply(contents('shop'));
    expect(served(mesh)).toEqual({ shop: ALL });
    expect([...mesh.graph.inputs.discoveredNamespaces.keys()]).toEqual([]);
    mesh.apply(namespace('shop'));
    expect([...mesh.graph.inputs.discoveredNamespaces.keys()]).toEqual(['shop']);
  });

  test('a namespace that comes to be accepted, or no longer is, is as if its objects came or went', () => {
    const mesh = new TestMesh();
    mesh.apply(
      [
        meshConfig(SELECT),
        namespace('in', '{mesh: "yes"}'),
        namespace('out'),
        contents('in'),
        contents('out'),
      ].join('---'),
    );
    expect(served(mesh)).toEqual({ in: ALL });
    expect([...mesh.graph.inputs.discoveredNamespaces.keys()]).toEqual(['in']);
    const removed: string[] = [];
    mesh.graph.addressFeed.subscribe((change) => removed.push(...change.removed));
    mesh.apply(namespace('out', '{mesh: "yes"}'));
    expect(served(mesh)).toEqual({ in: ALL, out: ALL });
    mesh.apply(namespace('in'));
    mesh.runLater();
    expect(served(mesh)).toEqual({ out: ALL });
    expect([...mesh.graph.inputs.discoveredNamespaces.keys()]).toEqual(['out']);
    expect(removed).toHaveLength(ALL - 1);
    mesh.delete('Namespace', 'out');
    expect(served(mesh)).toEqual({});
  });

  test('other selectors, and none any more', () => {
    const mesh = new TestMesh();
    mesh.apply(
      [namespace('a', '{mesh: "yes"}'), namespace('bb', '{env: prod}'), contents('a'), contents('bb')].join(
        '---',
      ),
    );
    expect(served(mesh)).toEqual({ a: ALL, bb: ALL });
    mesh.apply(meshConfig(SELECT));
    expect(served(mesh)).toEqual({ a: ALL });
    mesh.apply(meshConfig('discoverySelectors: [{matchLabels: {env: prod}}]'));
    expect(served(mesh)).toEqual({ bb: ALL });
    mesh.delete('ConfigMap', 'istio-system/istio');
    expect(served(mesh)).toEqual({ a: ALL, bb: ALL });
  });

  test('settings that are wrong are told, and the last good ones stay', () => {
    const mesh = new TestMesh();
    mesh.apply(
      [
        meshConfig(SELECT),
        namespace('in', '{mesh: "yes"}'),
        namespace('out'),
        contents('in'),
        contents('out'),
      ].join('---'),
    );
    mesh.apply(meshConfig('discoverySelectors: [{matchLabel: {a: b}}]'));
    const { problem } = mesh.graph.settings;
    expect(problem.value).toBe('mesh.discoverySelectors[0].matchLabel: is not a known field');
    expect(served(mesh)).toEqual({ in: ALL });
    mesh.apply(contents('in').replaceAll('10.0.0', '10.0.9'));
    expect(served(mesh)).toEqual({ in: ALL });
    mesh.apply(meshConfig(SELECT.replace('yes', 'no')));
    expect([problem.value, served(mesh)]).toEqual([undefined, {}]);
  });

  test('a first text that is wrong is no text', () => {
    const mesh = new TestMesh();
    mesh.apply([meshConfig('discoverySelectors: 5'), namespace('in'), contents('in')].join('---'));
    const { meshConfig: settings, problem } = mesh.graph.settings;
    expect([settings.value, problem.value]).toEqual([
      undefined,
      expect.stringContaining('discoverySelectors'),
    ]);
    mesh.apply(meshConfig('{}'));
    expect([settings.value, problem.value]).toEqual([{}, undefined]);
  });

  test.each([
    ['selectors that go', SELECT, '{}', true],
    ['selectors that accept more', SELECT, 'discoverySelectors: [{}]', false],
    ['none, as before', 'trustDomain: a', '{}', false],
    ['the first', undefined, '{}', false],
  ])('what opens the mesh to every namespace is said: %s', (_, before, after, want) => {
    const read = (text: string | undefined) => (text === undefined ? undefined : readMeshConfig(text));
    expect(widening(read(before), read(after)) !== undefined).toBe(want);
  });

  test('policies of the root namespace count, whether or not it is looked at', () => {
    const mesh = new TestMesh();
    mesh.apply(
      [
        meshConfig(SELECT),
        namespace('istio-system'),
        namespace('in', '{mesh: "yes"}'),
        contents('in'),
        contents('istio-system'),
        'kind: PeerAuthentication\nmetadata: {namespace: istio-system, name: default}\nspec: {mtls: {mode: STRICT}}',
      ].join('---\n'),
    );
    const policies = [...mesh.graph.authorizationFeed.all()].map(({ name }) => name);
    expect(policies.sort()).toEqual(['in/a', 'istio-system/a', 'istio-system/istio_converted_static_strict']);
    expect(served(mesh)).toEqual({ in: ALL, 'istio-system': 2 });
  });

  test('the network is that of the system namespace, whether or not it is looked at', () => {
    const mesh = new TestMesh();
    mesh.apply(
      [
        meshConfig(SELECT),
        namespace('istio-system', '{topology.istio.io/network: n1}'),
        namespace('in', '{mesh: "yes"}'),
        contents('in'),
      ].join('---'),
    );
    expect(mesh.graph.addressFeed.resolve('n1/10.0.0.2').map(({ name }) => name)).toEqual([
      'Kubernetes//Pod/in/p',
    ]);
  });
});

describe('revisions', () => {
  const labelled = (text: string, revision: string) =>
    text.replaceAll(/name: (e|w|a)}/g, `name: $1, labels: {istio.io/rev: ${revision}}}`);
  test.each([
    ['our own', 'canary', 'canary', ALL],
    ['none', 'canary', undefined, ALL],
    // The entry's service and its endpoint, the WorkloadEntry and the policy.
    ['another one', 'canary', 'stable', ALL - 4],
    ['any, for a control plane without one', '', 'stable', ALL],
  ])('%s', (_, own, label, want) => {
    const mesh = new TestMesh({}, own);
    mesh.apply(label === undefined ? contents('shop') : labelled(contents('shop'), label));
    expect(served(mesh)).toEqual({ shop: want });
  });

  test('each has its own settings', () => {
    expect([meshConfigName(''), meshConfigName('default'), meshConfigName('canary')]).toEqual([
      'istio',
      'istio',
      'istio-canary',
    ]);
  });
});

describe('visibility of ServiceEntries', () => {
  const visibilities = (mesh: TestMesh) =>
    Object.fromEntries(
      [...mesh.graph.addressFeed.all()].flatMap(({ value }) => {
        const { type } = decodeAddress(value);
        if (type?.$case !== 'service' || !type.value.hostname.endsWith('example.com')) return [];
        const { hostname, visibility, canonical } = type.value;
        const word = visibility === Visibility.NAMESPACE ? 'namespace' : 'public';
        return [[hostname, `${word}${canonical ? ', canonical' : ''}`]];
      }),
    );

  test('from the labels of their namespace, as they change; none: neither service nor endpoint', () => {
    const mesh = new TestMesh();
    const policy = (visibility: string) =>
      `{visibility: ${visibility}, matchingRules: [{namespaceSelector: {matchLabels: {see: ${visibility.toLowerCase()}}}}]}`;
    mesh.apply(
      [
        meshConfig(`serviceEntryVisibility: {policies: [${policy('NONE')}, ${policy('NAMESPACE')}]}`),
        namespace('a', '{see: none}'),
        namespace('bb', '{see: namespace}'),
        contents('a'),
        contents('bb'),
        contents('ccc'),
      ].join('---'),
    );
    expect(visibilities(mesh)).toEqual({
      'bb.example.com': 'namespace',
      'ccc.example.com': 'public, canonical',
    });
    expect(served(mesh)).toEqual({ a: ALL - 2, bb: ALL, ccc: ALL });
    mesh.apply([namespace('a'), namespace('bb', '{see: none}')].join('---'));
    expect(visibilities(mesh)).toEqual({
      'a.example.com': 'public, canonical',
      'ccc.example.com': 'public, canonical',
    });
  });
});
