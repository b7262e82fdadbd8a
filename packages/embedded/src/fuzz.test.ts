import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { fuzzing } from '@ambit/core/testing/seeded';
import { FrameReader } from './forward/spdy-frames.ts';
import { decodeProtobuf } from './http/protobuf-body.ts';
import { StatusError } from './errors.ts';
import type { Json, JsonObject } from './json.ts';
import { type EmbeddedApi, startEmbeddedApi } from './server.ts';
import { open, type Requester, requester } from './testing/request.ts';

/** Between 0 and 1. */
function seeded(own: number): () => number {
  const chance = fuzzing(own);
  return () => chance.fraction();
}

let folder: string;
let api: EmbeddedApi;
let call: Requester;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'embedded-'));
  api = await startEmbeddedApi({ environment: {}, kubeconfigPath: join(folder, 'kubeconfig') });
  call = requester(api, api.adminToken);
});

afterAll(async () => {
  await api.stop();
  await rm(folder, { recursive: true });
});

const KEYS = [
  'metadata',
  'name',
  'spec',
  'containers',
  'labels',
  'data',
  '$patch',
  'op',
  'path',
  'ports',
  'finalizers',
  'status',
  'x',
  'template',
  'rules',
  'subjects',
  'roleRef',
  'webhooks',
  'versions',
  'schema',
  'openAPIV3Schema',
  'managedFields',
  'ownerReferences',
  'uid',
  'constructor',
  'toString',
];
const SCALARS: readonly Json[] = [
  '',
  'a',
  'default',
  '../x',
  '\u0000',
  0,
  -1,
  1e308,
  true,
  null,
  'delete',
  'replace',
  '/metadata',
  '1.5Gi',
  '\ud800',
];

function randomJson(random: () => number, depth: number): Json {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const kind = random();
  if (depth === 0 || kind < 0.35) return pick(SCALARS);
  if (kind < 0.55)
    return Array.from({ length: Math.floor(random() * 4) }, () => randomJson(random, depth - 1));
  const object: JsonObject = {};
  for (let i = Math.floor(random() * 5); i >= 0; i--) object[pick(KEYS)] = randomJson(random, depth - 1);
  return object;
}

const TARGETS: readonly (readonly [method: string, path: string, type: string])[] = [
  ['POST', '/api/v1/namespaces/default/pods', 'application/json'],
  ['POST', '/api/v1/namespaces/default/services', 'application/json'],
  ['POST', '/api/v1/namespaces/default/secrets', 'application/yaml'],
  ['POST', '/apis/apps/v1/namespaces/default/deployments', 'application/json'],
  ['POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', 'application/json'],
  ['POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', 'application/json'],
  [
    'POST',
    '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations?dryRun=All',
    'application/json',
  ],
  ['POST', '/apis/authentication.k8s.io/v1/tokenreviews', 'application/json'],
  ['POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', 'application/json'],
  ['POST', '/api/v1/namespaces/default/serviceaccounts/default/token', 'application/json'],
  ['PUT', '/api/v1/namespaces/default/configmaps/target', 'application/json'],
  ['PATCH', '/api/v1/namespaces/default/configmaps/target', 'application/json-patch+json'],
  ['PATCH', '/api/v1/namespaces/default/configmaps/target', 'application/merge-patch+json'],
  ['PATCH', '/api/v1/namespaces/default/pods/target', 'application/strategic-merge-patch+json'],
  ['PATCH', '/api/v1/namespaces/default/pods/target/status', 'application/strategic-merge-patch+json'],
  ['PATCH', '/api/v1/namespaces/default/pods/target?fieldManager=f', 'application/apply-patch+yaml'],
  ['DELETE', '/api/v1/namespaces/default/configmaps/none', 'application/json'],
];

test('no body makes the server fail: every answer is a deliberate one', async () => {
  const random = seeded(20_260_101);
  await call('POST', '/api/v1/namespaces/default/configmaps', {
    metadata: { name: 'target' },
    data: { a: 'b' },
  });
  await call('POST', '/api/v1/namespaces/default/pods', {
    metadata: { name: 'target' },
    spec: { containers: [{ name: 'c', image: 'x' }] },
  });
  for (let i = 0; i < 1_200; i++) {
    const [method, path, type] = TARGETS[i % TARGETS.length] ?? ['POST', '/', ''];
    let body: unknown = randomJson(random, 5);
    if (random() < 0.5 && typeof body === 'object' && body !== null && !Array.isArray(body)) {
      body = {
        ...body,
        apiVersion: 'v1',
        metadata: { name: 'target', ...(random() < 0.5 && { labels: randomJson(random, 2) }) },
      };
    }
    if (random() < 0.1) body = JSON.stringify(body).slice(0, Math.floor(random() * 60));
    const answer = await call(method, path, body, type);
    if (answer.status >= 500) throw new Error(`${method} ${path} ${JSON.stringify(body)} → ${answer.text}`);
  }
  expect((await call('GET', '/readyz')).text).toBe('ok');
  expect(({} as Record<string, unknown>)['x']).toBeUndefined();
});

test('no path or query makes the server fail', async () => {
  const random = seeded(7);
  const parts = [
    'api',
    'apis',
    'v1',
    'namespaces',
    'default',
    'pods',
    'x',
    '..',
    '%2e%2e',
    '%00',
    '%zz',
    'status',
    'watch',
    'apps',
    'log',
    '%2F',
    '',
  ];
  const queries = [
    'limit=-1',
    'limit=x',
    'continue=AAAA',
    'labelSelector=a%20in%20(',
    'fieldSelector=a',
    'resourceVersion=x',
    'dryRun=x',
    'fieldValidation=x',
    'watch=true&resourceVersion=1',
    'timeoutSeconds=0',
  ];
  for (let i = 0; i < 500; i++) {
    const path = Array.from(
      { length: 1 + Math.floor(random() * 8) },
      () => parts[Math.floor(random() * parts.length)],
    ).join('/');
    const query = random() < 0.5 ? `?${queries[Math.floor(random() * queries.length)]}` : '';
    const method = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'][Math.floor(random() * 6)] ?? 'GET';
    if (method === 'DELETE' && !path.includes('x')) continue;
    const response = await open(api, api.adminToken, method, `/${path}${query}`);
    response.destroy();
    if ((response.statusCode ?? 0) >= 500)
      throw new Error(`${method} /${path}${query} → ${response.statusCode}`);
  }
});

test('no bytes make the protobuf or SPDY readers fail in another way than by saying so', () => {
  const random = seeded(99);
  const whole = Buffer.concat([
    Buffer.from('k8s\0'),
    Buffer.from([0x0a, 0x0f, 0x0a, 0x02]),
    Buffer.from('v1'),
    Buffer.from([0x12, 0x09]),
    Buffer.from('ConfigMap'),
    Buffer.from([0x12, 0x0a, 0x0a, 0x03, 0x0a, 0x01, 0x61, 0x12, 0x03, 0x0a, 0x01, 0x6b]),
  ]);
  expect(decodeProtobuf(whole)).toEqual({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'a' },
    data: { k: '' },
  });
  for (let i = 0; i < 20_000; i++) {
    const damaged = Buffer.from(whole.subarray(0, 4 + Math.floor(random() * (whole.length - 3))));
    for (let j = 0; j < 3; j++)
      damaged[4 + Math.floor(random() * (damaged.length - 4))] = Math.floor(random() * 256);
    try {
      decodeProtobuf(damaged);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
    }
    try {
      for (const frame of new FrameReader().push(damaged)) expect(frame.kind).toBeDefined();
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('SPDY')) throw error;
    }
  }
});
