import { spawnSync } from 'node:child_process';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { isReaderGone, outputFailure } from './output.ts';

test.each([
  ['EPIPE', true],
  ['ENOSPC', false],
])('%s of any stream aborts, once and for all', (code, gone) => {
  const [first, second] = [new PassThrough(), new PassThrough()];
  const failure = outputFailure(first, second);
  expect([failure.aborted, isReaderGone(failure)]).toEqual([false, false]);
  const error = Object.assign(new Error('write'), { code });
  second.emit('error', error);
  first.emit('error', new Error('later'));
  expect(failure.reason).toBe(error);
  expect(isReaderGone(failure)).toBe(gone);
});

test('the demo says nothing of a reader that went away', () => {
  const main = fileURLToPath(new URL('./main.ts', import.meta.url));
  const script = '{ sleep 0.3; "$0" "$1" --help; echo "code $?" >&2; } | true';
  const { stderr } = spawnSync('sh', ['-c', script, process.execPath, main], { encoding: 'utf8' });
  expect(stderr).toBe('code 0\n');
});
