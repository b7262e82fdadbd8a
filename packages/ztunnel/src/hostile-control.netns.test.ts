import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from '@jest/globals';
import { AUTHORIZATION_TYPE_URL } from '@ambit/api/authorization';
import {
  ADDRESS_TYPE_URL,
  createWorkload,
  encodeAddress,
  TunnelProtocol,
  type Workload,
} from '@ambit/api/workload';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { SeqpacketListener } from '@ambit/linux/seqpacket';
import type { TestNetns } from '@ambit/linux/testing/namespaces';
import { DeltaXdsServer } from '@ambit/xds/server';
import { MemoryFeed } from '@ambit/xds/testing/memory-feed';
import { decodeAck, encodeRequest } from '@ambit/zds/messages';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { echoThrough, openGoodTunnel } from './testing/mesh-peer.ts';
import {
  ECHO_PORT,
  eventually,
  MESH,
  POD,
  POD_IP,
  type ProxiedPod,
  startProxiedPod,
  TRUST_DOMAIN,
} from './testing/proxied-pod.ts';

const XDS_PORT = 25_013;
const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function goodClientIsServed(): Promise<void> {
  const tunnel = await openGoodTunnel();
  try {
    const words = 'is anybody there?';
    expect(await echoThrough(tunnel, `${POD_IP}:${ECHO_PORT}`, words)).toBe(words);
  } finally {
    tunnel.session.destroy();
  }
}

const isServed = () =>
  goodClientIsServed().then(
    () => true,
    () => false,
  );

async function socketsAreBack(pod: ProxiedPod, idle: number): Promise<void> {
  await eventually(
    () => `of ${pod.openSockets()} sockets ${idle} remain`,
    () => pod.openSockets() <= idle,
  );
  expect(pod.isRunning()).toBe(true);
}

const dump = async () =>
  (
    await fetch('http://127.0.0.1:15000/config_dump', { headers: { connection: 'close' } })
  ).json() as Promise<{
    readonly workloads: readonly { readonly name: string }[];
    readonly policies: readonly unknown[];
  }>;

describe('a control plane that sends what is invalid', () => {
  const web = (over: Partial<Workload>) =>
    encodeAddress({
      type: {
        $case: 'workload',
        value: createWorkload({
          uid: 'web',
          name: POD.name,
          namespace: POD.namespace,
          serviceAccount: POD.serviceAccount,
          trustDomain: TRUST_DOMAIN,
          tunnelProtocol: TunnelProtocol.HBONE,
          addresses: [Uint8Array.of(10, 77, 0, 2)],
          ...over,
        }),
      },
    });

  async function serve() {
    const addresses = new MemoryFeed(ADDRESS_TYPE_URL);
    const policies = new MemoryFeed(AUTHORIZATION_TYPE_URL);
    const refusals: string[] = [];
    const xds = new DeltaXdsServer({
      feeds: [addresses, policies],
      authenticate: async () => 'ztunnel',
      observer: { refused: (_, message) => refusals.push(message) },
      clock: systemClock,
      log: silentLogger,
    });
    const server = new Server();
    xds.addTo(server);
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(`127.0.0.1:${XDS_PORT}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      ),
    );
    cleanups.push(() => server.forceShutdown());
    return { addresses, policies, refusals };
  }

  test('is told which resources and why; the last good ones stay in force', async () => {
    const { addresses, policies, refusals } = await serve();
    addresses.set({ web: web({}) });
    await using pod = await startProxiedPod({ env: { XDS_ADDRESS: `http://127.0.0.1:${XDS_PORT}` } });
    await eventually('the good client is served', isServed);
    const idle = pod.openSockets();

    addresses.set({
      web: web({ addresses: [Uint8Array.of(10, 77, 0)] }),
      garbage: Uint8Array.of(0xff, 0xff, 0xff, 0xff),
      empty: Uint8Array.of(),
    });
    await eventually('addresses are refused', () => refusals.length > 0);
    expect(refusals.join()).toMatch(/web: .*garbage: .*empty: /s);
    await goodClientIsServed();
    policies.set({ 'shop/broken': Uint8Array.of(0x0a, 0x20, 0x41) });
    await eventually('the policy is refused', () => refusals.join().includes('shop/broken: '));
    await pod.said(/(?=[\s\S]*garbage)(?=[\s\S]*shop\/broken)/);

    const { workloads, policies: held } = await dump();
    expect([workloads.map(({ name }) => name), held]).toEqual([['web-0'], []]);
    await expect(goodClientIsServed()).rejects.toThrow('status 401'); // what that policy says, nobody knows
    await pod.said(/policies have not arrived or cannot be read: shop\/broken/);
    policies.remove('shop/broken');
    await eventually('the good client is served again', isServed);
    await socketsAreBack(pod, idle);
  });
});

