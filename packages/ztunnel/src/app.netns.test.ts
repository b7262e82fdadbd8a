import { Resolver } from 'node:dns/promises';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { AUTHORIZATION_TYPE_URL } from '@ambit/api/authorization';
import { ADDRESS_TYPE_URL, createWorkload, encodeAddress, TunnelProtocol } from '@ambit/api/workload';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { LogRoot, silentLogger } from '@ambit/core/log';
import { DeltaXdsServer } from '@ambit/xds/server';
import { MemoryFeed } from '@ambit/xds/testing/memory-feed';
import { ZdsServer, type ZdsSnapshotEntry } from '@ambit/zds/agent-side';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { startApp } from './app.ts';
import { type Config, configFrom } from './config.ts';
import { FakeWorker, obedient } from './testing/fake-worker.ts';

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const POD = { uid: 'pod-uid', name: 'web-0', namespace: 'shop', serviceAccount: 'web' };
const WEB = 'spiffe://cluster.local/ns/shop/sa/web';

function configOf(env: Readonly<Record<string, string>>): Config {
  const base = {
    XDS_ADDRESS: '',
    FAKE_CA: 'true',
    ISTIO_META_DNS_CAPTURE: 'false',
    ZTUNNEL_WORKER_THREADS: '2',
  };
  return configFrom({ ...base, ...env }, { exists: () => false, read: () => undefined, machineCpus: 2 });
}

async function start(
  env: Readonly<Record<string, string>>,
  worker: () => FakeWorker = () => new FakeWorker(),
  signal = AbortSignal.timeout(120_000),
) {
  const workers: FakeWorker[] = [];
  const shutdowns: string[] = [];
  const deaths: Error[] = [];
  const app = await startApp(
    configOf(env),
    {
      clock: systemClock,
      random: systemRandom,
      log: new LogRoot({ filter: { base: 'off', scopes: new Map() }, format: 'json' }),
      args: ['proxy'],
      collectGarbage: () => undefined,
      resolvConf: 'nameserver 192.0.2.53',
      machineHasIpv6: true,
      spawnWorker: () => {
        const made = worker();
        workers.push(made);
        return made;
      },
      onShutdown: (reason) => shutdowns.push(reason),
      onFatal: (error) => deaths.push(error),
    },
    signal,
  );
  cleanups.push(async () => await app[Symbol.asyncDispose]());
  return { app, workers, shutdowns, deaths };
}

const get = async (port: number, path: string, method = 'GET') => {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: { connection: 'close' },
  });
  return { status: response.status, text: await response.text() };
};
const ready = async () => (await get(15021, '/healthz/ready')).text;
const dump = async () => JSON.parse((await get(15000, '/config_dump')).text);

async function eventually(what: () => Promise<unknown>, want: unknown): Promise<void> {
  // Turns and not time: after a stall there are as many left for what has waited for them.
  for (let turn = 0; ; turn += 1) {
    const found = await what();
    try {
      expect(found).toEqual(want);
      return;
    } catch (error) {
      if (turn === 1_250) throw error;
    }
    await systemClock.sleep(20);
  }
}

const isOpen = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    cleanups.push(() => void socket.destroy());
  });

async function serveXds(port: number) {
  const addresses = new MemoryFeed(ADDRESS_TYPE_URL);
  const policies = new MemoryFeed(AUTHORIZATION_TYPE_URL);
  const names: unknown[] = [];
  const xds = new DeltaXdsServer({
    feeds: [addresses, policies],
    authenticate: async () => 'ztunnel',
    refuse: (_, node) => {
      names.push(node);
      return undefined;
    },
    clock: systemClock,
    log: silentLogger,
  });
  const server = new Server();
  xds.addTo(server);
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  cleanups.push(() => server.forceShutdown());
  return { addresses, names };
}

function workloadBytes(): Uint8Array {
  const value = createWorkload({
    uid: 'Kubernetes//Pod/shop/web-0',
    name: 'web-0',
    namespace: 'shop',
    serviceAccount: 'web',
    node: 'n1',
    tunnelProtocol: TunnelProtocol.HBONE,
    addresses: [Uint8Array.of(10, 0, 0, 1)],
  });
  return encodeAddress({ type: { $case: 'workload', value } });
}

async function agentAt(path: string, entries: readonly ZdsSnapshotEntry[]): Promise<ZdsServer> {
  const agent = new ZdsServer({ path, snapshot: () => entries, clock: systemClock, log: silentLogger });
  await agent.start(AbortSignal.timeout(120_000));
  cleanups.push(async () => await agent[Symbol.asyncDispose]());
  return agent;
}

