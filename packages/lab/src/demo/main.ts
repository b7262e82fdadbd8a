/**
 * `npm run demo`: a mesh on one machine, proving itself. With `-- --keep` it stays until Ctrl-C.
 *
 * The same file runs twice: outside it makes the sandbox and, with `--keep`, the way in for `kubectl`; inside it runs the
 * story. Whatever the inside made ends with it.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '@ambit/core/errors';
import { systemClock } from '@ambit/core/clock';
import { LogRoot, parseLogFilter } from '@ambit/core/log';
import { usageProblem } from '@ambit/core/usage-problem';
import { type Lab, startLab } from '../lab.ts';
import { installMesh } from '../mesh.ts';
import { probeSandbox, SANDBOX_VARIABLE, spawnInSandbox } from '../sandbox.ts';
import { bridge, writeKubeconfigFor } from './api-bridge.ts';
import { failedLines, saveEvidence } from './evidence.ts';
import { labWorld } from './lab-world.ts';
import { ONLY_WEB, SHOP, STRICT } from './manifests.ts';
import { isReaderGone, outputFailure } from './output.ts';
import { runSteps } from './step.ts';
import { demoSteps, summaryOf } from './steps.ts';
import { NO_DELETE } from './waypoint-manifests.ts';

const USAGE = `npm run demo -- [--keep] [--verbose]

  --keep     leave it running at the end, and print how to reach it with kubectl
  --verbose  print what the lab itself logs
`;

const TOP = new URL('../../../../', import.meta.url).pathname;

/** One line to copy: a customer of `pod`, who is answered by it with what api tells it. */
const callOf = (pod: string) =>
  `(kubectl -n shop port-forward pod/${pod} 18080:8080 >/dev/null & sleep 1; curl -s localhost:18080; kill $!)`;

/** Where inside and outside meet; set by the outer process. */
const FOLDER_VARIABLE = 'AMBIT_DEMO_FOLDER';

/** After a failed step, until what led to it has been logged: access logs are written in batches. */
const LAST_LINES_MS = 500;

const output = outputFailure(process.stdout, process.stderr);

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      keep: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const folder = process.env[FOLDER_VARIABLE];
  return process.env[SANDBOX_VARIABLE] === '1' && folder !== undefined
    ? await inside(folder, values)
    : await outside(values);
}

