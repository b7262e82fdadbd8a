import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { V8_FLAGS } from './runtime.ts';

test("V8 takes the compiled code that Node's own modules come with", () => {
  const { stderr } = spawnSync(process.execPath, [...V8_FLAGS, '--eval', 'require("node:tls")'], {
    encoding: 'utf8',
    env: { NODE_DEBUG_NATIVE: 'CODE_CACHE' },
  });
  const verdicts = [...stderr.matchAll(/^Code cache of tls .* is (\w+)$/gm)].map(([, verdict]) => verdict);
  expect(verdicts).toEqual(['accepted']);
});
