import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { VERSION } from '@ambit/core/gen/version';
import { buildCommand } from './build-command.ts';

const folder = mkdtempSync(join(tmpdir(), 'ambit-bundle-'));
let path: string;
beforeAll(async () => {
  path = await buildCommand(folder);
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function ambit(...args: readonly string[]) {
  const env = { PATH: process.env['PATH'] ?? '', KUBECONFIG: '/nonexistent/config' };
  return spawnSync(path, args, { encoding: 'utf8', cwd: '/', env });
}

test('one file, away from its sources, knows its version', async () => {
  const { status, stdout, stderr } = ambit('version');
  expect([status, stderr]).toEqual([0, '']);
  expect(readdirSync(folder)).toEqual(['ambit.mjs']);
  expect(stdout).toContain(`ambit ${VERSION} `);
});

test('it reads a kubeconfig, and says what is wrong with it', () => {
  expect(ambit('install', '--dry-run')).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('there is no kubeconfig /nonexistent/config'),
  });
});