/** Makes the sandbox and waits for it; Ctrl-C reaches the inside by the terminal, and kills it if it does not end. */
async function outside(values: { readonly keep: boolean; readonly verbose: boolean }): Promise<number> {
  const asRoot = process.getuid?.() === 0;
  probeSandbox(asRoot);
  const folder = mkdtempSync(join(tmpdir(), 'ambit-demo-'));
  try {
    const flags = Object.entries(values).flatMap(([name, set]) => (set === true ? [`--${name}`] : []));
    const command = [process.execPath, new URL(import.meta.url).pathname, ...flags];
    const child = spawnInSandbox(command, { asRoot, env: { ...process.env, [FOLDER_VARIABLE]: folder } });
    const ended = new Promise<number>((resolve) => {
      child.on('close', (status, signal) => resolve(status ?? (signal === null ? 1 : 130)));
    });
    process.on('SIGINT', () => void systemClock.after(10_000, () => child.kill('SIGKILL')));
    process.on('SIGTERM', () => child.kill('SIGKILL'));
    if (values.keep) await openWayIn(folder, ended);
    return await ended;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Waits for the inside's socket, then listens on loopback for it. */
async function openWayIn(folder: string, ended: Promise<number>): Promise<void> {
  const socket = join(folder, 'api.sock');
  let running = true;
  void ended.then(() => {
    running = false;
  });
  while (running && !existsSync(socket)) await systemClock.sleep(100);
  if (!running) return;
  const server = await bridge({ host: '127.0.0.1', port: 0 }, { path: socket });
  server.unref();
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  writeKubeconfigFor(port, join(folder, 'kubeconfig.inside'), join(folder, 'kubeconfig'));
}

async function inside(
  folder: string,
  values: { readonly keep: boolean; readonly verbose: boolean },
): Promise<number> {
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => abort.abort(new Error(name)));
  output.addEventListener('abort', () => abort.abort(output.reason), { once: true });
  const story: string[] = [];
  const write = (line: string) => {
    story.push(`${new Date(systemClock.now()).toISOString()} ${line}`);
    process.stdout.write(`${line}\n`);
  };
  const filter = parseLogFilter(values.verbose ? 'info' : 'error');
  const log = new LogRoot({ filter: filter ?? { base: 'error', scopes: new Map() }, format: 'plain' }).scope(
    'lab',
  );
  const startedMs = systemClock.monotonicMs();
  try {
    write('Ambit demo: two nodes and a shop, made of network namespaces.');
    const kubeconfigPath = join(folder, 'kubeconfig.inside');
    await using lab = await startLab({ nodes: 2, environment: process.env, kubeconfigPath, log });
    abort.signal.throwIfAborted();
    await installMesh(lab, abort.signal);
    const [first = '', second = ''] = lab.nodes.map((node) => node.name);
    write(`Nodes ${first} and ${second} are up, with a CNI agent and a ztunnel each; istiod-lite runs.`);
    const steps = demoSteps(labWorld(lab, process.env), [first, second]);
    const outcome = await runSteps(steps, write, abort.signal, async () => {
      await systemClock.sleep(LAST_LINES_MS, abort.signal);
      return failedLines(lab.allLogs(), SHOP);
    });
    const summary = summaryOf(outcome, steps.length);
    const seconds = Math.round((systemClock.monotonicMs() - startedMs) / 1_000);
    write('');
    write(`${summary.seen.join(' ')} in ${seconds} s`);
    if (!summary.passed) keepEvidence(lab, story, write);
    if (values.keep) await keep(lab.api.url, folder, { passed: summary.passed, write }, abort.signal);
    return summary.passed ? 0 : 1;
  } catch (error) {
    if (output.aborted) return codeOfFailure();
    if (abort.signal.aborted) {
      write('\nStopped. Nothing is left behind.');
      return 130;
    }
    process.stderr.write(`the demo cannot go on: ${messageOf(error)}\n`);
    return 1;
  }
}

/** Saves what everybody said, where it outlives the sandbox, and says where. */
function keepEvidence(lab: Lab, story: readonly string[], write: (line: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-demo-failed-'));
  saveEvidence(folder, lab.allLogs(), story);
  write(`What every program of the lab said, the proxies' access logs too, is in ${folder}`);
}

/** Holds the lab until Ctrl-C, says how to reach it, and gives the story's policies to apply again. */
async function keep(
  apiUrl: string,
  folder: string,
  { passed, write }: { readonly passed: boolean; readonly write: (line: string) => void },
  signal: AbortSignal,
): Promise<void> {
  const { hostname, port } = new URL(apiUrl);
  const server = await bridge({ path: join(folder, 'api.sock') }, { host: hostname, port: Number(port) });
  writeFileSync(join(folder, 'strict.yaml'), STRICT);
  writeFileSync(join(folder, 'api-only-web.yaml'), ONLY_WEB);
  writeFileSync(join(folder, 'no-delete.yaml'), NO_DELETE);
  write('');
  const shop = passed ? 'as in step 1: no label, no policy' : 'as the step left it that failed';
  write(`It stays until Ctrl-C. The shop is ${shop}. From another terminal:`);
  write(`   cd ${TOP}`);
  write(`   export KUBECONFIG=${join(folder, 'kubeconfig')}`);
  write('   kubectl get pods -A -o wide');
  write('   kubectl label namespace shop istio.io/dataplane-mode=ambient');
  write('   npx ambit status');
  write(`   ${callOf('web')}`);
  write(`   kubectl apply -f ${join(folder, 'api-only-web.yaml')}`);
  write(`   ${callOf('batch')}`);
  write('   npx ambit why shop/batch shop/api:80');
  // A policy for the pod would refuse the waypoint, which is the pod's only client from then on.
  write(`   kubectl delete -f ${join(folder, 'api-only-web.yaml')}`);
  write('   npx ambit waypoint apply -n shop --enroll-namespace');
  write(`   kubectl apply -f ${join(folder, 'no-delete.yaml')}`);
  write('   npx ambit why shop/batch shop/api:80 --method DELETE');
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  server.close();
  write('\nStopping; nothing is left behind.');
}

/** A reader that went away, such as `head`, is no error; a disk that is full is one. */
function codeOfFailure(): number {
  if (isReaderGone(output)) return 0;
  process.stderr.write(`ambit demo: its output cannot be written: ${messageOf(output.reason)}\n`);
  return 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  const problem = usageProblem(error);
  process.stderr.write(`ambit demo: ${problem ?? messageOf(error)}\n`);
  process.exitCode = problem === undefined ? 1 : 2;
  if (problem !== undefined) process.stderr.write(`\nusage: ${USAGE}`);
}