describe('the pods of a node', () => {
  test('are served when control plane and node agent have spoken, and readiness says what is missing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ambit-app-'));
    cleanups.push(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'ztunnel.sock');
    const env = { XDS_ADDRESS: 'http://127.0.0.1:25012', INPOD_UDS: path, NODE_NAME: 'n1', POD_NAME: 'z' };
    const { workers } = await start(env);
    expect(await ready()).toBe('not ready, pending: state manager, workload proxy manager\n');

    const { addresses, names } = await serveXds(25012);
    await eventually(ready, 'not ready, pending: workload proxy manager\n');
    expect(names[0]).toEqual({
      id: 'ztunnel~1.1.1.1~z.~.svc.cluster.local',
      metadata: { NAME: 'z', NAMESPACE: '', INSTANCE_IPS: '1.1.1.1', NODE_NAME: 'n1', DNS_CAPTURE: 'false' },
    });
    addresses.set({ 'Kubernetes//Pod/shop/web-0': workloadBytes() });
    await eventually(
      async () => (await dump()).certificates.map(({ identity, state }: never) => [identity, state]),
      [[WEB, 'Available']],
    );

    const netnsFd = openSync('/proc/self/ns/net', 'r');
    const agent = await agentAt(path, [{ pod: POD, netnsFd }]);
    await eventually(ready, 'ready\n');
    expect((await dump()).workloadState).toEqual({
      'pod-uid': { state: 'Up', info: { name: 'web-0', namespace: 'shop', serviceAccount: 'web' } },
    });
    for (const worker of workers) {
      expect(worker.heard.filter((message) => /^(certificate|start)/.test(message))).toEqual([
        `certificate ${WEB}`,
        expect.stringMatching(/^start-pod pod-uid \d+$/),
      ]);
    }
    expect((await get(15020, '/metrics')).text).toContain('workload_manager_active_proxy_count 1');
    const { text } = await get(15000, '/debug/why?source=shop/web-0&destination=192.0.2.1:80');
    expect(JSON.parse(text).source).toMatchObject({ served: true, identity: WEB });

    await agent.remove('pod-uid');
    await eventually(async () => (await dump()).workloadState, {});
    await agent[Symbol.asyncDispose]();
    await eventually(ready, 'not ready, pending: workload proxy manager\n');
  });

  test('are refused while they wait outside and no certificate comes, but for those that certificates depend on', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ambit-app-'));
    cleanups.push(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'ztunnel.sock');
    await start({
      LOCAL_XDS: 'workloads: []',
      FAKE_CA: 'false',
      CA_ADDRESS: 'https://ca.vault.svc:25013',
      INPOD_UDS: path,
      NODE_NAME: 'n1',
    });
    const agent = await agentAt(path, []);
    await eventually(ready, 'ready\n');
    const netnsFd = openSync('/proc/self/ns/net', 'r');
    const add = (uid: string, namespace: string, waits: boolean) =>
      agent.add({ pod: { ...POD, uid, namespace, ...(waits && { waitsOutside: true }) }, netnsFd });
    for (let asked = 0; asked < 2; asked++)
      await expect(add('outside', 'shop', true)).rejects.toThrow(
        `ztunnel refused pod outside: no certificate for ${WEB}: `,
      );
    // It is served all the same, and keeps nobody from being ready.
    expect(await ready()).toBe('ready\n');
    await add('redirected', 'shop', false);
    await add('dns', 'kube-system', true);
    await add('ca', 'vault', true);
    closeSync(netnsFd);
  });

  test('ask for addresses as connections need them, where that is wanted', async () => {
    const { addresses } = await serveXds(25012);
    addresses.set({ 'Kubernetes//Pod/shop/web-0': workloadBytes() });
    const env = { XDS_ADDRESS: 'http://127.0.0.1:25012', XDS_ON_DEMAND: 'true', INPOD_UDS: '/nowhere/x' };
    const { workers } = await start(env);
    await eventually(ready, 'not ready, pending: workload proxy manager\n');
    expect((await dump()).workloads).toEqual([]);
    workers[0]?.say({ kind: 'need-address', key: 'Kubernetes//Pod/shop/web-0' });
    await eventually(async () => (await dump()).workloads.map(({ name }: never) => name), ['web-0']);
    workers[0]?.say({ kind: 'need-address', key: '/192.0.2.1' });
    await eventually(
      async () => workers[0]?.received.findLast(({ kind }) => kind === 'mesh-delta'),
      expect.objectContaining({ removed: ['/192.0.2.1'] }),
    );
  });

  test('include this process itself, for its metrics, when it knows who it is', async () => {
    const env = {
      POD_NAME: 'z',
      POD_NAMESPACE: 'istio-system',
      SERVICE_ACCOUNT: 'ztunnel',
      INPOD_UDS: '/nowhere/x',
    };
    const { workers } = await start(env);
    expect(workers[0]?.received[0]).toMatchObject({
      kind: 'start-pod',
      inboundOnly: true,
      netnsFd: undefined,
      identity: 'spiffe://cluster.local/ns/istio-system/sa/ztunnel',
    });
    expect((await dump()).workloadState).toEqual({});
  });
});

