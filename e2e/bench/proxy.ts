/**
 * A ztunnel under test: ours or any other that speaks the same interfaces. Both are started the same way: shared mode, pods
 * over ZDS, state from a file or a control plane, certificates from the built-in test CA.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NftBackend } from '@ambit/cni/rules/nft-backend';
import { runCommand } from '@ambit/cni/rules/command';
import { PROBE_SOURCE_V4, PROBE_SOURCE_V6 } from '@ambit/cni/rules/constants';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { openNetns } from '@ambit/linux/netns';
import { ZdsServer } from '@ambit/zds/agent-side';
import { startControlPlane } from './control-plane.ts';
import { stateFile, stateResources } from './mesh-state.ts';
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

const PODS = [
  { uid: 'bench-client', name: 'client', namespace: 'bench', serviceAccount: 'client' },
  { uid: 'bench-server', name: 'server', namespace: 'bench', serviceAccount: 'server' },
] as const;

/** Starts the proxy, announces both pods, loads their rules, and waits until the server answers through it. */
export async function startProxy(
  topology: Topology,
  side: Side,
  options: {
    readonly workers: number;
    readonly extraWorkloads: number;
    /** Default: a file. */
    readonly source?: 'file' | 'xds';
  },
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
    writeFileSync(state, stateFile(options.extraWorkloads));
  }

  const namespaces = [topology.client, topology.server].map((name) => openNetns(`/run/netns/${name}`));
  for (const namespace of namespaces) scope.use(namespace);
  const entries = PODS.map((pod, index) => ({ pod, netnsFd: namespaces[index]?.fd ?? -1 }));
  const agent = new ZdsServer({
    path: socket,
    snapshot: () => entries,
    clock: systemClock,
    log: silentLogger,
  });
  await agent.start(AbortSignal.timeout(READY_TIMEOUT_MS));
  scope.defer(() => agent[Symbol.asyncDispose]());

  const child = start(side, { socket, source, log, workers: options.workers });
  scope.defer(() => end(child));
  await ready(child, log);

  const rules = new NftBackend(runCommand, systemClock);
  for (const namespace of namespaces) {
    await rules.apply(namespace.fd, {
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
    readonly socket: string;
    readonly source: Readonly<Record<string, string>>;
    readonly log: string;
    readonly workers: number;
  },
): ChildProcess {
  const [program = '', ...args] = side.command;
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
      NODE_NAME: 'bench',
      RUST_LOG: 'error',
      ISTIO_META_DNS_CAPTURE: 'false',
      IPV6_ENABLED: 'false',
      ZTUNNEL_WORKER_THREADS: String(at.workers),
      ...side.env,
    },
  });
}

async function ready(child: ChildProcess, log: string): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline) {
    if (child.exitCode !== null)
      throw new Error(`ztunnel ended with ${child.exitCode}:\n${readFileSync(log, 'utf8').slice(-4_000)}`);
    const response = await fetch('http://127.0.0.1:15021/healthz/ready').catch(() => undefined);
    if (response?.status === 200) return;
    await systemClock.sleep(50);
  }
  throw new Error(
    `ztunnel is not ready after ${READY_TIMEOUT_MS} ms:\n${readFileSync(log, 'utf8').slice(-4_000)}`,
  );
}
