import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Clock, systemClock } from '@ambit/core/clock';
import { AccessSource, accessSource } from './access.ts';
import { KubeClient } from './client.ts';
import { isConflict, isNotFound, KubeConfigError, KubeStatusError, KubeTransportError } from './errors.ts';
import { keyOf, pathOf } from './resource.ts';
import { configMaps, namespaces, pods } from './resources/core.ts';
import { authorizationPolicies } from './resources/security.ts';
import { FakeApiServer } from './testing/fake-api-server.ts';

let server: FakeApiServer;
let client: KubeClient;
let url: string;

beforeEach(async () => {
  server = new FakeApiServer();
  url = await server.start();
  const access = {
    server: new URL(url),
    tls: {},
    headers: { authorization: 'Bearer t' },
    namespace: 'default',
  };
  client = new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock));
});
afterEach(async () => {
  client[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
});

const at = { namespace: 'ns', name: 'c' };

describe('KubeClient', () => {
  test('creates, reads, patches, replaces and deletes', async () => {
    await client.create(configMaps, { metadata: at, data: { a: '1' } });
    expect((await client.get(configMaps, at)).data).toEqual({ a: '1' });
    const patched = await client.patch(configMaps, at, { type: 'merge', body: { data: { a: '2' } } });
    expect(patched.data).toEqual({ a: '2' });
    await client.replace(configMaps, { ...patched, data: { a: '3' } });
    expect((await client.find(configMaps, at))?.data).toEqual({ a: '3' });
    await client.delete(configMaps, at);
    expect(await client.find(configMaps, at)).toBeUndefined();
    expect(server.lastAuthorization).toBe('Bearer t');
  });

  test('asks for nothing by a name that is none', async () => {
    await client.create(configMaps, { metadata: at });
    for (const name of ['', '.', '..']) {
      await expect(client.delete(configMaps, { namespace: 'ns', name })).rejects.toThrow('name');
      await expect(client.get(configMaps, { namespace: 'ns', name })).rejects.toThrow('name');
    }
    expect(await client.find(configMaps, at)).toBeDefined();
  });

  test('a refusal carries status, reason and message', async () => {
    const error: unknown = await client.get(pods, at).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(KubeStatusError);
    expect(isNotFound(error)).toBe(true);
    expect(String(error)).toContain('GET /api/v1/namespaces/ns/pods/c: 404 NotFound: "c" not found');
    await client.create(configMaps, { metadata: at });
    expect(
      isConflict(await client.create(configMaps, { metadata: at }).catch((thrown: unknown) => thrown)),
    ).toBe(true);
  });

  test('a server that is busy is asked again when it said, and its other refusals are not', async () => {
    const waits: number[] = [];
    const clock: Clock = {
      ...systemClock,
      sleep: (ms) => {
        waits.push(ms);
        return Promise.resolve();
      },
    };
    const answers: [status: number, headers: Record<string, string>][] = [
      [429, { 'retry-after': '1' }],
      [429, { 'retry-after': '3600' }],
      [200, {}],
      [429, {}],
      [503, { 'retry-after': '1' }],
    ];
    const bodies: string[] = [];
    const busy = createServer((request, response) => {
      request.setEncoding('utf8').on('data', (text: string) => bodies.push(text));
      request.on('end', () => {
        const [status, headers] = answers.shift() ?? [500, {}];
        response.writeHead(status, headers).end('{"metadata":{"name":"x"}}');
      });
    });
    await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
    const { port } = busy.address() as AddressInfo;
    const access = { server: new URL(`http://127.0.0.1:${port}`), tls: {}, headers: {}, namespace: '' };
    using other = new KubeClient(new AccessSource(() => Promise.resolve(access), clock), clock);
    await other.create(configMaps, { metadata: at });
    expect(waits).toEqual([1_000, 5_000]);
    expect(new Set(bodies).size).toBe(1);
    await expect(other.get(configMaps, at)).rejects.toThrow('429');
    await expect(other.get(configMaps, at)).rejects.toThrow('503');
    busy.close();
  });

  test('server-side apply names its manager, and takes what it must', async () => {
    const patch = { type: 'apply', body: { metadata: at }, force: true } as const;
    await client.create(authorizationPolicies, { metadata: at });
    await client.patch(authorizationPolicies, at, patch, { fieldManager: 'me', subresource: 'status' });
    expect(server.requests.at(-1)).toBe(
      'PATCH /apis/security.istio.io/v1/namespaces/ns/authorizationpolicies/c/status?force=true&fieldManager=me',
    );
  });

  test('selectors reach the server', async () => {
    await client.list(pods, { labelSelector: 'a=b', fieldSelector: 'spec.nodeName=n' });
    expect(server.requests.at(-1)).toContain('labelSelector=a%3Db&fieldSelector=spec.nodeName%3Dn');
  });

  test('a server that is not there is a transport error', async () => {
    await server[Symbol.asyncDispose]();
    await expect(client.get(pods, at)).rejects.toBeInstanceOf(KubeTransportError);
  });

  test('a kept connection that the server has closed meanwhile is no failure of a read', async () => {
    server.put('/api/v1/configmaps', { metadata: at });
    await client.get(configMaps, at);
    server.dropConnections();
    await expect(client.get(configMaps, at)).resolves.toBeDefined();
  });

  describe('a connection that is opened ahead', () => {
    let connections: number;
    let asked: string[];
    let api: Server;
    let hasty: KubeClient;

    beforeEach(async () => {
      connections = 0;
      asked = [];
      api = createServer((request, response) => {
        asked.push(request.url ?? '');
        response.setHeader('content-type', 'application/json').end('{"metadata":{"name":"c"}}');
      });
      api.on('connection', () => {
        connections += 1;
      });
      await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
      const at = new URL(`http://127.0.0.1:${(api.address() as AddressInfo).port}`);
      const access = { server: at, tls: {}, headers: {}, namespace: 'default' };
      hasty = new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock));
    });
    afterEach(() => {
      hasty[Symbol.dispose]();
      api.closeAllConnections();
      api.close();
    });
    const ahead = () => hasty.transport.connectAhead(AbortSignal.timeout(120_000));

    test('is the one of the next request', async () => {
      await Promise.all([ahead(), ahead()]);
      await hasty.get(configMaps, at);
      expect([connections, asked]).toEqual([1, ['/version', '/api/v1/namespaces/ns/configmaps/c']]);
    });

    test('is not opened beside one that nobody uses', async () => {
      await hasty.get(configMaps, at);
      await ahead();
      expect([connections, asked.length]).toEqual([1, 1]);
    });

    test('and cannot be had is nobody’s failure', async () => {
      api.close();
      await expect(ahead()).resolves.toBeUndefined();
    });
  });

  test('an answer that does not come ends at the deadline', async () => {
    const rushed: Clock = { ...systemClock, after: (_, run) => systemClock.after(30, run) };
    const access = { server: new URL(url), tls: {}, headers: {}, namespace: 'default' };
    using impatient = new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock), rushed);
    server.beforeList = () => new Promise(() => undefined);
    await expect(impatient.list(pods)).rejects.toThrow('no complete answer within 60000 ms');
  });
});

