/**
 * `node packages/lab/src/main.ts [--nodes N] [--no-mesh] [--kubeconfig PATH] [FILE…]`: a lab in the foreground until Ctrl-C.
 *
 * The same file runs twice: outside it makes the sandbox and a way in for `kubectl`; inside it is the lab.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { LogRoot, parseLogFilter } from '@ambit/core/log';
import { applyAll, parseManifests } from './apply.ts';
import { bridge, writeKubeconfigFor } from './demo/api-bridge.ts';
import { startLab } from './lab.ts';
import { installMesh } from './mesh.ts';
import { probeSandbox, SANDBOX_VARIABLE, SandboxError, spawnInSandbox } from './sandbox.ts';

const USAGE = `usage: ambit-lab [--nodes N] [--no-mesh] [--kubeconfig PATH] [--log LEVEL] [FILE…]

Starts a Kubernetes-compatible API and N nodes (default 2) on this machine, with the mesh unless told otherwise, applies
the FILEs, and stays until Ctrl-C. Writes a kubeconfig to PATH (default ./ambit-lab.kubeconfig).
`;

/** Where inside and outside meet; set by the outer process. */
const FOLDER_VARIABLE = 'AMBIT_LAB_FOLDER';
const KILL_AFTER_MS = 20_000;

const options = {
  nodes: { type: 'string', default: '2' },
  'no-mesh': { type: 'boolean', default: false },
  kubeconfig: { type: 'string', default: 'ambit-lab.kubeconfig' },
  log: { type: 'string', default: 'warn' },
  help: { type: 'boolean', default: false },
} as const;

type Arguments = ReturnType<typeof readArguments>;

function readArguments() {
  return parseArgs({ options, allowPositionals: true });
}

async function main(): Promise<number> {
  const parsed = readArguments();
  if (parsed.values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const folder = process.env[FOLDER_VARIABLE];
  const isInside = process.env[SANDBOX_VARIABLE] === '1' && folder !== undefined;
  return isInside ? await inside(folder, parsed) : await outside(parsed);
}

async function outside({ values }: Arguments): Promise<number> {
  const asRoot = process.getuid?.() === 0;
  probeSandbox(asRoot);
  const folder = mkdtempSync(join(tmpdir(), 'ambit-lab-'));
  const kubeconfig = resolve(values.kubeconfig);
  try {
    const command = [process.execPath, new URL(import.meta.url).pathname, ...process.argv.slice(2)];
    const child = spawnInSandbox(command, { asRoot, env: { ...process.env, [FOLDER_VARIABLE]: folder } });
    let running = true;
    const ended = new Promise<number>((done) => {
      child.on('close', (status, signal) => {
        running = false;
        done(status ?? (signal === 'SIGINT' ? 130 : 1));
      });
    });
    // The terminal tells the whole group; the inside then has time to end by itself.
    process.on('SIGINT', () => void systemClock.after(KILL_AFTER_MS, () => child.kill('SIGKILL')));
    process.on('SIGTERM', () => child.kill('SIGKILL'));
    const socket = join(folder, 'api.sock');
    while (running && !existsSync(socket)) await systemClock.sleep(100);
    if (running) {
      const server = await bridge({ host: '127.0.0.1', port: 0 }, { path: socket });
      const address = server.address();
      const port = typeof address === 'object' && address ? address.port : 0;
      server.unref();
      writeKubeconfigFor(port, join(folder, 'kubeconfig.inside'), kubeconfig);
      process.stdout.write(`ready: export KUBECONFIG=${kubeconfig}\n`);
    }
    return await ended;
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(kubeconfig, { force: true });
  }
}

async function inside(folder: string, { values, positionals }: Arguments): Promise<number> {
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => abort.abort(new Error(name)));
  const filter = parseLogFilter(values.log);
  if (!filter) {
    process.stderr.write(USAGE);
    return 2;
  }
  const log = new LogRoot({ filter, format: 'plain' }).scope('lab');
  const kubeconfigPath = join(folder, 'kubeconfig.inside');
  try {
    const nodes = Number(values.nodes);
    await using lab = await startLab({ nodes, environment: process.env, kubeconfigPath, log });
    abort.signal.throwIfAborted();
    if (!values['no-mesh']) await installMesh(lab, abort.signal);
    for (const file of positionals)
      await applyAll(lab.client, parseManifests(readFileSync(file, 'utf8')), abort.signal);
    const { hostname, port } = new URL(lab.api.url);
    const server = await bridge({ path: join(folder, 'api.sock') }, { host: hostname, port: Number(port) });
    await new Promise<void>((done) => abort.signal.addEventListener('abort', () => done(), { once: true }));
    server.close();
  } catch (error) {
    if (!abort.signal.aborted) throw error;
  }
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`ambit-lab: ${messageOf(error)}\n`);
  process.exitCode = error instanceof SandboxError ? 77 : 1;
}
