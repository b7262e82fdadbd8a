import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { KubeClient } from '@ambit/kube/client';
import { portForward } from '@ambit/kube/port-forward';
import { WebSocket } from 'ws';
import { type EmbeddedApi, startEmbeddedApi } from '../server.ts';
import { requester } from '../testing/request.ts';

let folder: string;
let api: EmbeddedApi;
let echo: Server;
let echoPort: number;
const asked: string[] = [];

beforeAll(async () => {
  echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  await new Promise<void>((done) => echo.listen(0, '127.0.0.1', done));
  const address = echo.address();
  echoPort = typeof address === 'object' && address !== null ? address.port : 0;
  folder = await mkdtemp(join(tmpdir(), 'embedded-'));
  api = await startEmbeddedApi({
    environment: {},
    kubeconfigPath: join(folder, 'kubeconfig'),
    podDialer: async ({ namespace, name }, port) => {
      asked.push(`${namespace}/${name}:${port}`);
      return await dial(port === 7 ? echoPort : 1);
    },
  });
  const call = requester(api, api.adminToken);
  await call('POST', '/api/v1/namespaces/default/pods', {
    metadata: { name: 'web' },
    spec: { containers: [{ name: 'c', image: 'x' }] },
  });
});

afterAll(async () => {
  await api.stop();
  echo.close();
  await rm(folder, { recursive: true });
});

async function dial(port: number): Promise<Duplex> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return socket;
}

test('our own client reaches a port of a pod, both ways and much of it', async () => {
  const client = await KubeClient.load({ kubeconfigPath: api.kubeconfigPath });
  const to = { namespace: 'default', name: 'web', port: 7 };
  const stream = await portForward(client, to, AbortSignal.timeout(120_000));
  const sent = Buffer.alloc(3_000_000, 'ambit');
  stream.end(sent);
  const received: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) received.push(chunk);
  expect(Buffer.concat(received).equals(sent)).toBe(true);
  expect(asked).toContain('default/web:7');
});

test('a port where nobody listens is an error of the stream, with the reason', async () => {
  const client = await KubeClient.load({ kubeconfigPath: api.kubeconfigPath });
  const to = { namespace: 'default', name: 'web', port: 9 };
  const stream = await portForward(client, to, AbortSignal.timeout(120_000));
  const failed = new Promise<Error>((resolve) => stream.once('error', resolve));
  stream.resume();
  expect((await failed).message).toContain('ECONNREFUSED');
});

test('stopping the server ends port-forwards that are open', async () => {
  const other = await startEmbeddedApi({
    environment: {},
    kubeconfigPath: join(folder, 'other'),
    podDialer: () => dial(echoPort),
  });
  await requester(other, other.adminToken)('POST', '/api/v1/namespaces/default/pods', {
    metadata: { name: 'web' },
    spec: { containers: [{ name: 'c', image: 'x' }] },
  });
  const client = await KubeClient.load({ kubeconfigPath: other.kubeconfigPath });
  const stream = await portForward(
    client,
    { namespace: 'default', name: 'web', port: 7 },
    AbortSignal.timeout(120_000),
  );
  stream.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => stream.once('close', resolve));
  stream.write('hello');
  await other.stop();
  stream.resume();
  await closed;
});

test.each([
  ['a pod that does not exist', '/api/v1/namespaces/default/pods/none/portforward?ports=7', 404],
  ['a port that cannot be', '/api/v1/namespaces/default/pods/web/portforward?ports=70000', 400],
  ['no port', '/api/v1/namespaces/default/pods/web/portforward', 400],
  ['something else than a port-forward', '/api/v1/namespaces/default/pods/web', 400],
])('%s is refused before anything is upgraded', async (_, path, status) => {
  expect((await refusal(path, api.adminToken)).status).toBe(status);
});

test.each(['exec', 'attach'])('%s is refused by its name', async (what) => {
  const path = `/api/v1/namespaces/default/pods/web/${what}?command=ls&stdout=true`;
  const { status, body } = await refusal(path, api.adminToken);
  expect(status).toBe(400);
  expect(JSON.parse(body)).toMatchObject({ message: `${what} is not served by the embedded API` });
});

test('a stranger is refused', async () => {
  const { status } = await refusal('/api/v1/namespaces/default/pods/web/portforward?ports=7', 'wrong');
  expect(status).toBe(401);
});

async function refusal(
  path: string,
  token: string,
): Promise<{ readonly status: number | undefined; readonly body: string }> {
  const socket = new WebSocket(api.url.replace('https', 'wss') + path, ['v4.channel.k8s.io'], {
    ca: api.caPem,
    headers: { Authorization: `Bearer ${token}` },
  });
  socket.on('error', () => undefined);
  return await new Promise((resolve) => {
    socket.once('unexpected-response', (_request, response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.once('end', () => {
        resolve({ status: response.statusCode, body });
        socket.terminate();
      });
    });
    socket.once('open', () => resolve({ status: undefined, body: '' }));
  });
}
