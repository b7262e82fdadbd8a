/**
 * A ztunnel under test: ours or any other that speaks the same interfaces. Both are started the same way: shared mode, pods
 * over ZDS, state from a file or a control plane, certificates from the built-in test CA.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { NftBackend } from '@ambit/cni/rules/nft-backend';
import { runCommand } from '@ambit/cni/rules/command';
import { PROBE_SOURCE_V4, PROBE_SOURCE_V6 } from '@ambit/cni/rules/constants';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { openNetns } from '@ambit/linux/netns';
import { tcpSocket } from '@ambit/linux/sockets';
import { ZdsServer } from '@ambit/zds/agent-side';
import { startControlPlane } from './control-plane.ts';
import { type Nodes, ONE_NODE, stateFile, stateResources, TWO_NODES } from './mesh-state.ts';
import { end, type Topology } from './topology.ts';

export interface Side {
  readonly name: string;
  /** Program and arguments. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface RunningProxy extends AsyncDisposable {
  readonly pid: number;
  /** What it printed so far: for an error message. */
  output(): string;
}

const READY_TIMEOUT_MS = 30_000;
const ANSWER_TIMEOUT_MS = 1_000;

type PodName = keyof Nodes;

interface ProxyOptions {
  readonly workers: number;
  readonly extraWorkloads: number;
  /** Default: a file. */
  readonly source?: 'file' | 'xds';
}

/** Which node a proxy is of. */
interface Place {
  readonly nodes: Nodes;
  readonly pods: readonly PodName[];
  /** Whose network the process is in; `undefined`: this one's. */
  readonly namespace: string | undefined;
}

/** Starts a proxy of both pods, announces them, loads their rules, and waits until it is ready. */
export function startProxy(topology: Topology, side: Side, options: ProxyOptions): Promise<RunningProxy> {
  const place = { nodes: ONE_NODE, pods: ['client', 'server'], namespace: undefined } as const;
  return startAt(place, topology, side, options);
}

/** The same with a proxy for each pod, as on two nodes. */
export async function startTwoProxies(
  topology: Topology,
  side: Side,
  options: ProxyOptions,
): Promise<readonly RunningProxy[] & AsyncDisposable> {
  await using scope = new AsyncDisposableStack();
  const places: readonly Place[] = [
    { nodes: TWO_NODES, pods: ['client'], namespace: undefined },
    { nodes: TWO_NODES, pods: ['server'], namespace: topology.serverNode },
  ];
  const proxies: RunningProxy[] = [];
  for (const place of places) proxies.push(scope.use(await startAt(place, topology, side, options)));
  const owned = scope.move();
  return Object.assign(proxies, { [Symbol.asyncDispose]: () => owned.disposeAsync() });
}

async function startAt(
  { nodes, pods, namespace }: Place,
  topology: Topology,
  side: Side,
  options: ProxyOptions,
): Promise<RunningProxy> {
  await using scope = new AsyncDisposableStack();
  const folder = mkdtempSync('/tmp/ambit-bench-');
  scope.defer(() => rmSync(folder, { recursive: true, force: true }));
  const socket = join(folder, 'zds.sock');
  const state = join(folder, 'state.yaml');
  const log = join(folder, 'log');
  let source: Readonly<Record<string, string>> = { XDS_ADDRESS: '', LOCAL_XDS_PATH: state };
  if (options.source === 'xds') {
    const controlPlane = scope.use(await startControlPlane(stateResources(options.extraWorkloads)));
    const roots = join(folder, 'roots.pem');
    writeFileSync(roots, controlPlane.rootsPem);
    source = { XDS_ADDRESS: controlPlane.address, XDS_ROOT_CA: roots };
  } else {
    writeFileSync(state, stateFile(options.extraWorkloads, nodes));
  }

  const entries = pods.map((name) => ({
    pod: { uid: `bench-${name}`, name, namespace: 'bench', serviceAccount: name },
    netnsFd: scope.use(openNetns(`/run/netns/${topology[name]}`)).fd,
  }));
  const agent = new ZdsServer({
    path: socket,
    snapshot: () => entries,
    clock: systemClock,
    log: silentLogger,
  });
  await agent.start(AbortSignal.timeout(READY_TIMEOUT_MS));
  scope.defer(() => agent[Symbol.asyncDispose]());

  const node = nodes[pods[0] ?? 'client'];
  const child = start(side, { namespace, node, socket, source, log, workers: options.workers });
  scope.defer(() => end(child));
  const home = namespace === undefined ? undefined : scope.use(openNetns(`/run/netns/${namespace}`));
  await ready(child, home?.fd, log);

  const rules = new NftBackend(runCommand, systemClock);
  for (const { netnsFd } of entries) {
    await rules.apply(netnsFd, {
      ipv6: false,
      dnsCapture: false,
      bypassInbound: false,
      virtualInterfaces: [],
      probeSources: { v4: PROBE_SOURCE_V4, v6: PROBE_SOURCE_V6 },
    });
  }
  const owned = scope.move();
  return {
    pid: child.pid ?? 0,
    output: () => readFileSync(log, 'utf8').slice(-4_000),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function start(
  side: Side,
  at: {
    readonly namespace: string | undefined;
    readonly node: string;
    readonly socket: string;
    readonly source: Readonly<Record<string, string>>;
    readonly log: string;
    readonly workers: number;
  },
): ChildProcess {
  const enter = at.namespace === undefined ? [] : ['ip', 'netns', 'exec', at.namespace];
  const [program = '', ...args] = [...enter, ...side.command];
  const output = openSync(at.log, 'w');
  return spawn(program, args, {
    stdio: ['ignore', output, output],
    env: {
      PATH: process.env['PATH'] ?? '',
      PROXY_MODE: 'shared',
      INPOD_UDS: at.socket,
      ...at.source,
      FAKE_CA: 'true',
      CA_ADDRESS: 'https://localhost:15012',
      NODE_NAME: at.node,
      RUST_LOG: 'error',
      ISTIO_META_DNS_CAPTURE: 'false',
      IPV6_ENABLED: 'false',
      ZTUNNEL_WORKER_THREADS: String(at.workers),
      ...side.env,
    },
  });
}

async function ready(child: ChildProcess, netnsFd: number | undefined, log: string): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline) {
    if (child.exitCode !== null)
      throw new Error(`ztunnel ended with ${child.exitCode}:\n${readFileSync(log, 'utf8').slice(-4_000)}`);
    if (await saysReady(netnsFd)) return;
    await systemClock.sleep(50);
  }
  throw new Error(
    `ztunnel is not ready after ${READY_TIMEOUT_MS} ms:\n${readFileSync(log, 'utf8').slice(-4_000)}`,
  );
}

function saysReady(netnsFd: number | undefined): Promise<boolean> {
  const at = { host: '127.0.0.1', port: 15021 };
  const fd = tcpSocket({ family: 4, ...(netnsFd === undefined ? {} : { netnsFd }) });
  const createConnection = () => new Socket({ fd }).connect(at);
  return new Promise((resolve) => {
    const asked = request({ ...at, path: '/healthz/ready', createConnection }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.setTimeout(ANSWER_TIMEOUT_MS, () => asked.destroy());
    asked.on('error', () => resolve(false)).end();
  });
}
