import { mkdtemp, readFile, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { listAt, textAt } from './json.ts';
import { type EmbeddedApi, startEmbeddedApi } from './server.ts';
import { requester, watching } from './testing/request.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'embedded-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

const start = (): Promise<EmbeddedApi> =>
  startEmbeddedApi({
    environment: {},
    kubeconfigPath: join(folder, 'kubeconfig'),
    folder: join(folder, 'data'),
    users: [{ name: 'admin', groups: ['system:masters'], token: 'a-token-that-stays' }],
  });

const MAPS = '/api/v1/namespaces/default/configmaps';

test('objects, definitions, the CA and tokens outlive a restart', async () => {
  const first = await start();
  const call = requester(first, first.adminToken);
  await call('POST', MAPS, { metadata: { name: 'kept' }, data: { x: '1' } });
  await call('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
    metadata: { name: 'widgets.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Cluster',
      names: { plural: 'widgets', kind: 'Widget' },
      versions: [
        { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } },
      ],
    },
  });
  await call('POST', '/apis/example.com/v1/widgets', { metadata: { name: 'w' } });
  const token =
    textAt(
      (await call('POST', '/api/v1/namespaces/default/serviceaccounts/default/token', { spec: {} })).body,
      'status',
      'token',
    ) ?? '';
  const before = textAt((await call('GET', MAPS)).body, 'metadata', 'resourceVersion') ?? '';
  await first.stop();

  const second = await start();
  expect(second.caPem).toBe(first.caPem);
  const again = requester(second, second.adminToken);
  expect((await again('GET', `${MAPS}/kept`)).body).toMatchObject({ data: { x: '1' } });
  expect((await again('GET', '/apis/example.com/v1/widgets/w')).status).toBe(200);
  expect((await requester(second, token)('GET', '/apis')).status).toBe(200);
  await using watch = await watching(second, second.adminToken, `${MAPS}?watch=1&resourceVersion=${before}`);
  expect(await watch.next()).toMatchObject({ type: 'ERROR', object: { code: 410 } });
  await second.stop();
});

test('a journal that a crash cut off loses the last change alone', async () => {
  const first = await start();
  const call = requester(first, first.adminToken);
  for (const name of ['a', 'b']) await call('POST', MAPS, { metadata: { name } });
  await first.stop();
  const journal = join(folder, 'data', 'journal');
  await truncate(journal, (await stat(journal)).size - 20);
  const second = await start();
  const { body } = await requester(second, second.adminToken)('GET', MAPS);
  expect(listAt(body, 'items').map((item) => textAt(item, 'metadata', 'name'))).toEqual([
    'a',
    'kube-root-ca.crt',
  ]);
  await second.stop();
});

test('keys are for the owner alone', async () => {
  const api = await start();
  for (const name of ['ca.key', 'service-account.key']) {
    const path = join(folder, 'data', 'pki', name);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readFile(path, 'utf8')).toContain('PRIVATE KEY');
  }
  await api.stop();
});

test('a failed start leaves nothing behind', async () => {
  const api = await start();
  await expect(start()).rejects.toThrow(/in use by process/);
  await api.stop();
  await (await start()).stop();
});
