import { spawnSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';

const TOP = new URL('..', import.meta.url).pathname;

/** Programs that the docs have people type, by path and not as the command. */
const PROGRAMS = ['packages/cli/src/build/main.ts', 'tools/images/main.ts', 'e2e/cluster/main.ts'];

function run(...args: string[]) {
  return spawnSync(process.execPath, args, { cwd: TOP, encoding: 'utf8' });
}

describe.each(PROGRAMS)('%s', (program) => {
  const usage = expect.stringContaining(`usage: node ${program}`);

  test('--help tells how it is used', () => {
    expect(run(program, '--help')).toMatchObject({ status: 0, stdout: usage, stderr: '' });
  });

  test('so does nothing at all', () => {
    expect(run(program)).toMatchObject({ status: 2, stdout: '', stderr: usage });
  });

  test('an option that does not exist is told, with the usage', () => {
    const { status, stdout, stderr } = run(program, '--nonsense');
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^\w+: Unknown option '--nonsense'\nusage: /);
  });
});
