/**
 * `npm run conformance`: the Gateway API's own tests of a mesh, on a cluster of this machine with the mesh installed.
 *
 * The cluster is made first and removed afterwards; `--keep` leaves it, and `--cluster FILE` runs on one that was kept.
 * The report that the Gateway API asks for and a summary are written beside this file when the whole suite ran; those of
 * another release than the one that the mesh conforms to have its name. A test that is skipped has failed: every feature of
 * a mesh is declared. The last line is plain: `N passed, N failed`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '@ambit/core/errors';
import { VERSION } from '@ambit/core/gen/version';
import { mustRun } from '../cluster/command.ts';
import { GATEWAY_API_VERSION, wantedGatewayApi } from '../cluster/gateway-api.ts';
import { MachineError } from '../cluster/errors.ts';
import type { ClusterDescription } from '../cluster/provider.ts';
import { cacheFolder, providerNamed } from '../cluster/providers.ts';
import { ClusterUnderTest } from '../run/cluster-under-test.ts';
import { parseOptions } from '../run/options.ts';
import { makeSuite, resultsIn, type Suite, summaryOf } from './suite.ts';

const USAGE = `usage: [AMBIT_E2E_GATEWAY_API=v1.7.0] npm run conformance -- [--keep] [--cluster FILE] [arguments of the test program]
  --keep            leave the cluster; the last lines say how to run on it again
  --cluster FILE    run on a cluster that was kept
  -run-test NAME    one test alone, such as MeshBasic; -test.run and the like are Go's
`;
const HERE = new URL('./', import.meta.url).pathname;
const IMAGES = ['istiod', 'ztunnel', 'install-cni', 'waypoint'];
/** The suite's own. */
const NAMESPACES = ['gateway-conformance-mesh', 'gateway-conformance-mesh-consumer'];
const LEAVING_TIMEOUT_MS = 180_000;
/** The suite's own waits end long before. */
const SUITE_TIMEOUT = '40m';

const say = (line: string) => process.stdout.write(`${line}\n`);
const startedMs = performance.now();
const report = (line: string) =>
  say(`${((performance.now() - startedMs) / 1_000).toFixed(1).padStart(6)}s  ${line}`);

interface Options {
  readonly keep: boolean;
  /** Of a cluster that was kept. */
  readonly clusterFile: string | undefined;
  readonly programArguments: readonly string[];
}

interface Outcome {
  passed: number;
  failed: number;
  readonly lastWords: string[];
}

async function main(): Promise<number> {
  const options = optionsFrom(process.argv.slice(2));
  if (options === undefined) {
    say(USAGE.trimEnd());
    return 0;
  }
  const stopped = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => stopped.abort(new Error(`stopped by ${name}`)));
  const outcome: Outcome = { passed: 0, failed: 0, lastWords: [] };
  try {
    const suite = await makeSuite(wantedGatewayApi(), cacheFolder(process.env), report, stopped.signal);
    if (options.clusterFile === undefined) await runOnNewCluster(suite, options, outcome, stopped.signal);
    else {
      const description = descriptionIn(options.clusterFile);
      await awaitNamespacesGone(description);
      await runSuite(suite, description, options, outcome);
    }
  } catch (error) {
    const isTold = error instanceof MachineError && process.env['CI'] !== 'true';
    if (!isTold) outcome.failed++;
    outcome.lastWords.push(`${isTold ? 'NOT RUN' : 'FAILED'}: ${messageOf(error)}`);
  }
  for (const line of outcome.lastWords) say(line);
  if (stopped.signal.aborted) outcome.failed = Math.max(1, outcome.failed);
  say(`${outcome.passed} passed, ${outcome.failed} failed`);
  return outcome.failed === 0 ? 0 : 1;
}

/** @returns `undefined` when help is asked for. */
function optionsFrom(args: readonly string[]): Options | undefined {
  if (args.includes('--help')) return undefined;
  const at = args.indexOf('--cluster');
  const rest = args.filter(
    (arg, index) => arg !== '--keep' && (at < 0 || (index !== at && index !== at + 1)),
  );
  return {
    keep: args.includes('--keep'),
    clusterFile: at < 0 ? undefined : args[at + 1],
    programArguments: rest,
  };
}

