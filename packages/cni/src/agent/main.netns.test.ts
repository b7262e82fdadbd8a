import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { FakeApiServer } from '@ambit/kube/testing/fake-api-server';

const MAIN = join(import.meta.dirname, 'main.ts');
const PORT = 18_000;

let folder: string;
let api: FakeApiServer;
let child: ChildProcess | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-main-'));
  api = new FakeApiServer();
  const server = await api.start();
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server } }],
    users: [{ name: 'u', user: { token: 't' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  writeFileSync(join(folder, 'kubeconfig'), JSON.stringify(kubeconfig));
  for (const name of ['source', 'net.d']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'source/istio-cni'), 'plugin');
});

afterEach(async () => {
  if (child && child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'close');
  }
  await api[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

function start(env: Record<string, string>) {
  const started = spawn(process.execPath, [MAIN], {
    env: {
      PATH: process.env['PATH'],
      KUBECONFIG: join(folder, 'kubeconfig'),
      NODE_NAME: 'n1',
      AMBIT_HOST_ROOT: folder,
      AMBIT_CNI_PLUGIN_SOURCE: join(folder, 'source'),
      AMBIT_CNI_BIN_DIR: join(folder, 'bin'),
      MOUNTED_CNI_NET_DIR: join(folder, 'net.d'),
      CNI_AGENT_RUN_DIR: join(folder, 'run'),
      ZTUNNEL_UDS_ADDRESS: join(folder, 'ztunnel.sock'),
      AMBIT_HEALTH_PORT: String(PORT),
      MONITORING_PORT: String(PORT + 1),
      ...env,
    },
  });
  child = started;
  return { started, stdout: text(started.stdout), stderr: text(started.stderr) };
}

const page = async (path: string, port = PORT) => {
  const response = await fetch(`http://[::1]:${port}${path}`).catch(() => undefined);
  return response && { status: response.status, body: await response.text() };
};

async function readyIs(status: number): Promise<string> {
  for (let left = 2_000; left > 0; left -= 1) {
    const ready = await page('/readyz');
    if (ready?.status === status) return ready.body;
    await systemClock.sleep(20);
  }
  throw new Error(`/readyz never answered ${status}`);
}

test('it waits for a CNI configuration, is ready then, and removes the plugin when its DaemonSet is gone', async () => {
  const { started, stdout } = start({});
  expect(await readyIs(503)).toMatch(/^not ready, pending: .*CNI configuration/);
  expect((await page('/healthz'))?.status).toBe(200);
  writeFileSync(
    join(folder, 'net.d/10-x.conflist'),
    '{"cniVersion":"1.0.0","name":"x","plugins":[{"type":"ptp"}]}',
  );
  await readyIs(200);
  expect((await page('/metrics', PORT + 1))?.body).toMatch(/istio_cni_install_ready 1\n[\s\S]*# EOF\n$/);
  expect((await page('/debug/clear-connections', PORT + 1))?.body).toBe('[]\n');
  started.kill('SIGTERM');
  expect(await once(started, 'close')).toEqual([0, null]);
  expect(existsSync(join(folder, 'bin/istio-cni'))).toBe(false);
  expect(await stdout).toMatch(/plugin and host rules are removed.*no DaemonSet/);
});

test.each([
  ['a node without a name', { NODE_NAME: '' }, /NODE_NAME is not set/],
  [
    'addresses that are none',
    { HOST_PROBE_SNAT_IP: 'x', AMBIENT_ENABLEMENT_SELECTOR: '{' },
    /AMBIENT_ENABLEMENT_SELECTOR=[\s\S]*HOST_PROBE_SNAT_IP=x/,
  ],
  ['no way to the API server', { KUBECONFIG: '/nowhere' }, /\/nowhere/],
  ['a port that is taken', { AMBIT_HEALTH_PORT: '18001' }, /18001/],
])('%s ends it with a sentence', async (_, env, says) => {
  const { started, stderr, stdout } = start(env);
  expect(await once(started, 'close')).toEqual([1, null]);
  expect(`${await stderr}${await stdout}`).toMatch(says);
});
