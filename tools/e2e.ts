/**
 * `npm run e2e`: the mesh from outside, with production processes on the machine's own kernel.
 *
 * The suites are in e2e/: the lab's (nodes and pods are network namespaces) and the demo as a user runs it. The last line
 * is plain: `N passed, N failed`.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NOT_RUN_STATUS = 77;

const JEST = [
  '--experimental-vm-modules',
  '--disable-warning=ExperimentalWarning',
  'node_modules/jest/bin/jest.js',
  '--selectProjects',
  'e2e',
  '--runInBand',
  '--forceExit',
];

function main(): number {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-e2e-'));
  const countsFile = join(folder, 'counts');
  const env = { ...process.env, AMBIT_TEST_COUNTS: countsFile };
  const result = spawnSync('node', [...JEST, ...process.argv.slice(2)], { stdio: 'inherit', env });
  let counts = { passed: 0, failed: 0, skipped: 0 };
  try {
    counts = JSON.parse(readFileSync(countsFile, 'utf8').trim()) as typeof counts;
  } catch {
    counts.failed = 1;
  }
  rmSync(folder, { recursive: true, force: true });
  if (result.status === NOT_RUN_STATUS)
    process.stdout.write('NOT RUN: end-to-end suites (the reason is above)\n');
  const failed = counts.failed + counts.skipped;
  process.stdout.write(`${counts.passed} passed, ${failed} failed\n`);
  return result.status === 0 && failed === 0 ? 0 : 1;
}

process.exitCode = main();
