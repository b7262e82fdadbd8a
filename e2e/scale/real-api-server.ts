/**
 * A real etcd and kube-apiserver on loopback, without nodes or controllers: what a control plane alone can be put in front
 * of.
 *
 * The API server can be killed and started again on the same etcd, which keeps everything.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@ambit/core/clock';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';
import { AccessSource } from '@ambit/kube/access';
import { KubeClient } from '@ambit/kube/client';
import { clusterBinaries } from '../cluster/local/binaries.ts';

/** How long it may take to build etcd and the API server, which is done once. */
export const BUILD_TIMEOUT_MS = 30 * 60_000;
const START_TIMEOUT_MS = 120_000;
const POLL_MS = 50;
const ISSUER = 'https://kubernetes.default.svc.cluster.local';

export interface RealApiServer extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** PEM: whom its certificate is from. */
  readonly rootPem: string;
  /** Of a cluster administrator. */
  readonly adminToken: string;
  /** Everything is allowed to it. */
  readonly admin: KubeClient;
  /** Of etcd and of the API server. */
  readonly pids: readonly number[];
  /** SIGKILL; returns when the process is gone. */
  kill(): Promise<void>;
  /** Starts it again after {@link kill}; returns when it is ready. */
  restart(): Promise<void>;
  /** Forgets the history of etcd, as it does by itself every five minutes: what is watched from before is "too old". */
  compact(): Promise<void>;
  /** One call of etcd's HTTP gateway, below `v3/kv/`; keys and values are base64. */
  etcd(call: string, body: object): Promise<EtcdAnswer>;
}

export interface EtcdAnswer {
  readonly header?: { readonly revision?: string };
}

/** One for a suite: built if need be, in a folder that goes with `scope`. */
export async function apiServerFor(
  scope: AsyncDisposableStack,
): Promise<{ readonly api: RealApiServer; readonly folder: string }> {
  const cache = process.env['AMBIT_CACHE'] ?? join(homedir(), '.cache', 'ambit');
  const binaries = await clusterBinaries(cache, () => undefined, AbortSignal.timeout(BUILD_TIMEOUT_MS));
  const folder = mkdtempSync(join(tmpdir(), 'ambit-real-api-'));
  scope.defer(() => rmSync(folder, { recursive: true, force: true }));
  return { api: scope.use(await startApiServer(binaries, folder)), folder };
}

/**
 * @param binaries - The folder of `etcd` and `kube-apiserver`.
 * @param folder - For data, keys and logs; must exist.
 */