describe('pathOf', () => {
  const cases: Record<string, string> = {
    '/api/v1/namespaces/n': pathOf(namespaces, { name: 'n' }),
    '/api/v1/pods': pathOf(pods),
    '/api/v1/namespaces/n/pods/p/status': pathOf(pods, { namespace: 'n', name: 'p', subresource: 'status' }),
    '/apis/security.istio.io/v1/authorizationpolicies': pathOf(authorizationPolicies),
    '/api/v1/namespaces/n/pods/..%2Fsecrets': pathOf(pods, { namespace: 'n', name: '../secrets' }),
  };
  test.each(Object.entries(cases))('%s', (want, got) => expect(got).toBe(want));
  test('keys', () => {
    expect(keyOf({ metadata: { name: 'a' } })).toBe('a');
    expect(keyOf({ metadata: { name: 'a', namespace: 'n' } })).toBe('n/a');
  });
});

describe('accessSource', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'ambit-kube-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  test('in a pod, the token file is read again', async () => {
    await writeFile(join(directory, 'ca.crt'), 'ca');
    await writeFile(join(directory, 'token'), 'one\n');
    let nowMs = 0;
    const clock = { ...systemClock, monotonicMs: () => nowMs };
    const env = {
      KUBERNETES_SERVICE_HOST: 'fd00::1',
      KUBERNETES_SERVICE_PORT: '443',
      KUBECONFIG: '/nonexistent/kubeconfig',
    };
    const source = await accessSource({ env, serviceAccountDirectory: directory }, clock);
    expect((await source.current()).server.href).toBe('https://[fd00::1]/');
    await writeFile(join(directory, 'token'), 'two');
    expect((await source.current()).headers).toEqual({ authorization: 'Bearer one' });
    nowMs = 11_000;
    expect((await source.current()).headers).toEqual({ authorization: 'Bearer two' });
    await writeFile(join(directory, 'token'), 'three');
    source.forget();
    expect((await source.current()).headers).toEqual({ authorization: 'Bearer three' });
  });

  test('a kubeconfig gives server, credentials and namespace', async () => {
    const path = join(directory, 'config');
    const text = `
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u, namespace: apps}}]
clusters: [{name: k, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: ${btoa('ca')}}}]
users: [{name: u, user: {token: secret}}]
`;
    await writeFile(path, text);
    const access = await (await accessSource({ kubeconfigPath: path }, systemClock)).current();
    expect(access.server.href).toBe('https://127.0.0.1:6443/');
    expect(String(access.tls.ca)).toBe('ca');
    expect(access.headers).toEqual({ authorization: 'Bearer secret' });
    expect(access.namespace).toBe('apps');
  });

  const bad: Record<string, { options: object; text?: string; want: string }> = {
    'nothing to go by': { options: {}, want: 'no kubeconfig and not running in a pod' },
    'a pod without a token': {
      options: {
        inCluster: true,
        env: { KUBERNETES_SERVICE_HOST: 'h' },
        serviceAccountDirectory: '/nonexistent',
      },
      want: 'ENOENT: no such file',
    },
    'a file that is not there': {
      options: { kubeconfigPath: '/nonexistent/kubeconfig' },
      want: 'there is no kubeconfig /nonexistent/kubeconfig',
    },
    'a file without a context': {
      options: {},
      text: 'clusters: []\nusers: []\ncontexts: []',
      want: 'has no context',
    },
  };
  test.each(Object.entries(bad))('%s is said', async (_, { options, text, want }) => {
    const path = join(directory, 'config');
    if (text) await writeFile(path, text);
    const made = accessSource(text ? { kubeconfigPath: path } : options, systemClock);
    await expect(made).rejects.toThrow(want);
    await expect(made).rejects.toBeInstanceOf(KubeConfigError);
  });
});
