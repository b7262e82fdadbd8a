import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { tmpdir } from 'node:os';
import { expect, test } from '@jest/globals';

const TOP = new URL('../../', import.meta.url).pathname;
const DEMO = [process.execPath, `${TOP}packages/lab/src/demo/main.ts`];
const DEMO_TIMEOUT_MS = 480_000;
/** The kernel ends what a process leaves a moment after the process. */
const GONE_MS = 20_000;

/** What a run must not leave: processes of the lab, namespaces, rules, folders. */
function traces(): Record<string, readonly string[]> {
  const lines = (command: string, ...args: readonly string[]) =>
    spawnSync(command, args, { encoding: 'utf8' })
      .stdout.split('\n')
      .filter((line) => line !== '');
  return {
    processes: lines('ps', '-eo', 'args').filter((line) => line.includes(`${TOP}packages/`)),
    namespaces: lines('ip', 'netns', 'list').filter((line) => line.startsWith('lab-')),
    rules: lines('nft', 'list', 'tables').filter((line) => /lab-|istio-/.test(line)),
    folders: readdirSync(tmpdir()).filter((name) => name.startsWith('ambit-demo-')),
  };
}

function start(...args: readonly string[]) {
  const [file = '', ...rest] = [...DEMO, ...args];
  const child = spawn(file, rest, { cwd: TOP, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const seen = { output: '' };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      seen.output += text;
    });
  }
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  return { child, seen, ended };
}

async function until(holds: () => boolean, what: string, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function nothingIsLeftSince(before: ReturnType<typeof traces>): Promise<void> {
  const end = performance.now() + GONE_MS;
  while (!isDeepStrictEqual(traces(), before) && performance.now() < end)
    await new Promise((resolve) => setTimeout(resolve, 200));
  expect(traces()).toEqual(before);
}

test.each(['once', 'and again'])(
  'the demo proves every step, %s, and leaves nothing behind',
  async () => {
    const before = traces();
    const { seen, ended } = start();
    const [status] = await ended;
    expect(seen.output).toMatch(/^14 steps passed, 0 failed in \d+ s$/m);
    expect([status, seen.output.includes('FAIL')]).toEqual([0, false]);
    await nothingIsLeftSince(before);
  },
  DEMO_TIMEOUT_MS,
);

test(
  'kept, it answers kubectl and ambit from outside; Ctrl-C ends it and everything it made',
  async () => {
    const before = traces();
    const { child, seen, ended } = start('--keep');
    await until(
      () => seen.output.includes('It stays until Ctrl-C'),
      `the demo stays; it said:\n${seen.output}`,
      400_000,
    );
    const kubeconfig = /KUBECONFIG=(\S+)/.exec(seen.output)?.[1] ?? '';
    await until(() => spawnSync('test', ['-s', kubeconfig]).status === 0, `${kubeconfig} is there`, 30_000);
    const env = { ...process.env, KUBECONFIG: kubeconfig };
    const kubectl = spawnSync('kubectl', ['get', 'pods', '-n', 'shop', '-o', 'wide'], {
      encoding: 'utf8',
      env,
    });
    expect(kubectl.stdout).toMatch(/^api\s+1\/1\s+Running/m);
    const ambit = spawnSync(process.execPath, [`${TOP}packages/cli/src/main.ts`, 'status'], {
      encoding: 'utf8',
      env,
    });
    expect([ambit.status, ambit.stdout.includes('node-a')]).toEqual([0, true]);
    const applied = spawnSync(
      process.execPath,
      [`${TOP}packages/cli/src/main.ts`, 'waypoint', 'apply', '-n', 'shop'],
      { encoding: 'utf8', env },
    );
    expect([applied.status, applied.stdout]).toEqual([0, 'waypoint shop/waypoint is ready\n']);
    process.kill(-(child.pid ?? 0), 'SIGINT');
    const [status] = await ended;
    expect(status).toBe(130);
    await nothingIsLeftSince(before);
  },
  DEMO_TIMEOUT_MS,
);

test(
  'a reader that goes away, as head does, ends it quietly; nothing is left behind',
  async () => {
    const before = traces();
    const { child, seen, ended } = start();
    await until(() => seen.output.includes('1. '), `the first step; it said:\n${seen.output}`, 200_000);
    const told = seen.output;
    child.stdout.destroy();
    const [status] = await ended;
    expect([status, seen.output]).toEqual([0, told]);
    await nothingIsLeftSince(before);
  },
  DEMO_TIMEOUT_MS,
);

test('an option that does not exist is told, with those that do', async () => {
  const { seen, ended } = start('--kep');
  expect(await ended).toEqual([2, null]);
  expect(seen.output).toMatch(/^ambit demo: Unknown option '--kep'/);
  expect(seen.output).toContain('npm run demo -- [--keep] [--verbose]');
});
