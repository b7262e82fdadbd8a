import { Worker } from 'node:worker_threads';
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import type { HttpRequest } from '@ambit/core/http-server';
import { parseLogFilter, silentLogger } from '@ambit/core/log';
import { createFakeCa } from '@ambit/identity/fake-ca';
import { meshOf } from '@ambit/model/testing/mesh-file';
import type { ConnectionReport } from '../../threads/messages.ts';
import { configFrom } from '../../config.ts';
import { type DumpSources, configDump } from './config-dump.ts';
import { dumpConfig } from './dump-config.ts';
import { handleLogging } from '@ambit/core/admin/logging';
import { Profiler } from '@ambit/core/admin/profile';
import { type AdminSources, adminHandler } from './routes.ts';

const ALICE = 'spiffe://cluster.local/ns/shop/sa/web';
const MESH = `
workloads:
  - uid: lab//Pod/shop/web-0
    name: web-0
    namespace: shop
    serviceAccount: web
    trustDomain: cluster.local
    clusterId: Kubernetes
    workloadIps: ["10.60.1.4"]
    protocol: HBONE
    node: alpha
    services: {shop/web.shop.svc.cluster.local: {80: 8080}}
services:
  - {name: web, namespace: shop, hostname: web.shop.svc.cluster.local, vips: ["/10.70.0.20"], ports: {80: 8080}, canonical: true}
policies:
  - {name: p, namespace: shop, scope: Namespace, action: Allow, dryRun: false, rules: [[[{principals: [!Exact cluster.local/ns/shop/sa/web]}]]]}
`;
const config = configFrom(
  {
    PROXY_MODE: 'shared',
    NODE_NAME: 'alpha',
    AUTH_TOKEN: 'hush',
    XDS_HEADER_KEY: 'secret',
    XDS_HEADER_COOKIE: 'session=hush',
    ISTIO_META_ROLE: 'edge',
    ISTIO_META_API_TOKEN: 'hush',
  },
  { exists: () => false, read: () => undefined, machineCpus: 2 },
);
const connection: ConnectionReport = {
  podUid: 'u1',
  direction: 'outbound',
  src: '10.60.1.4:4242',
  originalDst: '10.70.0.20:80',
  actualDst: '10.60.1.9:15008',
  protocol: 'HBONE',
  srcIdentity: ALICE,
  dstIdentity: undefined,
  openedAtMs: 1,
  bytesSent: 2,
  bytesReceived: 3,
};

const sources = (over: Partial<DumpSources> = {}): DumpSources => ({
  mesh: meshOf(MESH),
  certificates: () => [],
  pods: () => [
    { info: { uid: 'u1', name: 'web-0', namespace: 'shop', serviceAccount: 'web' }, state: 'Up' },
    { info: { uid: 'u2', name: 'late', namespace: 'shop', serviceAccount: 'web' }, state: 'Pending' },
  ],
  connections: async () => [connection],
  localFile: () => undefined,
  config: dumpConfig(config, ['proxy', 'ztunnel']),
  version: { version: '0.1.0' },
  shared: true,
  log: silentLogger,
  ...over,
});

const dump = async (over: Partial<DumpSources> = {}) => JSON.parse(await configDump(sources(over)));

