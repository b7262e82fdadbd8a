/**
 * For tests: a real ztunnel process in shared mode, with one pod in a network namespace of its own, and this process as its
 * neighbour on the wire.
 *
 * One worker, so that whoever is attacked and whoever is served share a thread. The pod's application echoes on port 8080 and
 * never reads on 8081; what the neighbour sends to either in clear is redirected to 15006, what the pod sends out to 15001,
 * but for ztunnel's own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { createServer, type Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { listenTcp, tcpSocket } from '@ambit/linux/sockets';
import { TestNamespaces, type TestNetns } from '@ambit/linux/testing/namespaces';
import { ZdsServer } from '@ambit/zds/agent-side';

const MAIN = new URL('../main.ts', import.meta.url).pathname;
const OWN_MARK = 1337;
/** For what the machine is slow at; nothing here is measured by it. */
const PATIENCE_MS = 25_000;
/** The process compiles its sources first. */
const START_PATIENCE_MS = 60_000;

export const NEIGHBOUR_IP = '10.77.0.1';
export const POD_IP = '10.77.0.2';
export const ECHO_PORT = 8080;
export const STALLED_PORT = 8081;
export const TRUST_DOMAIN = 'td';
export const POD = { uid: 'web-uid', name: 'web-0', namespace: 'shop', serviceAccount: 'web' };

/** The pod, and at the neighbour's address a workload that takes tunnels; clear traffic to the pod is refused. */
export const MESH = `
workloads:
  - {uid: web, name: web-0, namespace: shop, serviceAccount: web, trustDomain: ${TRUST_DOMAIN}, workloadIps: [${POD_IP}], protocol: HBONE, services: {}}
  - {uid: bob, name: bob-0, namespace: shop, serviceAccount: bob, trustDomain: ${TRUST_DOMAIN}, workloadIps: [${NEIGHBOUR_IP}], protocol: HBONE, services: {}}
policies:
  - name: strict
    namespace: shop
    scope: Namespace
    action: Deny
    dryRun: false
    rules: [[[{notPrincipals: [!Presence []]}]]]
`;

export interface ProxiedPod extends AsyncDisposable {
  readonly pid: number;
  /** What ztunnel printed since the start. */
  readonly output: () => string;
  /** Waits until ztunnel has printed it, after what it had printed at `from`. */
  said(what: RegExp, from?: number): Promise<void>;
  /** Sockets that the process holds. */
  openSockets(): number;
  readonly isRunning: () => boolean;
  /** Connections that reached the application. */
  readonly reached: () => number;
  /** A connection that the pod's application opens. */
  fromPod(ip: string, port: number): Socket;
}

export interface ProxiedPodOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** A node agent of the test's own at the socket, instead of one that adds the pod. */
  readonly agent?: (path: string, pod: TestNetns) => Promise<AsyncDisposable>;
}

export async function startProxiedPod(options: ProxiedPodOptions = {}): Promise<ProxiedPod> {
  const { env = { LOCAL_XDS: MESH }, agent = goodAgent } = options;
  await using stack = new AsyncDisposableStack();
  const netns = stack.use(new TestNamespaces()).create();
  connectToNeighbour(netns);
  stack.defer(() => void netns.run('ip', 'link', 'delete', 'eth0'));
  const folder = mkdtempSync(join(tmpdir(), 'ambit-hostile-'));
  stack.defer(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'ztunnel.sock');
  const sockets = new Set<Socket>();
  stack.defer(() => {
    for (const socket of sockets) socket.destroy();
  });
  const { servers, reached } = applications(netns, sockets);
  for (const server of servers) stack.defer(() => void server.close());
  stack.use(await agent(path, netns));
  const { child, output } = spawnZtunnel({ INPOD_UDS: path, ...env });
  const exit = new Promise<void>((resolve) => void child.once('close', () => resolve()));
  stack.defer(async () => {
    child.kill('SIGKILL');
    await exit;
  });
  const isRunning = () => child.exitCode === null && child.signalCode === null;
  const isReady = async () => {
    if (!isRunning()) throw new Error(`ztunnel ended:\n${output()}`);
    const answer = await fetch('http://127.0.0.1:15021/healthz/ready', {
      headers: { connection: 'close' },
    }).catch(() => undefined);
    return answer?.status === 200;
  };
  await eventually('ztunnel is ready', isReady, START_PATIENCE_MS);
  const pid = child.pid ?? 0;
  const cleanup = stack.move();
  return {
    pid,
    output,
    isRunning,
    reached,
    said: async (what, from = 0) =>
      await eventually(
        () => `ztunnel says ${String(what)}; it said:\n${output().slice(from).slice(-4_000)}`,
        () => what.test(output().slice(from)),
      ),
    openSockets: () => openSockets(pid),
    fromPod: (ip, port) => {
      const socket = new Socket({ fd: tcpSocket({ netnsFd: netns.fd, family: 4 }), allowHalfOpen: true });
      sockets.add(socket);
      socket.on('error', () => undefined);
      return socket.connect(port, ip);
    },
    [Symbol.asyncDispose]: async () => await cleanup.disposeAsync(),
  };
}

