import { spawnSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';

const MAIN = new URL('./main.ts', import.meta.url).pathname;

function run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { env, encoding: 'utf8' });
  return { status, stdout, stderr };
}

describe('the command line', () => {
  test('version', () => {
    expect(run(['version'])).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^ambit ztunnel \d+\.\d+\.\d+ /),
      stderr: '',
    });
  });

  test('help', () => {
    expect(run(['help'])).toMatchObject({ status: 0, stdout: expect.stringContaining('usage:') });
  });

  test('anything else', () => {
    expect(run(['serve'])).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^unknown command: serve\nusage:/),
    });
  });
});

test('a wrong environment ends the process with 1 and names all that is wrong', () => {
  const { status, stdout, stderr } = run(['proxy'], { ENABLE_PROXY: 'yes', PACKET_MARK: '-1' });
  expect(status).toBe(1);
  expect(stdout).toBe('');
  expect(stderr).toBe(`Error: invalid configuration:
  invalid env var ENABLE_PROXY=yes: want true or false
  invalid env var PACKET_MARK=-1: want a whole number from 0 to 4294967295
`);
});