describe('/config_dump', () => {
  test('has the keys that istioctl reads, in alphabetical order at every level', async () => {
    const text = await configDump(sources());
    const keysInOrder = (value: unknown): boolean => {
      if (typeof value !== 'object' || value === null) return true;
      const keys = Object.keys(value).filter((key) => !/^\d+$/.test(key));
      const inOrder = Array.isArray(value) || keys.every((key, i) => i === 0 || (keys[i - 1] ?? '') < key);
      return inOrder && Object.values(value).every(keysInOrder);
    };
    const value: Record<string, unknown> = JSON.parse(text);
    expect(Object.keys(value)).toEqual([
      'certificates',
      'config',
      'policies',
      'services',
      'stagedServices',
      'staticConfig',
      'version',
      'workloadState',
      'workloads',
    ]);
    expect(keysInOrder(value)).toBe(true);
    expect(text).toContain('\n  "certificates": []');
  });

  test('shows pods with their open connections', async () => {
    expect((await dump()).workloadState).toEqual({
      u1: {
        state: 'Up',
        info: { name: 'web-0', namespace: 'shop', serviceAccount: 'web' },
        connections: {
          inbound: [],
          outbound: [
            {
              src: '10.60.1.4:4242',
              originalDst: '10.70.0.20:80',
              actualDst: '10.60.1.9:15008',
              protocol: 'HBONE',
            },
          ],
        },
      },
      u2: { state: 'Pending', info: { name: 'late', namespace: 'shop', serviceAccount: 'web' } },
    });
  });

  test('has no pods for one workload alone', async () => {
    expect(await dump({ shared: false })).not.toHaveProperty('workloadState');
  });

  test('shows the mesh in Istio’s shapes', async () => {
    const { workloads, services, policies } = await dump();
    expect(workloads[0]).toMatchObject({
      workloadIps: ['10.60.1.4'],
      protocol: 'HBONE',
      networkMode: 'Standard',
      services: ['shop/web.shop.svc.cluster.local'],
      status: 'Healthy',
    });
    expect(services[0]).toMatchObject({
      vips: ['/10.70.0.20'],
      ports: { 80: 8080 },
      endpoints: { 'lab//Pod/shop/web-0': { status: 'Healthy', port: { 80: 8080 } } },
    });
    expect(policies[0].rules).toEqual([[[{ principals: [{ Exact: 'cluster.local/ns/shop/sa/web' }] }]]]);
  });

  test('shows certificates, and no key', async () => {
    const authority = await createFakeCa({ clock: systemClock });
    const certificate = await authority.issueWorkload(ALICE);
    const text = await configDump(
      sources({ certificates: () => [{ identity: ALICE, state: 'Available', certificate }] }),
    );
    const [shown] = JSON.parse(text).certificates;
    expect(shown).toMatchObject({ identity: ALICE, state: 'Available' });
    expect(shown.certChain[0]).toEqual({
      pem: expect.any(String),
      serialNumber: expect.stringMatching(/^\d+$/),
      validFrom: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      expirationTime: expect.stringMatching(/Z$/),
    });
    expect(shown.rootCerts).toHaveLength(1);
    expect(text + Buffer.from(shown.certChain[0].pem, 'base64')).not.toContain('PRIVATE');
  });

  test('shows the configuration in Istio’s encodings, and no credential', async () => {
    const { config: shown } = await dump();
    expect(shown).toMatchObject({
      proxyMode: 'Shared',
      adminAddr: { Localhost: [true, 15000] },
      statsAddr: { SocketAddr: '[::]:15020' },
      inboundAddr: '[::]:15008',
      dnsProxyAddr: { Localhost: [true, 15053] },
      illegalPorts: [15001, 15006, 15008],
      localNode: 'alpha',
      selfTerminationDeadline: { secs: 5, nanos: 0 },
      poolUnusedReleaseTimeout: { secs: 300, nanos: 0 },
      xdsAddress: 'https://localhost:15012',
      xdsRootCert: { File: './var/run/secrets/istio/root-cert.pem' },
      numWorkerThreads: 2,
      proxyArgs: 'proxy ztunnel',
      packetMark: 1337,
      socks5Addr: null,
      xdsHeaders: [
        ['key', '(hidden)'],
        ['cookie', '(hidden)'],
      ],
      proxyMetadata: { ROLE: 'edge', API_TOKEN: '(hidden)' },
    });
    expect(JSON.stringify(shown)).not.toMatch(/hush|secret"/);
  });

  test('reads the local file again, and survives one that has become bad', async () => {
    const file = 'mesh.yaml';
    const good = await dump({ localFile: () => ({ text: MESH, file }) });
    expect(good.staticConfig.workloads[0].services).toEqual({
      'shop/web.shop.svc.cluster.local': { 80: 8080 },
    });
    const bad = await dump({ localFile: () => ({ text: 'x: 1', file }) });
    expect(bad.staticConfig).toEqual({ policies: [], services: [], workloads: [] });
  });
});

const request = (method: string, url: string): HttpRequest => {
  const { pathname, searchParams } = new URL(url, 'http://localhost');
  const signal = new AbortController().signal;
  return { method, path: pathname, query: searchParams, headers: {}, body: Buffer.alloc(0), signal };
};

describe('/logging', () => {
  const initial = parseLogFilter('info') ?? { base: 'off', scopes: new Map() };
  const ask = (...urls: readonly string[]) => {
    let current = initial;
    const control = {
      initial,
      current: () => current,
      change: (filter: typeof initial) => {
        current = filter;
      },
    };
    return urls.map((url) => handleLogging(request('POST', url), control)).at(-1);
  };

  const cases: Record<string, { urls: string[]; want: string }> = {
    'nothing asked: what it is': { urls: ['/logging'], want: 'info' },
    'a level': { urls: ['/logging?level=debug'], want: 'debug' },
    'a scope adds to what there is': { urls: ['/logging?level=access=debug'], want: 'access=debug,info' },
    several: { urls: ['/logging?level=warn,ztunnel::proxy=trace'], want: 'proxy=trace,warn' },
    'reset goes back to the start': {
      urls: ['/logging?level=debug,a=trace', '/logging?reset'],
      want: 'info',
    },
    'reset and a level': {
      urls: ['/logging?level=debug', '/logging?level=a=warn&reset'],
      want: 'a=warn,info',
    },
  };
  test.each(Object.entries(cases))('%s', (_, { urls, want }) => {
    expect(ask(...urls)).toEqual({
      status: 200,
      body: `current log level is hickory_server::server=off,${want}\n`,
    });
  });

  test.each(['access', 'access:debug', 'loud', ''])('refuses %p', (level) => {
    const response = ask(`/logging?level=${level}`);
    expect([response?.status, response?.body]).toEqual([
      400,
      expect.stringContaining('Invalid level provided'),
    ]);
  });

  test('is a POST', () => {
    const control = { initial, current: () => initial, change: () => undefined };
    expect(handleLogging(request('GET', '/logging'), control).status).toBe(405);
  });
});

describe('pages', () => {
  const shutdowns: string[] = [];
  const admin: AdminSources = {
    configDump: async () => '{}',
    connections: async () => [connection],
    pods: () => [{ info: { uid: 'u1', name: 'web-0', namespace: 'shop', serviceAccount: 'web' } }],
    why: () => ({ status: 200, body: 'why' }),
    logging: {
      initial: { base: 'info', scopes: new Map() },
      current: () => ({ base: 'info', scopes: new Map() }),
      change: () => undefined,
    },
    profiler: new Profiler(systemClock),
    shutdown: (reason) => shutdowns.push(reason),
  };
  const get = async (method: string, url: string) => await adminHandler(admin)(request(method, url));

  test('the index lists them, anything else is not there', async () => {
    expect((await get('GET', '/')).body).toContain('/config_dump');
    expect((await get('GET', '/nothing')).status).toBe(404);
  });

  test('shutting down is a POST', async () => {
    expect((await get('GET', '/quitquitquit')).status).toBe(405);
    expect(shutdowns).toEqual([]);
    expect(await get('POST', '/quitquitquit')).toEqual({ status: 200, body: 'shutdown now\n' });
    expect(shutdowns).toEqual(['/quitquitquit']);
  });

  test('connections carry the pod’s name', async () => {
    const { body } = await get('GET', '/debug/connections');
    expect(JSON.parse(String(body)).connections[0]).toMatchObject({
      pod: 'web-0',
      namespace: 'shop',
      bytesSent: 2,
    });
  });

  test('a data worker can be profiled', async () => {
    // Recursive, since a profile does not show what has been inlined into its caller.
    const spin =
      'const spin = (n) => (n < 2 ? n : spin(n - 1) + spin(n - 2)); setInterval(() => spin(27), 1);';
    const worker = new Worker(spin, { eval: true });
    try {
      await new Promise((resolve) => worker.once('online', resolve));
      const { body } = await get('GET', '/debug/pprof/profile?seconds=1&frequency=1000&thread=0');
      expect(String(body)).toContain('"functionName":"spin"');
      expect((await get('GET', '/debug/pprof/profile?thread=x')).status).toBe(400);
      await expect(get('GET', '/debug/pprof/profile?seconds=1&thread=7')).rejects.toThrow(
        'there are 1 data workers',
      );
    } finally {
      await worker.terminate();
    }
  });

  test('a profile is taken, one at a time, within bounds', async () => {
    const first = get('GET', '/debug/pprof/profile?seconds=1');
    expect((await get('GET', '/debug/pprof/profile?seconds=1')).status).toBe(409);
    expect((await get('GET', '/debug/pprof/profile?seconds=301')).status).toBe(400);
    const { body } = await first;
    expect(Object.keys(JSON.parse(String(body)))).toEqual(expect.arrayContaining(['nodes', 'samples']));
  });
});
