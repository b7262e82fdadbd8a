import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'embedded-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** @param until - Interrupts the process once it has printed this. */
function run(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  until?: string,
): Promise<{ readonly code: number | null; readonly text: string }> {
  return new Promise((resolve) => {
    const main = new URL('./main.ts', import.meta.url).pathname;
    const child = spawn(process.execPath, [main, ...args], { env: environment });
    let text = '';
    let interrupted = false;
    const add = (chunk: Buffer) => {
      text += chunk.toString();
      if (until === undefined || interrupted || !text.includes(until)) return;
      interrupted = true;
      child.kill('SIGTERM');
    };
    child.stdout.on('data', add);
    child.stderr.on('data', add);
    child.on('close', (code) => resolve({ code, text }));
  });
}

test('serves until it is told to stop, and ends well', async () => {
  const kubeconfig = join(folder, 'kubeconfig');
  const { code, text } = await run(
    ['--kubeconfig', kubeconfig, '--folder', join(folder, 'data')],
    {},
    'serves',
  );
  expect({ code, stopped: text.includes('stopping') }).toEqual({ code: 0, stopped: true });
  expect(existsSync(kubeconfig)).toBe(true);
  expect(existsSync(join(folder, 'data', 'lock'))).toBe(false);
});

test('does not start inside of a cluster, and says why', async () => {
  const path = join(folder, 'kubeconfig');
  const { code, text } = await run(['--kubeconfig', path], { KUBERNETES_SERVICE_HOST: '10.0.0.1' });
  expect(code).toBe(1);
  expect(text).toContain('KUBERNETES_SERVICE_HOST is set');
  expect(existsSync(path)).toBe(false);
});

test.each([
  ['without a kubeconfig', []],
  ['with a port that cannot be', ['--kubeconfig', 'x', '--port', '99999']],
  ['with a policy that is none', ['--kubeconfig', 'x', '--sync', 'sometimes']],
])('%s it shows how it is used', async (_, args) => {
  const { code, text } = await run(args);
  expect(code).toBe(2);
  expect(text).toContain('usage: ambit-embedded');
});

test('a port that is taken is said so', async () => {
  const path = join(folder, 'kubeconfig');
  const { code, text } = await run(['--kubeconfig', path, '--host', '192.0.2.1']);
  expect(code).toBe(1);
  expect(text).toContain('cannot listen on 192.0.2.1:0');
});
