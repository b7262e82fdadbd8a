import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { DEFAULT_TIER_UP_FLAGS, EARLY_TIER_UP_FLAGS, V8_FLAGS } from './runtime.ts';

test("V8 takes the compiled code that Node's own modules come with", () => {
  const { stderr } = spawnSync(process.execPath, [...V8_FLAGS, '--eval', 'require("node:tls")'], {
    encoding: 'utf8',
    env: { NODE_DEBUG_NATIVE: 'CODE_CACHE' },
  });
  const verdicts = [...stderr.matchAll(/^Code cache of tls .* is (\w+)$/gm)].map(([, verdict]) => verdict);
  expect(verdicts).toEqual(['accepted']);
});

const RUNTIME = new URL('./runtime.ts', import.meta.url).href;

test('V8, or Node for it, knows every flag that is given', () => {
  const { stdout } = spawnSync(process.execPath, ['--v8-options'], { encoding: 'utf8', maxBuffer: 1 << 24 });
  const known = new Set([...stdout.matchAll(/^ +--(\S+) \(/gm)].map(([, name]) => name));
  const names = [...V8_FLAGS, ...EARLY_TIER_UP_FLAGS].map((flag) => nameOf(flag));
  expect(known.size).toBeGreaterThan(100);
  const isKnown = (name: string) => known.has(name) || process.allowedNodeEnvironmentFlags.has(`--${name}`);
  expect(names.filter((name) => !isKnown(name))).toEqual([]);
  const defaults = new Set([...stdout.matchAll(/ default: (\S+)$/gm)].map(([, flag]) => flag));
  expect(DEFAULT_TIER_UP_FLAGS.map(nameOf)).toEqual(EARLY_TIER_UP_FLAGS.map(nameOf));
  expect(DEFAULT_TIER_UP_FLAGS.filter((flag) => !defaults.has(flag))).toEqual([]);
});

function nameOf(flag: string): string {
  return flag.replace(/^--(no-)?/, '').replace(/=.*/, '');
}

test('flags that are given to a running V8 count, until they are taken back', () => {
  const program = `
    import { cachedDataVersionTag } from 'node:v8';
    import { tierUpEarly } from ${JSON.stringify(RUNTIME)};
    // Whatever is given leaves its mark, were it what V8 has anyway.
    tierUpEarly()[Symbol.dispose]();
    const before = cachedDataVersionTag();
    const early = tierUpEarly();
    const during = cachedDataVersionTag();
    early[Symbol.dispose]();
    console.log(during === before, cachedDataVersionTag() === before);
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
  });
  expect({ stdout, stderr }).toEqual({ stdout: 'false true\n', stderr: '' });
});
