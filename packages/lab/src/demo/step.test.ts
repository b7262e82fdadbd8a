import { expect, test } from '@jest/globals';
import { result, runSteps, type Step } from './step.ts';

const step = (title: string, run: Step['run']): Step => ({ title, commands: [`do ${title}`], run });
const good = step('good', () => Promise.resolve(result([true, 'seen'])));

async function run(steps: readonly Step[], signal = new AbortController().signal) {
  const lines: string[] = [];
  const outcome = await runSteps(
    steps,
    (line) => lines.push(line),
    signal,
    () => Promise.resolve(['why']),
  );
  return { lines, outcome };
}

test('each step tells its command, what was seen, and how it ended', async () => {
  const { lines, outcome } = await run([good]);
  expect(lines).toEqual(['', '1. good', '   $ do good', '   ✓ seen', '   PASS']);
  expect(outcome).toEqual({ passed: 1, failed: 0 });
});

test('the first failure is the last step', async () => {
  const bad = step('bad', () => Promise.resolve(result([true, 'a'], [false, 'b'])));
  const { lines, outcome } = await run([bad, good]);
  expect(outcome).toEqual({ passed: 0, failed: 1 });
  expect(lines.slice(-3)).toEqual(['   ✗ b', '     why', '   FAIL']);
});

test('an exception fails its step, with its message', async () => {
  const { lines, outcome } = await run([
    good,
    step('throws', () => Promise.reject(new Error('no such pod'))),
  ]);
  expect(outcome).toEqual({ passed: 1, failed: 1 });
  expect(lines).toContain('   ✗ no such pod');
});

test('an abort ends the run at once and is not a failed step', async () => {
  const abort = new AbortController();
  const aborting = step('aborting', () => {
    abort.abort(new Error('Ctrl-C'));
    return Promise.reject(new Error('cut off'));
  });
  await expect(run([aborting, good], abort.signal)).rejects.toThrow('Ctrl-C');
});