export async function startApiServer(binaries: string, folder: string): Promise<RealApiServer> {
  for (const name of ['etcd', 'kube-apiserver'])
    if (!existsSync(join(binaries, name))) throw new Error(`${join(binaries, name)} is not there`);
  await using scope = new AsyncDisposableStack();
  const adminToken = randomUUID();
  const ports = { etcd: await freePort(), etcdPeer: await freePort(), api: await freePort() };
  const { rootPem } = await writeKeys(folder, adminToken);

  const etcd = run(join(binaries, 'etcd'), etcdArguments(folder, ports), folder);
  scope.defer(() => end(etcd));
  const server = `https://127.0.0.1:${ports.api}`;
  const source = new AccessSource(
    () =>
      Promise.resolve({
        server: new URL(server),
        tls: { ca: rootPem },
        headers: { authorization: `Bearer ${adminToken}` },
        namespace: 'default',
      }),
    systemClock,
  );
  const admin = scope.use(new KubeClient(source));
  const start = () => run(join(binaries, 'kube-apiserver'), apiServerArguments(folder, ports), folder);
  let process = start();
  scope.defer(() => end(process));
  await ready(admin, process, folder);

  const owned = scope.move();
  return {
    host: '127.0.0.1',
    port: ports.api,
    rootPem,
    adminToken,
    admin,
    get pids() {
      return [etcd, process].map(({ pid }) => pid ?? 0);
    },
    kill: async () => {
      process.kill('SIGKILL');
      if (process.exitCode === null && process.signalCode === null) await once(process, 'close');
    },
    restart: async () => {
      process = start();
      await ready(admin, process, folder);
    },
    etcd: (call, body) => askEtcd(ports.etcd, call, body),
    compact: () => compactEtcd(ports.etcd),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function writeKeys(folder: string, adminToken: string): Promise<{ readonly rootPem: string }> {
  mkdirSync(join(folder, 'log'), { recursive: true });
  const authority = await createSelfSignedCa({ clock: systemClock });
  const names = { dnsNames: ['localhost', 'kubernetes.default.svc'], ips: ['127.0.0.1', '10.96.0.1'] };
  const { certificatePem, keys } = await authority.issueServer(names);
  const pem = { format: 'pem' } as const;
  const accounts = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const rootPem = authority.material.rootsPem.join('');
  const files: Record<string, string> = {
    'api.crt': certificatePem,
    'api.key': keys.privateKey.export({ ...pem, type: 'pkcs8' }).toString(),
    'accounts.key': accounts.privateKey.export({ ...pem, type: 'pkcs8' }).toString(),
    'accounts.pub': accounts.publicKey.export({ ...pem, type: 'spki' }).toString(),
    'tokens.csv': `${adminToken},admin,admin,system:masters\n`,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { mode: 0o600 });
  return { rootPem };
}

function etcdArguments(folder: string, ports: Ports): readonly string[] {
  const client = `http://127.0.0.1:${ports.etcd}`;
  const peer = `http://127.0.0.1:${ports.etcdPeer}`;
  return [
    '--name=scale',
    `--data-dir=${join(folder, 'etcd')}`,
    // The data ends with the run.
    '--unsafe-no-fsync',
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=scale=${peer}`,
    '--log-level=warn',
  ];
}

function apiServerArguments(folder: string, ports: Ports): readonly string[] {
  return [
    `--etcd-servers=http://127.0.0.1:${ports.etcd}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    // The endpoint of the Service "kubernetes" may not be loopback, and nobody here uses it.
    '--endpoint-reconciler-type=none',
    `--secure-port=${ports.api}`,
    `--tls-cert-file=${join(folder, 'api.crt')}`,
    `--tls-private-key-file=${join(folder, 'api.key')}`,
    `--token-auth-file=${join(folder, 'tokens.csv')}`,
    `--service-account-issuer=${ISSUER}`,
    `--service-account-signing-key-file=${join(folder, 'accounts.key')}`,
    `--service-account-key-file=${join(folder, 'accounts.pub')}`,
    '--authorization-mode=RBAC',
    '--service-cluster-ip-range=10.96.0.0/16',
  ];
}

async function ready(admin: KubeClient, process: ChildProcess, folder: string): Promise<void> {
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    if (process.exitCode !== null || process.signalCode !== null || performance.now() > deadlineMs)
      throw new Error(`the API server is not ready:\n${tail(folder, 'kube-apiserver')}`);
    const answer = await admin.request({ method: 'GET', path: '/version' }).catch(() => undefined);
    if (answer !== undefined && (await isReady(admin))) return;
    await systemClock.sleep(POLL_MS);
  }
}

/** `/readyz` answers in plain text, which the client does not read: its status is enough. */
async function isReady(admin: KubeClient): Promise<boolean> {
  const answer = await admin.transport
    .send({ method: 'GET', path: '/readyz', signal: AbortSignal.timeout(5_000) })
    .catch(() => undefined);
  answer?.resume();
  return answer?.statusCode === 200;
}

/** What `etcdctl compact` does with the newest revision. */
async function compactEtcd(port: number): Promise<void> {
  const { header } = await askEtcd(port, 'range', { key: Buffer.from('/').toString('base64') });
  await askEtcd(port, 'compaction', { revision: header?.revision ?? '0', physical: true });
}

async function askEtcd(port: number, call: string, body: object): Promise<EtcdAnswer> {
  const response = await fetch(`http://127.0.0.1:${port}/v3/kv/${call}`, {
    method: 'POST',
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`etcd ${call}: ${response.status} ${await response.text()}`);
  return (await response.json()) as EtcdAnswer;
}

interface Ports {
  readonly etcd: number;
  readonly etcdPeer: number;
  readonly api: number;
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

function run(program: string, args: readonly string[], folder: string): ChildProcess {
  const name = program.slice(program.lastIndexOf('/') + 1);
  const log = openSync(join(folder, 'log', `${name}.log`), 'a');
  return spawn(program, args, { stdio: ['ignore', log, log] });
}

function tail(folder: string, name: string): string {
  return readFileSync(join(folder, 'log', `${name}.log`), 'utf8').slice(-3_000);
}

async function end(process: ChildProcess): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) return;
  const closed = once(process, 'close');
  process.kill('SIGKILL');
  await closed;
}
