import { mkdtemp, rm } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { type JsonObject, objectAt, textAt } from '../json.ts';
import { newAuthority, newServingCertificate } from '../pki/serving.ts';
import { type EmbeddedApi, startEmbeddedApi } from '../server.ts';
import { requester, type Requester } from '../testing/request.ts';
import { webhooksOf } from './webhook-rules.ts';

let folder: string;
let api: EmbeddedApi;
let call: Requester;
let server: Server;
let port: number;
let caBundle: string;
let answer: (review: JsonObject) => JsonObject | string | undefined;
const reviews: JsonObject[] = [];

const HOOKS = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
const MAPS = '/api/v1/namespaces/default/configmaps';

const listener: RequestListener = (request, response) => {
  let text = '';
  request.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  request.on('end', () => {
    const review = JSON.parse(text) as JsonObject;
    reviews.push(review);
    const said = answer(review);
    if (said === undefined) return;
    response.end(
      typeof said === 'string'
        ? said
        : JSON.stringify({
            kind: 'AdmissionReview',
            apiVersion: 'admission.k8s.io/v1',
            response: { uid: objectAt(review, 'request')['uid'], ...said },
          }),
    );
  });
};

beforeAll(async () => {
  const authority = await newAuthority(systemClock);
  const serving = await newServingCertificate(authority, ['hook.default.svc'], systemClock);
  caBundle = Buffer.from(authority.certificatePem).toString('base64');
  server = createServer({ cert: serving.certificatePem, key: serving.privateKeyPem }, listener);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  port = typeof address === 'object' && address !== null ? address.port : 0;
  folder = await mkdtemp(join(tmpdir(), 'embedded-'));
  api = await startEmbeddedApi({
    environment: {},
    kubeconfigPath: join(folder, 'kubeconfig'),
    podDialer: async () => connect(port, '127.0.0.1'),
  });
  call = requester(api, api.adminToken);
});

afterAll(async () => {
  await api.stop();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

afterEach(async () => {
  await call('DELETE', `${HOOKS}/hook`);
  reviews.length = 0;
});

async function register(over: JsonObject = {}): Promise<void> {
  const made = await call('POST', HOOKS, {
    metadata: { name: 'hook' },
    webhooks: [
      {
        name: 'hook.example.com',
        clientConfig: { url: `https://127.0.0.1:${port}/validate`, caBundle },
        rules: [
          {
            apiGroups: [''],
            apiVersions: ['v1'],
            resources: ['configmaps'],
            operations: ['CREATE', 'UPDATE', 'DELETE'],
          },
        ],
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
        ...over,
      },
    ],
  });
  expect(made.status).toBe(201);
}

test('is asked about a write, with who wants it, and may warn', async () => {
  await register();
  answer = () => ({ allowed: true, warnings: ['mind the gap'] });
  const made = await call('POST', MAPS, { metadata: { name: 'ok' } });
  expect(made.status).toBe(201);
  expect(made.headers['warning']).toBe('299 - "mind the gap"');
  expect(reviews[0]).toMatchObject({
    kind: 'AdmissionReview',
    request: {
      operation: 'CREATE',
      namespace: 'default',
      name: 'ok',
      kind: { group: '', version: 'v1', kind: 'ConfigMap' },
      userInfo: { username: 'admin' },
      object: { metadata: { name: 'ok' } },
      oldObject: null,
      dryRun: false,
    },
  });
});

test('refuses, and nothing is stored', async () => {
  await register();
  answer = () => ({ allowed: false, status: { message: 'no such luck', code: 422 } });
  const { body } = await call('POST', MAPS, { metadata: { name: 'no' } });
  expect(body).toMatchObject({
    code: 422,
    message: 'admission webhook "hook.example.com" denied the request: no such luck',
  });
  expect((await call('GET', `${MAPS}/no`)).status).toBe(404);
});

test('must answer within its time, and to the question', async () => {
  await register({ timeoutSeconds: 1 });
  answer = () => undefined;
  const late = await call('POST', MAPS, { metadata: { name: 'late' } });
  expect(late.status).toBe(500);
  expect(textAt(late.body, 'message')).toContain('no answer within 1 s');
  await call('DELETE', `${HOOKS}/hook`);
  await register({ timeoutSeconds: 30 });
  answer = () => JSON.stringify({ kind: 'AdmissionReview', response: { uid: 'other', allowed: true } });
  expect(textAt((await call('POST', MAPS, { metadata: { name: 'late' } })).body, 'message')).toContain(
    'response.uid differs',
  );
  answer = () => 'nonsense';
  expect(textAt((await call('POST', MAPS, { metadata: { name: 'late' } })).body, 'message')).toContain(
    'no AdmissionReview',
  );
});

test('that fails is passed over where it says so', async () => {
  await register({ failurePolicy: 'Ignore', clientConfig: { url: 'https://127.0.0.1:1/x', caBundle } });
  expect((await call('POST', MAPS, { metadata: { name: 'ignored' } })).status).toBe(201);
});

test('must prove who it is', async () => {
  await register({
    clientConfig: { url: `https://127.0.0.1:${port}/`, caBundle: Buffer.from(api.caPem).toString('base64') },
  });
  answer = () => ({ allowed: true });
  expect((await call('POST', MAPS, { metadata: { name: 'forged' } })).status).toBe(500);
  expect(reviews).toEqual([]);
});

test('is asked only about what its rules and selectors say', async () => {
  await register({
    objectSelector: { matchLabels: { check: 'me' } },
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'default' } },
  });
  answer = () => ({ allowed: true });
  await call('POST', MAPS, { metadata: { name: 's1' } });
  await call('POST', MAPS, { metadata: { name: 's2', labels: { check: 'me' } } });
  await call('POST', '/api/v1/namespaces/kube-public/configmaps', {
    metadata: { name: 's3', labels: { check: 'me' } },
  });
  await call('POST', '/api/v1/namespaces/default/secrets', {
    metadata: { name: 's4', labels: { check: 'me' } },
  });
  await call('DELETE', `${MAPS}/s2`);
  expect(
    reviews.map((review) => [textAt(review, 'request', 'operation'), textAt(review, 'request', 'name')]),
  ).toEqual([
    ['CREATE', 's2'],
    ['DELETE', 's2'],
  ]);
});

