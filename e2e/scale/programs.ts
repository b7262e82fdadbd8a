/** The two programs under test as processes: started, waited for, and what the kernel says they use. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { ZdsServer } from '@ambit/zds/agent-side';
import { end } from '../bench/topology.ts';
import { nowMs } from './measure.ts';
import type { RealApiServer } from './real-api-server.ts';
import { statusOf } from './status-of.ts';

/** Where the control plane serves xDS and certificates. */
export const SECURE_ADDRESS = 'localhost:15012';

const SERVICE_ACCOUNT_FOLDER = '/run/secrets/kubernetes.io/serviceaccount';
const READY_TIMEOUT_MS = 60_000;
/** Often enough to be exact, and seldom enough not to take the processor from what is waited for. */
const POLL_MS = 10;

export interface RunningProgram extends AsyncDisposable {
  readonly pid: number;
  /** From just before the process was made to the first good answer of its readiness port. */
  readonly readyAfterMs: number;
}

/** What a pod of the control plane would find mounted. */
export function mountServiceAccount(api: RealApiServer, token: string): void {
  mkdirSync(SERVICE_ACCOUNT_FOLDER, { recursive: true });
  const files = { token, 'ca.crt': api.rootPem, namespace: 'istio-system' };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(SERVICE_ACCOUNT_FOLDER, name), text);
}

export async function startControlPlane(
  command: readonly string[],
  api: RealApiServer,
  folder: string,
): Promise<RunningProgram> {
  const env = { KUBERNETES_SERVICE_HOST: api.host, KUBERNETES_SERVICE_PORT: String(api.port) };
  return await start(command, env, 'http://127.0.0.1:8080/ready', join(folder, 'log', 'istiod.log'));
}

/** How the image starts it. */
export interface NodeProxyProgram {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** A node's proxy without pods: what it holds is what the control plane tells. */
export async function startNodeProxy(
  { command, env: settings }: NodeProxyProgram,
  token: string,
  rootPath: string,
  folder: string,
): Promise<RunningProgram> {
  await using scope = new AsyncDisposableStack();
  const socket = join(folder, 'zds.sock');
  const agent = scope.use(
    new ZdsServer({ path: socket, snapshot: () => [], clock: systemClock, log: silentLogger }),
  );
  await agent.start(AbortSignal.timeout(READY_TIMEOUT_MS));
  const env = {
    ...settings,
    PROXY_MODE: 'shared',
    INPOD_UDS: socket,
    NODE_NAME: 'fake-1',
    POD_NAME: 'ztunnel-scale',
    POD_NAMESPACE: 'istio-system',
    SERVICE_ACCOUNT: 'ztunnel',
    XDS_ADDRESS: `https://${SECURE_ADDRESS}`,
    CA_ADDRESS: `https://${SECURE_ADDRESS}`,
    XDS_ROOT_CA: rootPath,
    CA_ROOT_CA: rootPath,
    AUTH_TOKEN: token,
    ISTIO_META_DNS_CAPTURE: 'false',
    ZTUNNEL_WORKER_THREADS: '2',
  };
  const log = join(folder, 'log', 'ztunnel.log');
  const program = scope.use(await start(command, env, 'http://127.0.0.1:15021/healthz/ready', log));
  const owned = scope.move();
  return { ...program, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function start(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  readyUrl: string,
  log: string,
): Promise<RunningProgram> {
  const [program = '', ...args] = command;
  const output = openSync(log, 'a');
  const startedMs = nowMs();
  const child = spawn(program, args, {
    stdio: ['ignore', output, output],
    env: { PATH: process.env['PATH'] ?? '', ...env },
  });
  const own = { [Symbol.asyncDispose]: () => end(child) };
  try {
    await ready(child, readyUrl);
    return { ...own, pid: child.pid ?? 0, readyAfterMs: nowMs() - startedMs };
  } catch (error) {
    await end(child);
    throw new Error(`${String(error)}\n${readFileSync(log, 'utf8').slice(-3_000)}`, { cause: error });
  }
}

async function ready(child: ChildProcess, url: string): Promise<void> {
  const deadlineMs = nowMs() + READY_TIMEOUT_MS;
  while (nowMs() < deadlineMs) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`the process ended with ${child.exitCode ?? child.signalCode}`);
    if ((await statusOf(url)) === 200) return;
    await systemClock.sleep(POLL_MS);
  }
  throw new Error(`not ready after ${READY_TIMEOUT_MS} ms`);
}
