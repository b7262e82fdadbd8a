import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { InsideClusterError } from './errors.ts';
import { type EmbeddedApi, startEmbeddedApi } from './server.ts';
import { type Answer, requester } from './testing/request.ts';

let folder: string;
let api: EmbeddedApi;
let call: (method: string, path: string, body?: unknown, type?: string) => Promise<Answer>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'embedded-'));
  api = await startEmbeddedApi({ environment: {}, kubeconfigPath: join(folder, 'kubeconfig') });
  call = requester(api, api.adminToken);
});

afterAll(async () => {
  await api.stop();
  await rm(folder, { recursive: true });
});

test('it does not start in a pod of a cluster', async () => {
  const environment = { KUBERNETES_SERVICE_HOST: '10.96.0.1' };
  await expect(
    startEmbeddedApi({ environment, kubeconfigPath: join(folder, 'never') }),
  ).rejects.toBeInstanceOf(InsideClusterError);
});

test('the kubeconfig is for its owner alone and holds the token and the CA', async () => {
  expect((await stat(api.kubeconfigPath)).mode & 0o777).toBe(0o600);
  const text = await readFile(api.kubeconfigPath, 'utf8');
  expect(text).toContain(api.adminToken);
  expect(text).toContain(api.url);
});

describe('objects', () => {
  test('live from create to delete, with what the server adds', async () => {
    const made = await call('POST', '/api/v1/namespaces/default/configmaps', {
      metadata: { name: 'a' },
      data: { x: '1' },
    });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {
        name: 'a',
        namespace: 'default',
        uid: expect.any(String),
        resourceVersion: expect.any(String),
      },
      data: { x: '1' },
    });
    const again = await call('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'a' } });
    expect(again.body).toMatchObject({
      code: 409,
      reason: 'AlreadyExists',
      message: 'configmaps "a" already exists',
    });
    const gone = await call('DELETE', '/api/v1/namespaces/default/configmaps/a');
    expect(gone.body).toMatchObject({ kind: 'Status', status: 'Success', details: { name: 'a' } });
    expect((await call('GET', '/api/v1/namespaces/default/configmaps/a')).body).toMatchObject({
      code: 404,
      message: 'configmaps "a" not found',
    });
  });

  test('an outdated update is refused', async () => {
    const path = '/api/v1/namespaces/default/configmaps';
    const { body } = await call('POST', path, { metadata: { name: 'b' } });
    expect((await call('PUT', `${path}/b`, { ...body, data: { x: '1' } })).status).toBe(200);
    const late = await call('PUT', `${path}/b`, { ...body, data: { x: '2' } });
    expect(late.body).toMatchObject({ code: 409, reason: 'Conflict' });
  });

  test('need a namespace that exists', async () => {
    const made = await call('POST', '/api/v1/namespaces/none/configmaps', { metadata: { name: 'a' } });
    expect(made.body).toMatchObject({ code: 404, message: 'namespaces "none" not found' });
  });
});

test('nobody gets in without a token', async () => {
  const stranger = requester(api, undefined);
  expect((await stranger('GET', '/api/v1/namespaces')).status).toBe(401);
  expect((await stranger('GET', '/healthz')).text).toBe('ok');
  expect((await requester(api, 'wrong')('GET', '/api/v1/namespaces')).status).toBe(401);
});
