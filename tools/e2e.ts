/**
 * `npm run e2e`: the mesh from outside. The suites in e2e/suite run on a real cluster, which is made first and removed
 * afterwards; the others (the demo, the command) need none. `npm run e2e -- --help` lists the options.
 *
 * A cluster that this machine cannot make is said in the last lines, with the reason; where CI is set that is a failure.
 * The last line is plain: `N passed, N failed`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '@ambit/core/errors';
import { MachineError } from '../e2e/cluster/errors.ts';
import { providerNamed } from '../e2e/cluster/providers.ts';
import { ClusterUnderTest } from '../e2e/run/cluster-under-test.ts';
import { collectLogsOf } from '../e2e/run/kept-cluster.ts';
import { parseOptions, type RunOptions, USAGE } from '../e2e/run/options.ts';

const JEST = [
  '--experimental-vm-modules',
  '--disable-warning=ExperimentalWarning',
  'node_modules/jest/bin/jest.js',
  '--selectProjects',
  'e2e',
];
/** Where the suites are that need a cluster; jest.config.js leaves them out where the second variable is set. */
const CLUSTER_SUITES = /\/e2e\/suite\//;
const CLUSTER_VARIABLE = 'AMBIT_E2E_CLUSTER';
/** Set where a cluster has both families: the suite that is for such a one runs then. */
const DUAL_STACK_VARIABLE = 'AMBIT_E2E_DUAL_STACK';
const WITHOUT_CLUSTER_VARIABLE = 'AMBIT_E2E_WITHOUT_CLUSTER';

const say = (line: string) => process.stdout.write(`${line}\n`);
const startedMs = performance.now();
const report = (line: string) =>
  say(`${((performance.now() - startedMs) / 1_000).toFixed(1).padStart(6)}s  ${line}`);

const logFolder = (name: string) => join(process.env['AMBIT_E2E_LOGS'] ?? tmpdir(), `ambit-e2e-logs-${name}`);

interface Outcome {
  passed: number;
  failed: number;
  readonly lastWords: string[];
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (typeof options === 'string') {
    process.stderr.write(`${options}\n${USAGE}`);
    return 2;
  }
  if (options.jestArguments.includes('--help')) {
    say(USAGE.trimEnd());
    return 0;
  }
  if (options.ipFamily === 'dual') process.env[DUAL_STACK_VARIABLE] = '1';
  const stopped = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => stopped.abort(new Error(`stopped by ${name}`)));
  const folder = mkdtempSync(join(tmpdir(), 'ambit-e2e-'));
  const outcome: Outcome = { passed: 0, failed: 0, lastWords: [] };
  const kept = process.env[CLUSTER_VARIABLE];
  const needsCluster = kept === undefined && wantsCluster(options);
  const keepsFolder = needsCluster ? await runOnCluster(options, folder, outcome, stopped.signal) : false;
  if (!needsCluster) await runJest(options, folder, {}, outcome);
  if (kept !== undefined && outcome.failed > 0 && wantsCluster(options)) {
    const logs = await collectLogsOf(kept, logFolder, process.env, report);
    if (logs !== undefined) outcome.lastWords.push(`logs of the cluster: ${logs}`);
  }
  if (!keepsFolder) rmSync(folder, { recursive: true, force: true });
  for (const line of outcome.lastWords) say(line);
  if (stopped.signal.aborted) outcome.failed = Math.max(1, outcome.failed);
  say(`${outcome.passed} passed, ${outcome.failed} failed`);
  return outcome.failed === 0 ? 0 : 1;
}

/** Whether jest's arguments pick a suite of those. */
function wantsCluster({ jestArguments }: RunOptions): boolean {
  const { stdout } = spawnSync(process.execPath, [...JEST, '--listTests', ...jestArguments], {
    encoding: 'utf8',
  });
  return stdout.split('\n').some((path) => CLUSTER_SUITES.test(path));
}

/** @returns whether the folder holds what is still needed. */
async function runOnCluster(
  options: RunOptions,
  folder: string,
  outcome: Outcome,
  signal: AbortSignal,
): Promise<boolean> {
  const provider = providerNamed(options, process.env);
  const cluster = new ClusterUnderTest({ options, provider, folder, report, signal });
  const logs = logFolder(cluster.name);
  try {
    await cluster.make();
    await runJest(options, folder, { [CLUSTER_VARIABLE]: cluster.file }, outcome);
  } catch (error) {
    if (error instanceof MachineError && process.env['CI'] !== 'true') {
      outcome.lastWords.push(`NOT RUN: suites on a cluster: ${error.message}`);
      await runJest(options, folder, { [WITHOUT_CLUSTER_VARIABLE]: '1' }, outcome);
    } else {
      outcome.failed++;
      outcome.lastWords.push(`FAILED: ${messageOf(error)}`);
    }
  }
  if (outcome.failed > 0 && cluster.isThere) {
    await cluster.collectLogs(logs);
    outcome.lastWords.push(`logs of the cluster: ${logs}`);
  }
  if (options.keep && cluster.isThere && !signal.aborted) {
    outcome.lastWords.push(
      `kept: ${cluster.name}; ${CLUSTER_VARIABLE}=${cluster.file} npm run e2e -- [jest's arguments] runs suites on it again`,
      `to remove it: ${provider.removal(cluster.name)}`,
    );
    return true;
  }
  await cluster.remove().catch((error: unknown) => {
    outcome.failed++;
    outcome.lastWords.push(`FAILED: the cluster is not gone: ${messageOf(error)}`);
  });
  return false;
}

async function runJest(
  { jestArguments }: RunOptions,
  folder: string,
  env: NodeJS.ProcessEnv,
  outcome: Outcome,
): Promise<void> {
  const countsFile = join(folder, 'counts');
  rmSync(countsFile, { force: true });
  // The terminal's Ctrl-C goes to jest as well; it ends, and this goes on to tidy up.
  const child = spawn(process.execPath, [...JEST, '--runInBand', '--forceExit', ...jestArguments], {
    stdio: 'inherit',
    env: { ...process.env, ...env, AMBIT_TEST_COUNTS: countsFile },
  });
  const [status] = (await once(child, 'close')) as [number | null];
  let counts = { passed: 0, failed: 1, skipped: 0 };
  try {
    counts = JSON.parse(readFileSync(countsFile, 'utf8')) as typeof counts;
  } catch {
    // It ended before it could count: that is one failure.
  }
  const failed = counts.failed + counts.skipped;
  outcome.passed += counts.passed;
  outcome.failed += failed === 0 && status !== 0 ? 1 : failed;
}

process.exitCode = await main();