describe('a node agent that sends what is invalid', () => {
  const add = encodeRequest({ kind: 'add', pod: POD });

  async function agentAt(path: string) {
    const listener = new SeqpacketListener(path);
    cleanups.push(() => listener.close());
    const greeted = async () => {
      const connection = await listener.accept();
      if (!connection) throw new Error('nobody dialled');
      expect(Buffer.from((await connection.receive())?.bytes ?? []).toString('hex')).toBe('0801');
      return connection;
    };
    return { listener, greeted };
  }

  const bad: Record<string, { bytes: Uint8Array; withNetns: boolean; says: string }> = {
    'a truncated message': { bytes: add.subarray(0, 9), withNetns: true, says: 'malformed WorkloadRequest' },
    'a message of nothing but garbage': {
      bytes: Uint8Array.of(0xff, 0xff, 0xff),
      withNetns: false,
      says: 'malformed WorkloadRequest',
    },
    'a pod without its namespace': {
      bytes: add,
      withNetns: false,
      says: 'AddWorkload without a network namespace',
    },
  };
  test.each(Object.entries(bad))('%s', async (_, { bytes, withNetns, says }) => {
    let agent: Awaited<ReturnType<typeof agentAt>> | undefined;
    let netns: TestNetns | undefined;
    const started = startProxiedPod({
      env: { LOCAL_XDS: MESH },
      agent: async (path, pod) => {
        netns = pod;
        agent = await agentAt(path);
        const { greeted } = agent;
        void greeted().then(async (connection) => {
          connection.send(add, pod.fd);
          expect(decodeAck((await connection.receive())?.bytes ?? Uint8Array.of())).toBe('');
          connection.send(encodeRequest({ kind: 'snapshot-sent' }));
          await connection.receive();
          first.resolve(connection);
        }, first.reject);
        return { [Symbol.asyncDispose]: async () => await Promise.resolve() };
      },
    });
    const first = Promise.withResolvers<Awaited<ReturnType<NonNullable<typeof agent>['greeted']>>>();
    await using pod = await started;
    const connection = await first.promise;
    await goodClientIsServed();
    const idle = pod.openSockets();

    connection.send(bytes, withNetns ? netns?.fd : undefined);
    expect(decodeAck((await connection.receive())?.bytes ?? Uint8Array.of())).toContain(
      `failure to read message: ${says}`,
    );
    expect(await connection.receive()).toBeUndefined();
    connection.close();
    await pod.said(new RegExp(`conversation with the node agent failed.*${says}`));
    await goodClientIsServed();

    const again = await agent?.greeted();
    again?.send(encodeRequest({ kind: 'keep', uid: POD.uid }));
    expect(decodeAck((await again?.receive())?.bytes ?? Uint8Array.of())).toBe('');
    again?.send(encodeRequest({ kind: 'snapshot-sent' }));
    expect(decodeAck((await again?.receive())?.bytes ?? Uint8Array.of())).toBe('');
    await goodClientIsServed();
    await socketsAreBack(pod, idle);
    again?.close();
  });
});

test.each([
  { names: ['sys_admin'], says: 'enter a network namespace (CAP_SYS_ADMIN)' },
  // CAP_NET_RAW alone may mark packets as well.
  { names: ['net_admin', 'net_raw'], says: 'mark packets (CAP_NET_ADMIN)' },
])('without $names it does not start, and says what it needs', async ({ names, says }) => {
  const main = fileURLToPath(new URL('./main.ts', import.meta.url));
  const less = names.map((name) => `-${name}`).join();
  const drop = [`--bounding-set=${less}`, `--inh-caps=${less}`, `--ambient-caps=${less}`];
  const child = spawn('setpriv', [...drop, process.execPath, main], {
    env: { XDS_ADDRESS: '', FAKE_CA: 'true', INPOD_UDS: '/nowhere/ztunnel.sock' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  cleanups.push(() => void child.kill('SIGKILL'));
  let text = '';
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const code = await new Promise((resolve) => void child.once('close', resolve));
  expect([code, text]).toEqual([1, expect.stringContaining(says)]);
  expect(text).toContain('this process may not serve other network namespaces');
});
