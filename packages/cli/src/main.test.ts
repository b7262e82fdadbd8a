import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from '@jest/globals';

const launcher = fileURLToPath(new URL('../bin/ambit', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'ambit-bin-'));
afterAll(() => rmSync(folder, { recursive: true }));

function ambit(path: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(path, args, {
    encoding: 'utf8',
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '', KUBECONFIG: '/nonexistent/config' },
  });
  return { status, stdout, stderr };
}

test('the command runs from anywhere, also through a link, as npm makes it', () => {
  const link = join(folder, 'ambit');
  symlinkSync(launcher, link);
  expect(ambit(link, 'version')).toMatchObject({ status: 0, stderr: '' });
  expect(JSON.parse(ambit(link, 'version', '--output', 'json').stdout)).toEqual({
    version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    node: expect.stringMatching(/^26\./),
  });
});

test('in a clone without npm packages it says what installs them', () => {
  const clone = realpathSync(folder);
  const fresh = join(clone, 'packages', 'cli', 'bin', 'ambit');
  cpSync(launcher, fresh);
  expect(ambit(fresh, 'version')).toEqual({
    status: 1,
    stdout: '',
    stderr: `ambit: the npm packages of this clone are not installed; this installs them: node ${clone}/tools/setup.cjs base\n`,
  });
});

test('its exit code and its sentence reach the shell', () => {
  expect(ambit(launcher, 'nonsense')).toEqual({
    status: 2,
    stdout: '',
    stderr: 'ambit: unknown command "nonsense"; "ambit help" lists them\n',
  });
  expect(ambit(launcher, 'status')).toEqual({
    status: 1,
    stdout: '',
    stderr:
      "ambit: there is no kubeconfig /nonexistent/config; set KUBECONFIG to your cluster's file (for the demo: the export line that npm run demo -- --keep printed)\n",
  });
});

test.each([
  [['install', '--component', 'foo'], '--component is one of'],
  [['install', '-f', '/nope'], 'values file /nope: ENOENT'],
  [['upgrade', '--set', 'foo=1'], 'there is no value foo;'],
  [['install', '--set', 'global.hub'], '--set wants KEY=VALUE'],
  [['why', 'a/b/c', 'api:80'], '"a/b/c" is not NAME'],
  [['enroll', 'a/b/c'], '"a/b/c" is neither NAMESPACE nor NAMESPACE/POD'],
  [['waypoint', 'apply', '--name', 'none'], 'a waypoint cannot be called none'],
])('%j is a wrong command line, with a cluster or without', (args, problem) => {
  expect(ambit(launcher, ...args)).toEqual({
    status: 2,
    stdout: '',
    stderr: expect.stringContaining(problem),
  });
});

test.each([
  ['standard output', 'help', ''],
  ['standard error', 'nonsense', '2>&1'],
])('a reader of %s that went away is no error', (_, command, redirect) => {
  const script = `{ sleep 0.3; { "$0" ${command} ${redirect}; } ; echo "code $?" >&3; } 3>&2 | true`;
  const { stderr } = spawnSync('sh', ['-c', script, launcher], { encoding: 'utf8' });
  expect(stderr).toBe('code 0\n');
});
