import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from '@jest/globals';
import { VERSION } from './gen/version.ts';

const MODULES = ['proxy-process', 'log'].map((name) => new URL(`./${name}.ts`, import.meta.url).href);

/** A program that tells on standard output where it is, and ends as `start` and `stop` say. */
function source(start: string, stop: string): string {
  return `
    import { runProxyProgram } from '${MODULES[0]}';
    import { LogRoot } from '${MODULES[1]}';
    const tell = (word) => process.stdout.write(word + '\\n');
    const forever = () => new Promise(() => setInterval(() => undefined, 60_000));
    const stop = async () => { tell('STOPPING'); ${stop} };
    const configure = () => {
      if (process.argv.includes('misconfigured')) throw new Error('a wrong variable');
      const log = new LogRoot({ filter: { base: 'info', scopes: new Map() }, format: 'plain' });
      const start = async ({ starting, onShutdown, onFatal }) => { tell('STARTING'); ${start} };
      return { log, summary: { colour: 'blue' }, start };
    };
    const program = { name: 'tester', doc: 'test', reference: 'docs/tester.md', configure };
    process.exit(await runProxyProgram(program, process.argv.slice(1)));
  `;
}

const STARTED = `setTimeout(() => tell('STARTED')); setInterval(() => undefined, 60_000); return { stop };`;

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

interface Program {
  readonly start?: string;
  readonly stop?: string;
  readonly args?: readonly string[];
}

type Signals = readonly (readonly [word: string, signal: NodeJS.Signals])[];

/** Runs it, sends it each signal at its word; how it ended. */
async function run({ start = STARTED, stop = '', args = [] }: Program, signals: Signals = []) {
  const child = spawn(process.execPath, [
    '--input-type=module',
    '--eval',
    source(start, stop),
    '--',
    ...args,
  ]);
  children.push(child);
  const due = [...signals];
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.stdout += text;
    while (due[0] && said.stdout.includes(due[0][0])) child.kill(due.shift()?.[1]);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.stderr += text;
  });
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, ...said };
}

describe('the command line', () => {
  test('version', async () => {
    const stdout = `ambit tester ${VERSION} (Node.js ${process.versions.node})\n`;
    expect(await run({ args: ['version'] })).toEqual({ status: 0, stdout, stderr: '' });
  });

  test('help says what each command does and where the variables are', async () => {
    const { status, stdout } = await run({ args: ['help'] });
    expect([status, stdout.split('\n')[0]]).toEqual([0, 'usage: tester [proxy|version|help]']);
    expect(stdout).toContain('proxy    (default) test\n');
    expect(stdout).toContain('docs/tester.md');
  });

  test('anything else', async () => {
    const { status, stdout, stderr } = await run({ args: ['serve'] });
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^unknown command: serve\nusage:/);
  });

  test('a wrong configuration ends it before anything begins', async () => {
    expect(await run({ args: ['proxy', 'misconfigured'] })).toEqual({
      status: 1,
      stdout: '',
      stderr: 'Error: a wrong variable\n',
    });
  });
});

describe('the end of a proxy', () => {
  interface Case {
    readonly program: Program;
    readonly signals?: Signals;
    readonly status: number;
    readonly says: RegExp;
    readonly stops: boolean;
  }
  const cases: Record<string, Case> = {
    'SIGTERM stops it': {
      program: {},
      signals: [['STARTED', 'SIGTERM']],
      status: 0,
      says: /shutting down.*SIGTERM/,
      stops: true,
    },
    'SIGINT as well': {
      program: {},
      signals: [['STARTED', 'SIGINT']],
      status: 0,
      says: /shutting down.*SIGINT/,
      stops: true,
    },
    'what the proxy is told stops it': {
      program: { start: `onShutdown('asked to'); ${STARTED}` },
      status: 0,
      says: /shutting down.*asked to/,
      stops: true,
    },
    'a signal during the start abandons it': {
      program: {
        start: `await new Promise((_, reject) => {
          starting.addEventListener('abort', () => reject(starting.reason));
          void forever();
        });`,
      },
      signals: [['STARTING', 'SIGTERM']],
      status: 0,
      says: /shutting down.*SIGTERM while starting/,
      stops: false,
    },
    'a second signal does not wait': {
      program: { stop: 'await forever();' },
      signals: [
        ['STARTED', 'SIGTERM'],
        ['STOPPING', 'SIGTERM'],
      ],
      status: 1,
      says: /cannot go on.*second signal, SIGTERM/,
      stops: true,
    },
    'a start that fails': {
      program: { start: `throw new Error('no port');` },
      status: 1,
      says: /Error: no port/,
      stops: false,
    },
    'what cannot be gone on from': {
      program: { start: `onFatal(new Error('a thread is gone'));` },
      status: 1,
      says: /cannot go on.*a thread is gone/,
      stops: false,
    },
    'an exception that nobody caught': {
      program: { start: `setTimeout(() => { throw new Error('a bug'); }); ${STARTED}` },
      status: 1,
      says: /cannot go on.*a bug/,
      stops: false,
    },
    'a rejection that nobody heard of': {
      program: { start: `void Promise.reject(new Error('unheard')); ${STARTED}` },
      status: 1,
      says: /cannot go on.*unheard/,
      stops: false,
    },
  };
  test.each(Object.entries(cases))('%s', async (_, { program, signals = [], status, says, stops }) => {
    const ended = await run(program, signals);
    expect(`${ended.stdout}${ended.stderr}`).toMatch(says);
    expect([ended.status, ended.stdout.includes('STOPPING')]).toEqual([status, stops]);
    expect(ended.stdout).toContain('colour');
  });
});
