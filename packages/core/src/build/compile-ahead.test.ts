import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from '@jest/globals';
import { COMPILE_CACHE, CompileAheadError, compileAhead } from './compile-ahead.ts';

const top = mkdtempSync(join(tmpdir(), 'ambit-compile-ahead-'));
afterAll(() => rmSync(top, { recursive: true, force: true }));

const node = process.execPath;
const FLAGS = ['--max-semi-space-size=1'];
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(top, 'bundle-'));
  mkdirSync(join(folder, 'worker'));
  const files = {
    'main.mjs': "throw new Error('the program ran');\n",
    'process-1.mjs': 'export const one = 1;\n',
    'worker/main.mjs': "import { one } from '../process-1.mjs';\nthrow new Error(String(one));\n",
  };
  for (const [path, text] of Object.entries(files)) writeFileSync(join(folder, path), text);
});

/** What Node says of each file's compiled code when `file` is loaded from `where`. */
function verdictsOf(where: string, file: string, flags: readonly string[]): readonly string[] {
  const env = {
    NODE_COMPILE_CACHE: join(where, COMPILE_CACHE),
    NODE_COMPILE_CACHE_PORTABLE: '1',
    NODE_DEBUG_NATIVE: 'COMPILE_CACHE',
  };
  const { stderr } = spawnSync(node, [...flags, join(where, file)], { encoding: 'utf8', env });
  return [...stderr.matchAll(/V8 code cache for ESM .*\/([\w-]+\.mjs) was ([a-z ]+),/g)].map(
    ([, name, verdict]) => `${name} ${verdict}`,
  );
}

test('is taken by a start from another folder that cannot be written to', () => {
  compileAhead(folder, { node, flags: FLAGS });
  const image = `${folder}-image`;
  renameSync(folder, image);
  const kept = readdirSync(join(image, COMPILE_CACHE), { recursive: true, withFileTypes: true });
  const modes = kept.map((entry) => [
    entry.isDirectory(),
    statSync(join(entry.parentPath, entry.name)).mode & 0o777,
  ]);
  expect(new Map(modes as [boolean, number][])).toEqual(
    new Map([
      [true, 0o755],
      [false, 0o644],
    ]),
  );
  chmodSync(join(image, COMPILE_CACHE), 0o555);
  expect(verdictsOf(image, 'worker/main.mjs', FLAGS)).toEqual([
    'main.mjs accepted',
    'process-1.mjs accepted',
  ]);
  // Who is not root could not remove it.
  chmodSync(join(image, COMPILE_CACHE), 0o755);
});

test('is not what a start with other flags runs', () => {
  compileAhead(folder, { node, flags: [] });
  expect(verdictsOf(folder, 'process-1.mjs', ['--max-lazy'])).toEqual(['process-1.mjs not initialized']);
});

test('says what kept it', () => {
  expect(() => compileAhead(folder, { node, flags: ['--no-such-flag'] })).toThrow(CompileAheadError);
  expect(() => compileAhead(folder, { node: join(folder, 'missing'), flags: [] })).toThrow('ENOENT');
  writeFileSync(join(folder, 'broken.mjs'), 'export const = 1;\n');
  expect(() => compileAhead(folder, { node, flags: FLAGS })).toThrow('SyntaxError');
});
