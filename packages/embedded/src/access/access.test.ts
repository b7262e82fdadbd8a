import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { type JsonObject, textAt } from '../json.ts';
import { type EmbeddedApi, startEmbeddedApi } from '../server.ts';
import { requester, type Requester } from '../testing/request.ts';

let folder: string;
let api: EmbeddedApi;
let admin: Requester;

const ACCOUNTS = '/api/v1/namespaces/default/serviceaccounts';
const RBAC = '/apis/rbac.authorization.k8s.io/v1';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'embedded-'));
  api = await startEmbeddedApi({
    environment: {},
    kubeconfigPath: join(folder, 'kubeconfig'),
    users: [{ name: 'ann', groups: ['team'] }],
  });
  admin = requester(api, api.adminToken);
  await admin('POST', ACCOUNTS, { metadata: { name: 'app' } });
  await admin('POST', '/api/v1/namespaces/default/pods', {
    metadata: { name: 'p' },
    spec: { serviceAccountName: 'app', nodeName: 'n1', containers: [{ name: 'c', image: 'x' }] },
  });
});

afterAll(async () => {
  await api.stop();
  await rm(folder, { recursive: true });
});

async function tokenFor(spec: JsonObject, account = 'app'): Promise<string> {
  const { body } = await admin('POST', `${ACCOUNTS}/${account}/token`, { spec });
  return textAt(body, 'status', 'token') ?? '';
}

async function review(token: string, audiences: string[] = []): Promise<JsonObject> {
  const { body } = await admin('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {
    spec: { token, audiences },
  });
  return body['status'] as JsonObject;
}

const podReference = async (): Promise<JsonObject> => {
  const { body } = await admin('GET', '/api/v1/namespaces/default/pods/p');
  return { kind: 'Pod', apiVersion: 'v1', name: 'p', uid: textAt(body, 'metadata', 'uid') ?? '' };
};

describe('service-account tokens', () => {
  test('have the claims that Kubernetes gives them', async () => {
    const reference = await podReference();
    const token = await tokenFor({
      audiences: ['istio-ca'],
      expirationSeconds: 3_600,
      boundObjectRef: reference,
    });
    const claims = decodeJwt(token);
    expect(claims).toMatchObject({
      iss: 'https://kubernetes.default.svc.cluster.local',
      sub: 'system:serviceaccount:default:app',
      aud: ['istio-ca'],
      jti: expect.any(String),
      'kubernetes.io': {
        namespace: 'default',
        serviceaccount: { name: 'app', uid: expect.any(String) },
        pod: { name: 'p', uid: reference['uid'] },
        node: { name: 'n1' },
      },
    });
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(3_600);
  });

  test('are reviewed for their audience, with the pod and node they are bound to', async () => {
    const reference = await podReference();
    const token = await tokenFor({ audiences: ['istio-ca'], boundObjectRef: reference });
    expect(await review(token, ['istio-ca', 'other'])).toMatchObject({
      authenticated: true,
      audiences: ['istio-ca'],
      user: {
        username: 'system:serviceaccount:default:app',
        groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
        extra: {
          'authentication.kubernetes.io/pod-name': ['p'],
          'authentication.kubernetes.io/pod-uid': [reference['uid']],
          'authentication.kubernetes.io/node-name': ['n1'],
        },
      },
    });
    expect((await review(token))['authenticated']).toBeUndefined();
    expect((await review(token, ['other']))['error']).toMatch(/target audiences/);
  });

  test('for another audience are not for the API', async () => {
    const token = await tokenFor({ audiences: ['istio-ca'] });
    expect((await requester(api, token)('GET', '/api')).status).toBe(401);
  });

  test('are worth nothing once altered, or when their account or pod is gone', async () => {
    await admin('POST', ACCOUNTS, { metadata: { name: 'brief' } });
    const token = await tokenFor({}, 'brief');
    expect((await review(token))['authenticated']).toBe(true);
    expect((await review(`${token.slice(0, -4)}AAAA`))['authenticated']).toBeUndefined();
    await admin('DELETE', `${ACCOUNTS}/brief`);
    await admin('POST', ACCOUNTS, { metadata: { name: 'brief' } });
    expect((await review(token))['error']).toMatch(/invalidated/);
  });

  test.each<[string, JsonObject, number]>([
    ['too short a life', { expirationSeconds: 60 }, 422],
    ['a pod that is not there', { boundObjectRef: { kind: 'Pod', name: 'none' } }, 404],
    ['another pod of that name', { boundObjectRef: { kind: 'Pod', name: 'p', uid: 'x' } }, 409],
    ['something else than a pod', { boundObjectRef: { kind: 'Secret', name: 's' } }, 400],
  ])('%s is refused', async (_, spec, status) => {
    expect((await admin('POST', `${ACCOUNTS}/app/token`, { spec })).status).toBe(status);
  });

  test('a pod of another account is refused', async () => {
    const spec = { boundObjectRef: await podReference() };
    expect((await admin('POST', `${ACCOUNTS}/default/token`, { spec })).status).toBe(400);
  });
});

