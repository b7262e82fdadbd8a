import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { TestNamespaces } from '@ambit/linux/testing/namespaces';
import { ZdsServer } from '@ambit/zds/agent-side';

const MAIN = new URL('./main.ts', import.meta.url).pathname;
const MESH = `
workloads: [{uid: u, name: web-0, namespace: shop, serviceAccount: web, trustDomain: td, workloadIps: [127.0.0.1], protocol: HBONE, services: {}}]
`;

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

interface Process {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

function run(env: Readonly<Record<string, string>>): Process {
  const child = spawn(process.execPath, [MAIN, 'proxy', 'ztunnel'], {
    env: {
      PROXY_MODE: 'dedicated',
      PROXY_WORKLOAD_INFO: 'shop/web-0/web',
      XDS_ADDRESS: '',
      FAKE_CA: 'true',
      CONNECTION_TERMINATION_DEADLINE: '2s',
      ZTUNNEL_WORKER_THREADS: '2',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  cleanups.push(() => void child.kill('SIGKILL'));
  let text = '';
  const collect = (chunk: Buffer) => {
    text += chunk.toString();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const exit = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
    child.once('close', (code, signal) => resolve({ code, signal })),
  );
  return { child, output: () => text, exit };
}

const isOpen = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    cleanups.push(() => void socket.destroy());
  });

async function ready({ child, output }: Process): Promise<void> {
  // Turns and not time: after a stall there are as many left for what has waited for them.
  for (let turn = 0; ; turn += 1) {
    const options = { headers: { connection: 'close' } };
    const answer = await fetch('http://127.0.0.1:15021/healthz/ready', options).catch(() => undefined);
    if (answer?.status === 200) return;
    if (turn === 1_000 || child.exitCode !== null) throw new Error(`not ready:\n${output()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function localFile(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-main-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'mesh.yaml');
  writeFileSync(path, text);
  return path;
}

describe('the process', () => {
  test('opens its ports, says what it holds, and ends gracefully on SIGTERM', async () => {
    const ztunnel = run({ LOCAL_XDS_PATH: localFile(MESH) });
    await ready(ztunnel);
    const open = [15000, 15001, 15006, 15008, 15020, 15021, 15053];
    expect(await Promise.all(open.map(isOpen))).toEqual(open.map(() => true));
    const dump = JSON.parse(await (await fetch('http://127.0.0.1:15000/config_dump')).text());
    expect(dump.config).toMatchObject({
      proxyMode: 'Dedicated',
      numWorkerThreads: 2,
      proxyArgs: 'proxy ztunnel',
    });
    expect(dump.staticConfig.workloads).toHaveLength(1);
    expect(ztunnel.output()).toContain('started');
    ztunnel.child.kill('SIGTERM');
    expect(await ztunnel.exit).toEqual({ code: 0, signal: null });
    expect(ztunnel.output()).toContain('drained');
  });

  test('ends gracefully when asked on the admin port, and logs JSON when told to', async () => {
    const ztunnel = run({ LOCAL_XDS: MESH, LOG_FORMAT: 'json' });
    await ready(ztunnel);
    await fetch('http://127.0.0.1:15000/quitquitquit', { method: 'POST', headers: { connection: 'close' } });
    expect(await ztunnel.exit).toEqual({ code: 0, signal: null });
    const lines = ztunnel.output().trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).scope)).toContain('app');
    expect(ztunnel.output()).not.toMatch(/PRIVATE KEY/);
  });

  const failures: Record<string, { env: Readonly<Record<string, string>>; says: RegExp; port?: number }> = {
    'bad YAML': { env: { LOCAL_XDS_PATH: 'FILE workloads: [{name: 1}' }, says: /mesh\.yaml.*line 1/s },
    'a file that is not there': {
      env: { LOCAL_XDS_PATH: '/nowhere/mesh.yaml' },
      says: /ENOENT.*\/nowhere\/mesh\.yaml/,
    },
    'the admin port': {
      env: { LOCAL_XDS: MESH },
      port: 15000,
      says: /cannot listen on 127\.0\.0\.1:15000 for admin: address in use/,
    },
    'the metrics port': {
      env: { LOCAL_XDS: MESH },
      port: 15020,
      says: /cannot listen on .*:15020 for stats: address in use/,
    },
    'the inbound port': {
      env: { LOCAL_XDS: MESH },
      port: 15008,
      says: /15008.*(in use|EADDRINUSE)/s,
    },
    'the DNS port': { env: { LOCAL_XDS: MESH }, port: 15053, says: /15053.*EADDRINUSE|EADDRINUSE.*15053/s },
  };

  test.each(Object.entries(failures))('ends with 1 and says why: %s', async (_, { env, says, port }) => {
    if (port !== undefined) {
      const other = createServer().listen({
        host: port === 15000 || port === 15053 ? '127.0.0.1' : '::',
        port,
      });
      await new Promise((resolve) => other.once('listening', resolve));
      cleanups.push(() => void other.close());
    }
    const path = env['LOCAL_XDS_PATH'];
    const file = path?.startsWith('FILE ') ? { LOCAL_XDS_PATH: localFile(path.slice(5)) } : {};
    const ztunnel = run({ ...env, ...file });
    expect(await ztunnel.exit).toEqual({ code: 1, signal: null });
    expect(ztunnel.output()).toMatch(says);
    expect(ztunnel.output()).toContain('Error: ');
  });
});

test('the pods of a node: listeners in their namespaces before the agent hears of it, and gone after', async () => {
  using namespaces = new TestNamespaces();
  const pod = namespaces.create();
  const folder = mkdtempSync(join(tmpdir(), 'ambit-zds-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'ztunnel.sock');
  await using agent = new ZdsServer({ path, snapshot: () => [], clock: systemClock, log: silentLogger });
  await agent.start(AbortSignal.timeout(120_000));
  const ztunnel = run({ PROXY_MODE: 'shared', INPOD_UDS: path, LOCAL_XDS: MESH });
  await ready(ztunnel);
  const listening = (protocol: string) =>
    pod
      .run('ss', '-Hln', protocol)
      .split('\n')
      .flatMap((line) => /:(15\d{3})\b/.exec(line)?.[1] ?? []);
  const uid = 'web-uid';
  await agent.add({ pod: { uid, name: 'web-0', namespace: 'shop', serviceAccount: 'web' }, netnsFd: pod.fd });
  expect(new Set(listening('-t'))).toEqual(new Set(['15001', '15006', '15008', '15053']));
  expect(new Set(listening('-u'))).toEqual(new Set(['15053']));
  const dump = JSON.parse(await (await fetch('http://127.0.0.1:15000/config_dump')).text());
  expect(dump.workloadState[uid]).toMatchObject({ state: 'Up' });
  await agent.remove(uid);
  for (let turn = 0; turn < 500 && listening('-t').length > 0; turn += 1)
    await new Promise((resolve) => setTimeout(resolve, 50));
  expect([listening('-t'), listening('-u')]).toEqual([[], []]);
  ztunnel.child.kill('SIGTERM');
  expect(await ztunnel.exit).toEqual({ code: 0, signal: null });
});

test('without privileges it says what it needs', async () => {
  const unprivileged = spawn(
    'setpriv',
    ['--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all', process.execPath, MAIN],
    { env: { XDS_ADDRESS: '', FAKE_CA: 'true' }, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let text = '';
  unprivileged.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const code = await new Promise((resolve) => unprivileged.once('close', resolve));
  expect(code).toBe(1);
  expect(text).toContain('this process may not serve other network namespaces');
  expect(text).toContain('CAP_SYS_ADMIN');
});
