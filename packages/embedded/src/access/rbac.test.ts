import { describe, expect, test } from '@jest/globals';
import type { JsonObject } from '../json.ts';
import { ObjectStore } from '../storage/store.ts';
import { authorize, beyond, type ResourceAttributes, type Rule, ruleAllows } from './rbac.ts';
import type { User } from './user.ts';

const user = (name: string, ...groups: string[]): User => ({ name, uid: '', groups, extra: {} });
const ask = (over: Partial<ResourceAttributes>): ResourceAttributes => ({
  kind: 'resource',
  verb: 'get',
  group: '',
  resource: 'pods',
  subresource: '',
  namespace: 'shop',
  name: '',
  ...over,
});
const rule = (over: Partial<Rule>): Rule => ({
  verbs: ['get'],
  apiGroups: [''],
  resources: ['pods'],
  resourceNames: [],
  nonResourceURLs: [],
  ...over,
});

describe('ruleAllows', () => {
  test.each<[string, Partial<Rule>, Partial<ResourceAttributes>, boolean]>([
    ['the very thing', {}, {}, true],
    ['another verb', {}, { verb: 'list' }, false],
    ['any verb', { verbs: ['*'] }, { verb: 'list' }, true],
    ['another group', {}, { group: 'apps' }, false],
    ['a subresource needs its own rule', {}, { subresource: 'log' }, false],
    ['a subresource by name', { resources: ['pods/log'] }, { subresource: 'log' }, true],
    ['a subresource of anything', { resources: ['*/log'] }, { subresource: 'log' }, true],
    ['anything includes subresources', { resources: ['*'] }, { subresource: 'log' }, true],
    ['a name', { resourceNames: ['a'] }, { name: 'a' }, true],
    ['another name', { resourceNames: ['a'] }, { name: 'b' }, false],
    ['a name does not allow a list', { verbs: ['list'], resourceNames: ['a'] }, { verb: 'list' }, false],
  ])('%s', (_, given, asked, want) => expect(ruleAllows(rule(given), ask(asked))).toBe(want));

  test('paths match exactly, or by a prefix with a star', () => {
    const path = (asked: string) =>
      ruleAllows(rule({ nonResourceURLs: ['/a', '/b/*'] }), { kind: 'path', verb: 'get', path: asked });
    expect([path('/a'), path('/a/x'), path('/b/x'), path('/c')]).toEqual([true, false, true, false]);
  });
});

describe('authorize', () => {
  const RBAC = 'rbac.authorization.k8s.io';
  const store = new ObjectStore({ revision: 0, objects: [] });
  const put = (plural: string, key: string, object: JsonObject) =>
    store.put(`${plural}.${RBAC}`, key, {
      ...object,
      metadata: { name: key.split('/').at(-1) ?? '', uid: plural + key },
    });
  put('roles', 'shop/reader', { rules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }] });
  put('clusterroles', 'lister', { rules: [{ verbs: ['list'], apiGroups: [''], resources: ['pods'] }] });
  put('rolebindings', 'shop/b', {
    roleRef: { kind: 'Role', name: 'reader' },
    subjects: [
      { kind: 'ServiceAccount', name: 'app', namespace: 'shop' },
      { kind: 'User', name: 'ann' },
    ],
  });
  put('rolebindings', 'shop/c', {
    roleRef: { kind: 'ClusterRole', name: 'lister' },
    subjects: [{ kind: 'Group', name: 'team' }],
  });
  put('clusterrolebindings', 'all', {
    roleRef: { kind: 'ClusterRole', name: 'lister' },
    subjects: [{ kind: 'User', name: 'bob' }],
  });
  const may = (who: User, asked: Partial<ResourceAttributes>) => authorize(store, who, ask(asked)).allowed;

  test.each<[string, User, Partial<ResourceAttributes>, boolean]>([
    ['a service account by a Role', user('system:serviceaccount:shop:app'), {}, true],
    ['the same name in another namespace', user('system:serviceaccount:other:app'), {}, false],
    ['a Role is of its namespace alone', user('ann'), { namespace: 'other' }, false],
    ['a Role says nothing of the whole cluster', user('ann'), { namespace: '' }, false],
    ['a ClusterRole bound in a namespace holds there', user('x', 'team'), { verb: 'list' }, true],
    ['and nowhere else', user('x', 'team'), { verb: 'list', namespace: 'other' }, false],
    ['a ClusterRoleBinding holds everywhere', user('bob'), { verb: 'list', namespace: '' }, true],
    ['nobody else may', user('eve'), {}, false],
    ['masters may all', user('root', 'system:masters'), { verb: 'delete', resource: 'nodes' }, true],
  ])('%s', (_, who, asked, want) => expect(may(who, asked)).toBe(want));

  test('the reason names the binding', () =>
    expect(authorize(store, user('ann'), ask({})).reason).toBe(
      'RBAC: allowed by RoleBinding "b" of Role "reader"',
    ));
});

test('one may hand on only what one has', () => {
  const own = [rule({ verbs: ['get', 'list'] }), rule({ resources: ['secrets'], resourceNames: ['a'] })];
  expect(beyond(own, [rule({ verbs: ['list'] })])).toEqual([]);
  expect(beyond(own, [rule({ resources: ['secrets'], resourceNames: ['a'] })])).toEqual([]);
  expect(beyond(own, [rule({ resources: ['secrets'] })])).toHaveLength(1);
  expect(beyond(own, [rule({ verbs: ['*'] })])).toHaveLength(1);
  expect(
    beyond([rule({ verbs: ['*'], apiGroups: ['*'], resources: ['*'] })], [rule({ verbs: ['*'] })]),
  ).toEqual([]);
});
