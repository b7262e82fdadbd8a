import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { SOON, V8_FLAGS } from './runtime.ts';

test("V8 takes the compiled code that Node's own modules come with", () => {
  const { stderr } = spawnSync(process.execPath, [...V8_FLAGS, '--eval', 'require("node:tls")'], {
    encoding: 'utf8',
    env: { NODE_DEBUG_NATIVE: 'CODE_CACHE' },
  });
  const verdicts = [...stderr.matchAll(/^Code cache of tls .* is (\w+)$/gm)].map(([, verdict]) => verdict);
  expect(verdicts).toEqual(['accepted']);
});

test('V8 knows every flag that it is given', () => {
  const { stdout } = spawnSync(process.execPath, ['--v8-options'], { encoding: 'utf8', maxBuffer: 1 << 24 });
  const known = new Set([...stdout.matchAll(/^ +--(\S+) \(/gm)].map(([, name]) => name));
  const names = [...V8_FLAGS, ...SOON].map((flag) => flag.replace(/^--(no-)?/, '').replace(/=.*/, ''));
  expect(names.filter((name) => !known.has(name))).toEqual([]);
  expect(names).toHaveLength(5);
});
