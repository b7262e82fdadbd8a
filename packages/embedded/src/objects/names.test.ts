import { describe, expect, test } from '@jest/globals';
import { compareVersions } from '../http/discovery.ts';
import { requestInfo, verbOf } from '../http/request-info.ts';
import { ResourceRegistry } from '../kinds/registry.ts';
import { storageKeyOf } from '../kinds/resource.ts';
import { FieldSet, fieldsOf } from '../patch/field-set.ts';
import { builtinSchema } from '../schema/builtin-schema.ts';
import { generatedName, nameProblem } from './names.ts';

const registry = new ResourceRegistry();

describe('names', () => {
  test.each<[string, string, string, boolean]>([
    ['', 'pods', 'a.b-c', true],
    ['', 'pods', 'A', false],
    ['', 'pods', '-a', false],
    ['', 'pods', 'a'.repeat(254), false],
    ['', 'namespaces', 'a.b', false],
    ['', 'namespaces', '1a', true],
    ['', 'services', '1a', false],
    ['', 'services', 'a1', true],
    ['rbac.authorization.k8s.io', 'clusterroles', 'system:node', true],
    ['rbac.authorization.k8s.io', 'clusterroles', 'a/b', false],
    ['rbac.authorization.k8s.io', 'clusterroles', '..', false],
  ])('%s %s may be called %s: %s', (group, plural, name, want) => {
    const resource = registry.get(group, 'v1', plural);
    if (!resource) throw new Error(plural);
    expect(nameProblem(resource, name) === undefined).toBe(want);
  });

  test('a generated name keeps within 63 characters', () => {
    expect(generatedName('x'.repeat(80), () => 0)).toBe(`${'x'.repeat(58)}bbbbb`);
  });
});

describe('paths', () => {
  const info = (path: string) => {
    const read = requestInfo(registry, path);
    return read.kind === 'path'
      ? read.path
      : [storageKeyOf(read.resource), read.namespace, read.name, read.subresource];
  };
  test.each<[string, unknown]>([
    ['/api/v1/namespaces', ['namespaces', '', '', '']],
    ['/api/v1/namespaces/a', ['namespaces', '', 'a', '']],
    ['/api/v1/namespaces/a/finalize', ['namespaces', '', 'a', 'finalize']],
    ['/api/v1/namespaces/a/pods', ['pods', 'a', '', '']],
    ['/api/v1/namespaces/a/pods/b/log', ['pods', 'a', 'b', 'log']],
    ['/api/v1/pods', ['pods', '', '', '']],
    ['/apis/apps/v1/namespaces/a/deployments/b/scale', ['deployments.apps', 'a', 'b', 'scale']],
    ['/apis/apps/v1', '/apis/apps/v1'],
    ['/version', '/version'],
  ])('%s', (path, want) => expect(info(path)).toEqual(want));

  test.each(['/api/v1/nonsense', '/apis/apps/v2/deployments', '/api/v1/namespaces/a/nodes/b'])(
    '%s is not there',
    (path) => expect(() => info(path)).toThrow('could not find the requested resource'),
  );

  test('verbs are those of roles', () => {
    const verb = (method: string, path: string, query = '') =>
      verbOf(method, requestInfo(registry, path), new URLSearchParams(query));
    expect([
      verb('GET', '/api/v1/pods'),
      verb('GET', '/api/v1/pods', 'watch=true'),
      verb('GET', '/api/v1/namespaces/a/pods/b'),
      verb('DELETE', '/api/v1/namespaces/a/pods'),
      verb('PATCH', '/api/v1/namespaces/a/pods/b'),
      verb('GET', '/version'),
    ]).toEqual(['list', 'watch', 'get', 'deletecollection', 'patch', 'get']);
  });
});

test('versions are preferred as Kubernetes prefers them', () => {
  const versions = ['v1beta1', 'v2', 'other', 'v1alpha1', 'v1', 'v1beta2', 'v10'];
  expect(versions.toSorted(compareVersions)).toEqual([
    'v10',
    'v2',
    'v1',
    'v1beta2',
    'v1beta1',
    'v1alpha1',
    'other',
  ]);
});

test('sets of fields are what they were after JSON, and add and subtract', () => {
  const pod = builtinSchema('io.k8s.api.core.v1.Pod');
  const set = fieldsOf(pod, {
    metadata: { labels: { a: '1' }, finalizers: ['x/y'] },
    spec: { containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80 }] }], nodeSelector: {} },
  });
  const json = set.toJson();
  expect(json).toEqual({
    'f:metadata': { 'f:labels': { 'f:a': {} }, 'f:finalizers': { 'v:"x/y"': {} } },
    'f:spec': {
      'f:containers': {
        'k:{"name":"c"}': {
          '.': {},
          'f:image': {},
          'f:name': {},
          'f:ports': { 'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} } },
        },
      },
      'f:nodeSelector': {},
    },
  });
  expect(FieldSet.fromJson(json).toJson()).toEqual(json);
  expect(set.without(set).isEmpty()).toBe(true);
  expect(set.intersection(set).toJson()).toEqual(json);
  expect(set.union(FieldSet.EMPTY).toJson()).toEqual(json);
});
