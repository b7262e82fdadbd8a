import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { EARLY_TIER_UP_FLAGS, V8_FLAGS } from './runtime.ts';

test("V8 takes the compiled code that Node's own modules come with", () => {
  const { stderr } = spawnSync(process.execPath, [...V8_FLAGS, '--eval', 'require("node:tls")'], {
    encoding: 'utf8',
    env: { NODE_DEBUG_NATIVE: 'CODE_CACHE' },
  });
  const verdicts = [...stderr.matchAll(/^Code cache of tls .* is (\w+)$/gm)].map(([, verdict]) => verdict);
  expect(verdicts).toEqual(['accepted']);
});

const RUNTIME = new URL('./runtime.ts', import.meta.url).href;

test('V8 knows every flag that it is given', () => {
  const { stdout } = spawnSync(process.execPath, ['--v8-options'], { encoding: 'utf8', maxBuffer: 1 << 24 });
  const known = new Set([...stdout.matchAll(/^ +--(\S+) \(/gm)].map(([, name]) => name));
  const names = [...V8_FLAGS, ...EARLY_TIER_UP_FLAGS].map((flag) =>
    flag.replace(/^--(no-)?/, '').replace(/=.*/, ''),
  );
  expect(known.size).toBeGreaterThan(100);
  expect(names.filter((name) => !known.has(name))).toEqual([]);
});

test('flags that are given to a running V8 count', () => {
  const program = `
    import { cachedDataVersionTag } from 'node:v8';
    import { tierUpEarly } from ${JSON.stringify(RUNTIME)};
    const before = cachedDataVersionTag();
    tierUpEarly();
    console.log(cachedDataVersionTag() === before);
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
  });
  expect({ stdout, stderr }).toEqual({ stdout: 'false\n', stderr: '' });
});