describe('authorisation', () => {
  test('a pod’s token cannot act as admin, until a Role lets it do one thing', async () => {
    const app = requester(api, await tokenFor({}));
    const denied = await app('GET', '/api/v1/namespaces/default/configmaps');
    expect(denied.body).toMatchObject({
      code: 403,
      message:
        'configmaps is forbidden: User "system:serviceaccount:default:app" cannot list resource "configmaps" in API group "" in the namespace "default"',
    });
    expect((await app('GET', '/apis')).status).toBe(200);
    await admin('POST', `${RBAC}/namespaces/default/roles`, {
      metadata: { name: 'lister' },
      rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }],
    });
    await admin('POST', `${RBAC}/namespaces/default/rolebindings`, {
      metadata: { name: 'lister' },
      roleRef: { kind: 'Role', name: 'lister', apiGroup: 'rbac.authorization.k8s.io' },
      subjects: [{ kind: 'ServiceAccount', name: 'app', namespace: 'default' }],
    });
    expect((await app('GET', '/api/v1/namespaces/default/configmaps')).status).toBe(200);
    expect((await app('GET', '/api/v1/configmaps')).status).toBe(403);
    expect((await app('GET', '/api/v1/namespaces/default/secrets')).status).toBe(403);
    expect(
      (await app('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'x' } })).status,
    ).toBe(403);
  });

  test('who may list and watch one object says which one', async () => {
    await admin('POST', ACCOUNTS, { metadata: { name: 'one' } });
    await admin('POST', `${RBAC}/clusterroles`, {
      metadata: { name: 'one' },
      rules: [{ apiGroups: [''], resources: ['secrets'], resourceNames: ['a'], verbs: ['list'] }],
    });
    await admin('POST', `${RBAC}/clusterrolebindings`, {
      metadata: { name: 'one' },
      roleRef: { kind: 'ClusterRole', name: 'one', apiGroup: 'rbac.authorization.k8s.io' },
      subjects: [{ kind: 'ServiceAccount', name: 'one', namespace: 'default' }],
    });
    const one = requester(api, await tokenFor({}, 'one'));
    const statusOf = async (query: string) => (await one('GET', `/api/v1/secrets${query}`)).status;
    expect({
      all: await statusOf(''),
      that: await statusOf('?fieldSelector=metadata.name%3Da'),
      more: await statusOf('?fieldSelector=type%3Dx,metadata.name%3D%3Da'),
      another: await statusOf('?fieldSelector=metadata.name%3Db'),
      'all but that': await statusOf('?fieldSelector=metadata.name!%3Da'),
      watched: await statusOf('?watch=true&fieldSelector=metadata.name%3Da'),
    }).toEqual({ all: 403, that: 200, more: 200, another: 403, 'all but that': 403, watched: 403 });
  });

  test('who may write roles and bindings may not give more than they have', async () => {
    const ann = requester(api, api.tokenOf('ann'));
    await admin('POST', `${RBAC}/clusterroles`, {
      metadata: { name: 'rbac-writer' },
      rules: [{ apiGroups: ['rbac.authorization.k8s.io'], resources: ['*'], verbs: ['create', 'get'] }],
    });
    await admin('POST', `${RBAC}/clusterrolebindings`, {
      metadata: { name: 'team' },
      roleRef: { kind: 'ClusterRole', name: 'rbac-writer' },
      subjects: [{ kind: 'Group', name: 'team' }],
    });
    const binding = (role: string): JsonObject => ({
      metadata: { name: `ann-${role}` },
      roleRef: { kind: 'ClusterRole', name: role },
      subjects: [{ kind: 'User', name: 'ann' }],
    });
    const grab = await ann('POST', `${RBAC}/clusterrolebindings`, binding('cluster-admin'));
    expect(grab.body).toMatchObject({ code: 403 });
    expect(textAt(grab.body, 'message')).toContain('attempting to grant RBAC permissions not currently held');
    expect((await ann('POST', `${RBAC}/clusterrolebindings`, binding('rbac-writer'))).status).toBe(201);
    const role = {
      metadata: { name: 'more' },
      rules: [{ apiGroups: [''], resources: ['secrets'], verbs: ['get'] }],
    };
    expect((await ann('POST', `${RBAC}/clusterroles`, role)).status).toBe(403);
  });

  test('reviews answer what would be allowed', async () => {
    const reviewOf = async (kind: string, spec: JsonObject) =>
      (await admin('POST', `/apis/authorization.k8s.io/v1/${kind}`, { spec })).body['status'];
    const resourceAttributes = { verb: 'list', resource: 'configmaps', namespace: 'default' };
    expect(
      await reviewOf('subjectaccessreviews', {
        user: 'system:serviceaccount:default:app',
        resourceAttributes,
      }),
    ).toEqual({
      allowed: true,
      reason: 'RBAC: allowed by RoleBinding "lister" of Role "lister"',
    });
    expect(await reviewOf('subjectaccessreviews', { user: 'eve', resourceAttributes })).toEqual({
      allowed: false,
    });
    expect(await reviewOf('selfsubjectaccessreviews', { resourceAttributes })).toMatchObject({
      allowed: true,
    });
    expect(
      await reviewOf('subjectaccessreviews', {
        user: 'eve',
        nonResourceAttributes: { verb: 'get', path: '/x' },
      }),
    ).toEqual({ allowed: false });
    const rules = (
      await requester(api, await tokenFor({}))(
        'POST',
        '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews',
        { spec: { namespace: 'default' } },
      )
    ).body;
    expect(JSON.stringify(rules)).toContain('"resources":["configmaps"]');
  });

  test('acting as somebody else needs the right to, and then has only theirs', async () => {
    const as = (user: string) => ({ 'Impersonate-User': user });
    const path = '/api/v1/namespaces/default/configmaps';
    expect((await admin('GET', path, undefined, undefined, as('eve'))).status).toBe(403);
    expect(
      (await admin('GET', path, undefined, undefined, as('system:serviceaccount:default:app'))).status,
    ).toBe(200);
    const ann = requester(api, api.tokenOf('ann'));
    expect((await ann('GET', path, undefined, undefined, as('admin'))).status).toBe(403);
  });
});
