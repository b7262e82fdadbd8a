/**
 * `npm test`: format, lint, types, unit suites and the suites that need network namespaces, in that order.
 *
 * Every step runs even after one failed, so that one run tells all. A suite that this machine cannot run is said in the
 * last lines, with the reason; where CI is set that is a failure, since it could have run there. The last line is plain:
 * `N passed, N failed`. Ctrl-C ends the step under way and everything it started, and no other begins.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A step that ends with this status could not run here, and said why on standard error. */
const NOT_RUN_STATUS = 77;
/** As a shell tells of who was stopped by Ctrl-C. */
const STOPPED_STATUS = 130;

interface Step {
  readonly name: string;
  readonly command: readonly string[];
  /** A step that hangs is ended, with everything it started, and has failed. */
  readonly timeoutS: number;
}

const STEPS: readonly Step[] = [
  {
    name: 'static checks',
    command: ['turbo', 'run', '--ui=stream', '--output-logs=errors-only', '--continue', ...turboTasks()],
    timeoutS: 600,
  },
  { name: 'unit suites', command: ['npm', 'run', '--silent', 'test:unit'], timeoutS: 1_200 },
  { name: 'network namespace suites', command: ['npm', 'run', '--silent', 'test:netns'], timeoutS: 1_500 },
];

function turboTasks(): string[] {
  return ['//#generate:check', '//#format:check', '//#lint', '//#typecheck'];
}

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

async function main(): Promise<number> {
  const only = process.argv.slice(2);
  if (only.length > 0) return runJestOn(only);
  const folder = mkdtempSync(join(tmpdir(), 'ambit-test-'));
  const countsFile = join(folder, 'counts');
  const env = {
    ...process.env,
    AMBIT_TEST_COUNTS: countsFile,
    TURBO_TELEMETRY_DISABLED: '1',
    DO_NOT_TRACK: '1',
  };
  const failedSteps: string[] = [];
  const notRun: string[] = [];
  const stop = listenForStop();
  for (const step of STEPS) {
    if (stop.asked) break;
    process.stdout.write(`\n── ${step.name}\n`);
    const status = await run(step, env, stop);
    if (status === NOT_RUN_STATUS) notRun.push(step.name);
    else if (status !== 0) failedSteps.push(step.name);
  }
  const counts = readCounts(countsFile);
  rmSync(folder, { recursive: true, force: true });
  if (!stop.asked) return report(counts, failedSteps, notRun);
  process.stdout.write('\nstopped\n');
  return STOPPED_STATUS;
}

interface Stop {
  asked: boolean;
  running: ChildProcess | undefined;
}

/** `timeout` leads a group of its own, which the terminal's Ctrl-C does not reach: it is told, and tells its group. */
function listenForStop(): Stop {
  const stop: Stop = { asked: false, running: undefined };
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      stop.asked = true;
      stop.running?.kill('SIGTERM');
    });
  return stop;
}

async function run(step: Step, env: NodeJS.ProcessEnv, stop: Stop): Promise<number | null> {
  const command = ['--kill-after=5', '--signal=KILL', String(step.timeoutS), ...step.command];
  const child = spawn('timeout', command, { stdio: 'inherit', env });
  stop.running = child;
  const [status] = (await once(child, 'close')) as [number | null];
  return status;
}

/** `npm test -- path`: the unit and netns tests below that path alone. */
function runJestOn(paths: readonly string[]): number {
  const statuses = ['test:unit', 'test:netns'].map(
    (script) =>
      spawnSync('npm', ['run', '--silent', script, '--', '--passWithNoTests', ...paths], { stdio: 'inherit' })
        .status,
  );
  return statuses.every((status) => status === 0) ? 0 : 1;
}

function report(counts: Counts, failedSteps: readonly string[], notRun: readonly string[]): number {
  const inCi = process.env['CI'] === 'true';
  const failedRuns = failedSteps.length + (inCi ? notRun.length : 0);
  process.stdout.write('\n');
  for (const step of failedSteps) process.stdout.write(`FAILED: ${step}\n`);
  for (const step of notRun) process.stdout.write(`NOT RUN: ${step} (the reason is above)\n`);
  if (counts.skipped > 0) process.stdout.write(`SKIPPED: ${counts.skipped} tests\n`);
  const steps = STEPS.length - failedSteps.length - notRun.length;
  const failed = Math.max(counts.failed, 0) + failedRuns + counts.skipped;
  process.stdout.write(`${counts.passed + steps} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

function readCounts(file: string): Counts {
  const total: Counts = { passed: 0, failed: 0, skipped: 0 };
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return { ...total, failed: 1 };
  }
  for (const line of text.split('\n').filter((line) => line !== '')) {
    const { passed, failed, skipped } = JSON.parse(line) as Counts;
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
  }
  return total;
}

process.exitCode = await main();