function descriptionIn(file: string): ClusterDescription {
  return JSON.parse(readFileSync(file, 'utf8')) as ClusterDescription;
}

async function runOnNewCluster(
  suite: Suite,
  options: Options,
  outcome: Outcome,
  signal: AbortSignal,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-conformance-'));
  const runOptions = parseOptions([]);
  if (typeof runOptions === 'string') throw new Error(runOptions);
  const provider = providerNamed(runOptions, process.env);
  const name = `conformance-${process.pid}`;
  const cluster = new ClusterUnderTest({
    options: { ...runOptions, name },
    provider,
    folder,
    images: IMAGES,
    archives: suite.images,
    report,
    signal,
  });
  const logs = join(process.env['AMBIT_E2E_LOGS'] ?? tmpdir(), `ambit-logs-${name}`);
  try {
    await cluster.make();
    await runSuite(suite, descriptionIn(cluster.file), options, outcome);
  } finally {
    if (outcome.failed > 0 || outcome.passed === 0) {
      await cluster.collectLogs(logs);
      outcome.lastWords.push(`logs of the cluster: ${logs}`);
    }
    if (options.keep && !signal.aborted)
      outcome.lastWords.push(
        `kept: ${name}; npm run conformance -- --cluster ${cluster.file} runs on it again, node e2e/cluster/main.ts down --name ${name} removes it`,
      );
    else {
      await cluster.remove();
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

/** What an earlier run left is still going: waypoints take their time to drain. */
async function awaitNamespacesGone({ kubectl, kubeconfig }: ClusterDescription): Promise<void> {
  const gone = ['wait', '--for=delete', `--timeout=${LEAVING_TIMEOUT_MS / 1_000}s`];
  const names = NAMESPACES.map((name) => `namespace/${name}`);
  await mustRun([kubectl, '--kubeconfig', kubeconfig, ...gone, ...names], {
    timeoutMs: LEAVING_TIMEOUT_MS + 10_000,
  });
}

async function runSuite(
  suite: Suite,
  { kubeconfig }: ClusterDescription,
  { programArguments }: Options,
  outcome: Outcome,
): Promise<void> {
  const isWhole = programArguments.length === 0;
  const suffix = suite.version === GATEWAY_API_VERSION ? '' : `-${suite.version}`;
  const reportFile = join(HERE, `report${suffix}.yaml`);
  const reported = isWhole ? ['-report', reportFile, '-implementation-version', `v${VERSION}`] : [];
  const child = spawn(
    suite.program,
    ['-test.v', `-test.timeout=${SUITE_TIMEOUT}`, ...reported, ...programArguments],
    { env: { ...process.env, KUBECONFIG: kubeconfig }, stdio: ['ignore', 'pipe', 'pipe'], cwd: tmpdir() },
  );
  const log = join(tmpdir(), `ambit-conformance-${process.pid}.log`);
  const file = createWriteStream(log);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    file.write(text);
  });
  child.stderr.pipe(process.stderr);
  const [status] = (await once(child, 'close')) as [number | null];
  file.end();
  const results = resultsIn(output).filter(({ outcome: how }) => isWhole || how !== 'skipped');
  for (const { name, outcome: how, seconds } of results) report(`${how} ${name} (${seconds.toFixed(1)} s)`);
  const passed = results.filter(({ outcome: how }) => how === 'passed').length;
  outcome.passed += passed;
  outcome.failed += results.length - passed;
  if (status !== 0 && passed === results.length) outcome.failed++;
  if (outcome.failed > 0) outcome.lastWords.push(`what the suite said: ${log}`);
  else rmSync(log, { force: true });
  if (isWhole) writeFileSync(join(HERE, `summary${suffix}.md`), summaryOf(suite.version, results));
}

process.exitCode = await main();
