import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, test } from '@jest/globals';

const MAIN = join(import.meta.dirname, 'main.ts');
const KUBECONFIG = {
  apiVersion: 'v1',
  kind: 'Config',
  clusters: [{ name: 'c', cluster: { server: 'http://127.0.0.1:1' } }],
  users: [{ name: 'u', user: { token: 't' } }],
  contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
  'current-context': 'x',
};

test.each(['sys_admin', 'net_admin'])('without %s the agent ends with 1, and says so', async (capability) => {
  using stack = new DisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'ambit-privileges-'));
  stack.defer(() => rmSync(folder, { recursive: true }));
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, JSON.stringify(KUBECONFIG));
  const less = `-${capability}`;
  const drop = [`--bounding-set=${less}`, `--inh-caps=${less}`, `--ambient-caps=${less}`];
  const child = spawn('setpriv', [...drop, process.execPath, MAIN], {
    env: { PATH: process.env['PATH'], KUBECONFIG: kubeconfig, NODE_NAME: 'n1', CNI_AGENT_RUN_DIR: folder },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  stack.defer(() => void child.kill('SIGKILL'));
  const said = text(child.stderr);
  const code = await new Promise((resolve) => void child.once('close', resolve));
  expect([code, await said]).toEqual([1, `Error: missing capabilities: CAP_${capability.toUpperCase()}\n`]);
});
