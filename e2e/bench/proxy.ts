/**
 * A ztunnel under test: ours or any other that speaks the same interfaces. Both are started the same way: shared mode, pods
 * over ZDS, state from a file, certificates from the built-in test CA.
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
import { CLIENT_IP, end, SERVER_IP, type Topology } from './topology.ts';

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
  options: { readonly workers: number; readonly extraWorkloads: number },
): Promise<RunningProxy> {
  await using scope = new AsyncDisposableStack();
  const folder = mkdtempSync('/tmp/ambit-bench-');
  scope.defer(() => rmSync(folder, { recursive: true, force: true }));
  const socket = join(folder, 'zds.sock');
  const state = join(folder, 'state.yaml');
  const log = join(folder, 'log');
  writeFileSync(state, stateFile(options.extraWorkloads));

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

  const child = start(side, { socket, state, log, workers: options.workers });
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
  at: { readonly socket: string; readonly state: string; readonly log: string; readonly workers: number },
): ChildProcess {
  const [program = '', ...args] = side.command;
  const output = openSync(at.log, 'w');
  return spawn(program, args, {
    stdio: ['ignore', output, output],
    env: {
      PATH: process.env['PATH'] ?? '',
      PROXY_MODE: 'shared',
      INPOD_UDS: at.socket,
      LOCAL_XDS_PATH: at.state,
      XDS_ADDRESS: '',
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

function stateFile(extraWorkloads: number): string {
  const pods = [
    workload('bench-client', 'client', CLIENT_IP),
    workload('bench-server', 'server', SERVER_IP),
    ...Array.from({ length: extraWorkloads }, (_, i) =>
      workload(
        `extra-${i}`,
        `extra-${i}`,
        `10.${100 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`,
        `node-${i % 100}`,
      ),
    ),
  ];
  const services = Array.from({ length: Math.floor(extraWorkloads / 10) }, (_, i) => service(i));
  return `workloads:\n${pods.join('')}services:\n${services.join('') || '  []\n'}policies: []\n`;
}

function workload(uid: string, name: string, ip: string, node = 'bench'): string {
  const number = /^extra-(\d+)$/.exec(name)?.[1];
  const host =
    number === undefined ? undefined : `service-${Math.floor(Number(number) / 10)}.bench.svc.cluster.local`;
  const services = host === undefined ? '{}' : `{"bench/${host}": {80: 8080}}`;
  const fields = [
    `uid: "Kubernetes//Pod/bench/${uid}"`,
    `name: "${name}"`,
    'namespace: bench',
    `serviceAccount: "${number === undefined ? name : 'default'}"`,
    'trustDomain: cluster.local',
    'clusterId: Kubernetes',
    `workloadIps: ["${ip}"]`,
    'protocol: HBONE',
    `node: ${node}`,
    `services: ${services}`,
  ];
  return `  - {${fields.join(', ')}}\n`;
}

function service(index: number): string {
  const fields = [
    `name: service-${index}`,
    'namespace: bench',
    `hostname: service-${index}.bench.svc.cluster.local`,
    `vips: ["/10.96.${index >> 8}.${index & 255}"]`,
    'ports: {80: 8080}',
  ];
  return `  - {${fields.join(', ')}}\n`;
}