const DEDICATED = {
  PROXY_MODE: 'dedicated',
  PROXY_WORKLOAD_INFO: 'shop/web-0/web',
  LOCAL_XDS:
    'workloads: [{name: web-0, namespace: shop, serviceAccount: web, trustDomain: td, workloadIps: [10.0.0.1], services: {}}]',
};

describe('one workload', () => {
  test('is served from a local file, and drained at the end', async () => {
    const { app, workers, shutdowns } = await start(DEDICATED);
    await eventually(ready, 'ready\n');
    expect(workers[0]?.received.map(({ kind }) => kind)).toEqual([
      'mesh-delta',
      'start-pod',
      'mesh-complete',
    ]);
    expect(workers[0]?.received[1]).toMatchObject({
      identity: 'spiffe://td/ns/shop/sa/web',
      inboundOnly: false,
    });
    expect(await get(15000, '/logging?level=debug', 'POST')).toMatchObject({ status: 200 });
    expect(workers[0]?.received.at(-1)).toEqual({ kind: 'log-filter', filter: 'debug' });
    await get(15000, '/quitquitquit', 'POST');
    expect(shutdowns).toEqual(['/quitquitquit']);
    await app.stop();
    expect(workers[0]?.received.at(-1)).toEqual({ kind: 'drain', deadlineMs: 5_000 });
    expect(workers.every(({ terminated }) => terminated)).toBe(true);
    expect(await isOpen(15000)).toBe(false);
  });

  test('has its DNS', async () => {
    await start({
      ...DEDICATED,
      ISTIO_META_DNS_CAPTURE: 'true',
      LOCAL_XDS: `${DEDICATED.LOCAL_XDS}
services: [{name: web, namespace: shop, hostname: web.shop.svc.cluster.local, vips: [/10.1.0.9], ports: {80: 80}}]`,
    });
    await eventually(ready, 'ready\n');
    const resolver = new Resolver({ timeout: 25_000, tries: 1 });
    resolver.setServers(['127.0.0.1:15053']);
    expect(await resolver.resolve4('web.shop.svc.cluster.local')).toEqual(['10.1.0.9']);
    expect((await get(15020, '/metrics')).text).toContain(
      'istio_dns_requests_total{request_query_type="a",request_protocol="udp"',
    );
  });

  test('has its certificate from the fake CA', async () => {
    const { workers } = await start(DEDICATED);
    workers[0]?.say({ kind: 'need-certificate', identity: WEB });
    await eventually(async () => workers[0]?.heard.at(-1), `certificate ${WEB}`);
  });

  test('ends the process when a worker dies', async () => {
    const { workers, deaths } = await start(DEDICATED);
    workers[0]?.emit('exit', 1);
    expect(deaths.map(({ message }) => message)).toEqual(['data worker 0 ended: exit code 1']);
  });
});

describe('a start that cannot succeed says why and leaves nothing behind', () => {
  test.each([15000, 15020, 15021])('port %d is taken', async (port) => {
    const other = createServer().listen({ host: port === 15000 ? '127.0.0.1' : '::', port });
    await new Promise((resolve) => other.once('listening', resolve));
    cleanups.push(() => void other.close());
    const workers: FakeWorker[] = [];
    const worker = () => {
      const made = new FakeWorker();
      workers.push(made);
      return made;
    };
    await expect(start(DEDICATED, worker)).rejects.toThrow(
      new RegExp(`cannot listen on .*:${port} for .*: address in use`),
    );
    expect(workers.every(({ terminated }) => terminated)).toBe(true);
    for (const free of [15000, 15020, 15021].filter((each) => each !== port))
      expect(await isOpen(free)).toBe(false);
  });

  test('a listener of the workload is taken', async () => {
    const worker = () =>
      new FakeWorker((message) =>
        message.kind === 'start-pod'
          ? [
              {
                kind: 'pod-failed',
                uid: message.pod.uid,
                reason: 'cannot listen on [::]:15008: address in use',
              },
            ]
          : obedient(message),
      );
    await expect(start(DEDICATED, worker)).rejects.toThrow('cannot listen on [::]:15008: address in use');
  });

  test('the process is told to end meanwhile', async () => {
    const ending = new AbortController();
    const workers: FakeWorker[] = [];
    const worker = () => {
      const made = new FakeWorker();
      workers.push(made);
      ending.abort(new Error('SIGTERM while starting'));
      return made;
    };
    await expect(start(DEDICATED, worker, ending.signal)).rejects.toThrow('SIGTERM while starting');
    expect(workers.every(({ terminated }) => terminated)).toBe(true);
    for (const port of [15000, 15020, 15021]) expect(await isOpen(port)).toBe(false);
  });

  test('the local file is wrong', async () => {
    await expect(start({ ...DEDICATED, LOCAL_XDS: 'workloads: [{nam: x}]' })).rejects.toThrow(
      /LOCAL_XDS.*line 1/s,
    );
  });
});