test('that takes its time loses no write that comes meanwhile', async () => {
  await call('POST', MAPS, { metadata: { name: 'busy' } });
  await register();
  answer = () => ({ allowed: true });
  const patch = (key: string) =>
    call('PATCH', `${MAPS}/busy`, { data: { [key]: '1' } }, 'application/merge-patch+json');
  const answers = await Promise.all(['a', 'b', 'c', 'd'].map(patch));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect((await call('GET', `${MAPS}/busy`)).body['data']).toEqual({ a: '1', b: '1', c: '1', d: '1' });
});

test('is reached through its Service, by a ready endpoint', async () => {
  await call('POST', '/api/v1/namespaces/default/services', {
    metadata: { name: 'hook' },
    spec: { ports: [{ port: 443, targetPort: 15_017 }] },
  });
  await register({
    clientConfig: { service: { namespace: 'default', name: 'hook', path: '/validate' }, caBundle },
  });
  const none = await call('POST', MAPS, { metadata: { name: 'svc' } });
  expect(textAt(none.body, 'message')).toContain('no endpoints available for service "hook"');
  await call('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
    metadata: { name: 'hook-1', labels: { 'kubernetes.io/service-name': 'hook' } },
    addressType: 'IPv4',
    ports: [{ port: 15_017 }],
    endpoints: [
      {
        addresses: ['10.0.0.9'],
        conditions: { ready: true },
        targetRef: { kind: 'Pod', name: 'p', namespace: 'default' },
      },
    ],
  });
  answer = () => ({ allowed: true });
  expect((await call('POST', MAPS, { metadata: { name: 'svc' } })).status).toBe(201);
});

test('one with CEL conditions that may fail is not asked, and that is said', async () => {
  const { headers, status } = await call('POST', `${HOOKS}?dryRun=All`, {
    metadata: { name: 'other' },
    webhooks: [
      {
        name: 'hook.example.com',
        clientConfig: { url: 'https://127.0.0.1/' },
        failurePolicy: 'Ignore',
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
        matchConditions: [{ name: 'x', expression: 'true' }],
      },
    ],
  });
  expect([status, headers['warning']]).toEqual([
    201,
    expect.stringContaining('is not asked: the embedded API evaluates no matchConditions'),
  ]);
  const conditional = {
    name: 'x',
    failurePolicy: 'Ignore',
    matchConditions: [{ name: 'x', expression: 'true' }],
  };
  expect(webhooksOf({ metadata: { name: 'c' }, webhooks: [conditional, { name: 'y' }] })).toMatchObject([
    { name: 'y' },
  ]);
});

test.each<[string, JsonObject, string]>([
  ['no way to be reached', { clientConfig: {} }, 'exactly one of url or service'],
  ['a plain URL', { clientConfig: { url: 'http://127.0.0.1/' } }, "'https' is the only allowed URL scheme"],
  ['another version', { admissionReviewVersions: ['v1beta1'] }, 'must include at least one of v1'],
  ['too much time', { timeoutSeconds: 31 }, 'between 1 and 30 seconds'],
  ['CEL conditions', { matchConditions: [{ name: 'x', expression: 'true' }] }, 'evaluates no CEL'],
])('with %s is refused', async (_, over, message) => {
  const { body } = await call('POST', `${HOOKS}?dryRun=All`, {
    metadata: { name: 'other' },
    webhooks: [
      {
        name: 'hook.example.com',
        clientConfig: { url: 'https://127.0.0.1/' },
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
        ...over,
      },
    ],
  });
  expect(body).toMatchObject({ code: 422 });
  expect(textAt(body, 'message')).toContain(message);
});
