import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startPlane } from './plane.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-plane-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const program = (text: string) => ['-e', text];
const SERVES = `console.log(JSON.stringify({ address: 'localhost:1', rootsPem: 'roots' }))`;

test.each([
  ['process.exit(3)', 'the control plane ended (exit code 3;'],
  ['process.kill(process.pid, "SIGKILL")', 'the control plane ended (SIGKILL;'],
])('a control plane that ends before it serves is not waited for: %s', async (text, want) => {
  await expect(startPlane(program(text), folder)).rejects.toThrow(want);
});

test('one that serves is told of, and its end later on as well', async () => {
  await using plane = await startPlane(program(`${SERVES}; setInterval(() => {}, 1000)`), folder);
  expect([plane.address, readFileSync(plane.rootPath, 'utf8')]).toEqual(['localhost:1', 'roots']);
  expect(() => plane.check()).not.toThrow();
  await plane[Symbol.asyncDispose]();
  expect(() => plane.check()).toThrow('the control plane ended (SIGTERM;');
});
