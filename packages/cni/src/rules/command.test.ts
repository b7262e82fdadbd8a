/** What becomes of programs that cannot be started: for good, or for want of what others give back. */
import { execFileSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { RULES_ATTEMPTS } from '../limits.ts';
import { type RunCommand, runCommand } from './command.ts';
import { detectBackend } from './detect.ts';
import { CommandError } from './errors.ts';
import { retried } from './retry.ts';

const unstarted = (code: string, file = 'nft') => {
  const cause = Object.assign(new Error(`spawn ${file} ${code}`), { code });
  return new CommandError(file, undefined, cause.message, { cause });
};

test('one that is missing is an error that says so', async () => {
  await expect(runCommand({ file: '/nowhere/nft', args: [] })).rejects.toMatchObject({
    code: 'RULES_COMMAND',
    isMissing: true,
    isHindered: false,
  });
});

test('one that finds no descriptor left is an error like others', () => {
  const program = `
    import { openSync } from 'node:fs';
    import { runCommand } from ${JSON.stringify(new URL('command.ts', import.meta.url).href)};
    await runCommand({ file: 'true', args: [] });
    try { for (;;) openSync('/dev/null'); } catch { /* None is left. */ }
    await runCommand({ file: 'true', args: [] }).catch((error) => {
      process.stdout.write(error.code + ' ' + error.isHindered + ' ' + error.message);
    });
  `;
  const line = 'ulimit -n 100; exec "$0" --input-type=module -e "$1"';
  const said = execFileSync('sh', ['-c', line, process.execPath, program], { encoding: 'utf8' });
  expect(said).toBe('RULES_COMMAND true true failed (not run): spawn true EMFILE');
});

describe('a transaction', () => {
  test.each([
    ['is made again when processes are short for a moment', [unstarted('EAGAIN')], 2, undefined],
    ['is made again when descriptors are', [unstarted('EMFILE'), unstarted('ENFILE')], 3, undefined],
    ['is given up when that lasts', Array(9).fill(unstarted('EAGAIN')), RULES_ATTEMPTS, 'spawn nft EAGAIN'],
    ['is given up when there is no such program', [unstarted('ENOENT')], 1, 'spawn nft ENOENT'],
  ])('%s', async (_, failures: readonly CommandError[], attempts, problem) => {
    let made = 0;
    const done = retried(systemClock, async () => {
      const failure = failures[made];
      made += 1;
      if (failure) throw failure;
    });
    const said = await done.then(
      () => undefined,
      (error: CommandError) => error.stderr,
    );
    expect([made, said]).toEqual([attempts, problem]);
  });
});

describe('the program of a node', () => {
  const failing =
    (failures: CommandError[]): RunCommand =>
    ({ file }) => {
      const failure = file === 'nft' ? failures.shift() : undefined;
      return failure ? Promise.reject(failure) : Promise.resolve({ exitCode: 0, stdout: '', stderr: '' });
    };
  const chosen = async (failures: CommandError[]) => {
    const found = await detectBackend(failing(failures), systemClock, { wanted: 'auto', ipv6: true });
    return found.backend.name;
  };

  test('is nft though it could not be started for a moment', async () => {
    expect(await chosen([unstarted('EAGAIN'), unstarted('EMFILE')])).toBe('nftables');
  });

  test('is iptables where there is no nft', async () => {
    expect(await chosen([unstarted('ENOENT')])).toBe('iptables');
  });

  test('is none yet while nft cannot be started', async () => {
    await expect(chosen(Array(9).fill(unstarted('EAGAIN')))).rejects.toThrow('spawn nft EAGAIN');
  });
});
