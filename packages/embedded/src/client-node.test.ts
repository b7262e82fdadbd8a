import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { KubeClient } from '@ambit/kube/client';
import { namespaces } from '@ambit/kube/resources/core';
import { watchCollection } from '@ambit/kube/watch-collection';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { until } from '@ambit/core/watch';
import { type EmbeddedApi, startEmbeddedApi } from './server.ts';
import { requester } from './testing/request.ts';

let folder: string;
let api: EmbeddedApi;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'embedded-'));
  api = await startEmbeddedApi({ environment: {}, kubeconfigPath: join(folder, 'kubeconfig') });
});

afterAll(async () => {
  await api.stop();
  await rm(folder, { recursive: true });
});

test('the official client for Node lists, watches, writes and deletes', async () => {
  const script = new URL('./testing/client-node.mjs', import.meta.url).pathname;
  const { stdout } = await promisify(execFile)(process.execPath, [script, api.kubeconfigPath], {
    timeout: 60_000,
  });
  expect(JSON.parse(stdout)).toEqual({
    events: ['ADDED official', 'MODIFIED official', 'DELETED official'],
    data: { a: 'b', c: 'd' },
    created: true,
    missing: 404,
  });
});

test('our own client keeps a collection current', async () => {
  using client = await KubeClient.load({ kubeconfigPath: api.kubeconfigPath });
  await using collection = watchCollection(client, namespaces, {
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  });
  await until(collection.synced, (synced) => synced, AbortSignal.timeout(120_000));
  const added = new Promise<void>((resolve) => {
    collection.subscribe(() => {
      if (collection.get('later')) resolve();
    });
  });
  await requester(api, api.adminToken)('POST', '/api/v1/namespaces', { metadata: { name: 'later' } });
  await added;
  expect(collection.size).toBeGreaterThanOrEqual(5);
});
