import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { bundle } from './bundle.ts';

const folder = mkdtempSync(join(tmpdir(), 'ambit-bundle-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(program: string): string {
  const { stdout, stderr } = spawnSync(process.execPath, [program], { encoding: 'utf8' });
  return stdout + stderr;
}

async function outputOf(source: string): Promise<string> {
  writeFileSync(join(folder, 'program.mts'), source);
  await bundle({ program: join(folder, 'program.mts') }, join(folder, 'out'));
  return run(join(folder, 'out/program.mjs'));
}

test('what is imported of modules of Node is what they export, under each form of import', async () => {
  const said = await outputOf(`
    import { createServer } from 'node:http';
    import { createHash as hash } from 'node:crypto';
    import os, { EOL } from 'node:os';
    import * as path from 'node:path';
    const { format } = await import('node:util');
    console.log(typeof createServer(), hash('md5').update('').digest('hex').length, os.EOL === EOL, path.join('a', 'b'), format('%d', 1));
  `);
  expect(said).toBe('object 32 true a/b 1\n');
});

test('what is made when it is read, and is not imported, is not made', async () => {
  const isMade = "process.moduleLoadList.includes('NativeModule internal/deps/undici/undici')";
  const said = await outputOf(`
    import { createServer } from 'node:http';
    console.log(typeof createServer, ${isMade});
  `);
  expect([said, run(join(folder, 'program.mts'))]).toEqual(['function false\n', 'function true\n']);
});

test('a module that there is not is said not to be', async () => {
  expect(await outputOf("import nothing from 'node:nothing'; console.log(nothing);")).toContain(
    'No such built-in module: node:nothing',
  );
});

test('functions and classes are called as in the sources, and nothing is done for it while the program runs', async () => {
  const said = await outputOf(`
    class Refused extends Error {}
    const make = (n) => ({ add: (m) => n + m });
    console.log(new Refused().constructor.name, make(1).add.name, make.name);
  `);
  expect(said).toBe('Refused add make\n');
  expect(readFileSync(join(folder, 'out/program.mjs'), 'utf8')).not.toContain('defineProperty');
});

test('one file alone parses under an older Node, and checks first which one runs it', async () => {
  const source =
    'using a = { [Symbol.dispose]: () => console.log("disposed") }; console.log(/[a--b]/v.test("a"), !!a);';
  writeFileSync(join(folder, 'program.mts'), source);
  await bundle({ program: join(folder, 'program.mts') }, join(folder, 'alone'), {}, 'one file');
  const path = join(folder, 'alone/program.mjs');
  expect(run(path)).toBe('true true\ndisposed\n');
  const text = readFileSync(path, 'utf8');
  expect(text).not.toMatch(/\busing\b|\/v\./);
  const check = text.slice(0, text.indexOf('import {')).replaceAll('process.versions.node', "'20.1.0'");
  writeFileSync(path, `${check}console.log('goes on');`);
  expect(run(path)).toBe(`program: this needs Node 26 or later, and ${process.execPath} is 20.1.0\n`);
});