/** Waits until `holds`. */
export async function eventually(
  what: string | (() => string),
  holds: () => boolean | Promise<boolean>,
  timeoutMs = PATIENCE_MS,
): Promise<void> {
  // Turns and not time: after a stall there are as many left for what has waited for them.
  for (let leftMs = timeoutMs; leftMs > 0; leftMs -= 20) {
    if (await holds()) return;
    await systemClock.sleep(20);
  }
  throw new Error(`in vain waited until ${typeof what === 'string' ? what : what()}`);
}

function connectToNeighbour(netns: TestNetns): void {
  netns.run(
    'ip',
    'link',
    'add',
    'eth0',
    'type',
    'veth',
    'peer',
    'name',
    'hostile0',
    'netns',
    String(process.pid),
  );
  netns.run('ip', 'address', 'add', `${POD_IP}/24`, 'dev', 'eth0');
  netns.run('ip', 'link', 'set', 'eth0', 'up');
  const here = (...command: readonly string[]) =>
    netns.run('nsenter', `--net=/proc/${process.pid}/ns/net`, ...command);
  here('ip', 'address', 'add', `${NEIGHBOUR_IP}/24`, 'dev', 'hostile0');
  here('ip', 'link', 'set', 'hostile0', 'up');
  netns.nft(`table ip redirection {
    chain in {
      type nat hook prerouting priority -100
      iifname "eth0" tcp dport { ${ECHO_PORT}, ${STALLED_PORT} } redirect to :15006
    }
    chain out {
      type nat hook output priority -100
      oifname "eth0" meta mark != ${OWN_MARK} tcp dport { ${ECHO_PORT}, ${STALLED_PORT} } redirect to :15001
    }
  }`);
}

function applications(netns: TestNetns, sockets: Set<Socket>) {
  let reached = 0;
  const serve = (port: number, onConnection: (socket: Socket) => void): Server => {
    const { fd } = listenTcp({ netnsFd: netns.fd, ip: '0.0.0.0', port });
    return createServer({ allowHalfOpen: true, pauseOnConnect: port === STALLED_PORT }, (socket) => {
      reached += 1;
      sockets.add(socket);
      socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
      onConnection(socket);
    }).listen({ fd });
  };
  const servers = [
    serve(ECHO_PORT, (socket) => void socket.pipe(socket)),
    serve(STALLED_PORT, () => undefined),
  ];
  return { servers, reached: () => reached };
}

async function goodAgent(path: string, { fd }: TestNetns): Promise<AsyncDisposable> {
  const snapshot = () => [{ pod: POD, netnsFd: fd }];
  const agent = new ZdsServer({ path, snapshot, clock: systemClock, log: silentLogger });
  await agent.start(AbortSignal.timeout(120_000));
  return agent;
}

function spawnZtunnel(env: Readonly<Record<string, string>>): { child: ChildProcess; output: () => string } {
  const child = spawn(process.execPath, [MAIN, 'proxy', 'ztunnel'], {
    env: {
      PROXY_MODE: 'shared',
      XDS_ADDRESS: '',
      FAKE_CA: 'true',
      TRUST_DOMAIN,
      ENABLE_ORIG_SRC: 'false',
      CONNECTION_TERMINATION_DEADLINE: '1s',
      ZTUNNEL_WORKER_THREADS: '1',
      // Its sockets are counted.
      POOL_UNUSED_RELEASE_TIMEOUT: '1s',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  const collect = (chunk: Buffer) => {
    text += chunk.toString();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  return { child, output: () => text };
}

function openSockets(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((fd) => {
    try {
      return readlinkSync(join(folder, fd)).startsWith('socket:');
    } catch {
      return false;
    }
  }).length;
}
