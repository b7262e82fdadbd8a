import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { buildPlugin } from '../../build/build-plugin.ts';
import { installRuntime, ownRuntimeFiles, removeOtherRuntimes, startedBy } from './runtime.ts';

const ON_NODE = '/opt/cni/bin';
let root: string;
let bin: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ambit-node-'));
  bin = join(root, ON_NODE);
  mkdirSync(bin, { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test('on a node that has nothing, the plugin starts, at once', async () => {
  const files = ownRuntimeFiles();
  expect([installRuntime(files, bin), installRuntime(files, bin)]).toEqual([true, false]);
  const plugin = await buildPlugin({ outDirectory: bin, node: process.execPath });
  writeFileSync(plugin, startedBy(readFileSync(plugin, 'utf8'), files, ON_NODE));
  chmodSync(plugin, 0o755);
  expect(readdirSync(root)).toEqual(['opt']);

  const version = () =>
    execFileSync('chroot', [root, join(ON_NODE, 'istio-cni')], {
      env: { CNI_COMMAND: 'VERSION', PATH: '/usr/sbin:/usr/bin', LD_LIBRARY_PATH: '/nowhere' },
      encoding: 'utf8',
    });
  expect(JSON.parse(version())).toMatchObject({ cniVersion: '1.1.0' });
  // On a machine that is busy with other things, one quiet moment shows it; on a slow one, that Node itself takes as long.
  const tookMs = (run: () => unknown) => {
    const startedMs = performance.now();
    run();
    return performance.now() - startedMs;
  };
  const bare = () => execFileSync(process.execPath, ['-e', '']);
  let shortestMs = tookMs(version);
  let bareMs = tookMs(bare);
  for (let i = 0; i < 50 && shortestMs >= Math.max(100, 2 * bareMs); i += 1) {
    shortestMs = Math.min(shortestMs, tookMs(version));
    bareMs = Math.min(bareMs, tookMs(bare));
  }
  expect(shortestMs).toBeLessThan(Math.max(100, 2 * bareMs));
});

test('a copy that lacks something is made anew', () => {
  const files = ownRuntimeFiles();
  installRuntime(files, bin);
  const folder = join(bin, files.folderName);
  const [library = ''] = files.libraries.keys();
  const harms = [
    () => truncateSync(join(folder, 'node')),
    () => rmSync(join(folder, library)),
    () => chmodSync(join(folder, 'ld'), 0o644),
  ];
  for (const harm of harms) {
    harm();
    expect([installRuntime(files, bin), installRuntime(files, bin)]).toEqual([true, false]);
  }
  expect(readdirSync(bin)).toEqual([files.folderName]);
});

test('folders of other Nodes go, and copies that were interrupted', () => {
  const kept = '.ambit-00000001';
  for (const name of [kept, '.ambit-00000002', '.ambit-00000001.tmp.7', '.other', 'ptp'])
    mkdirSync(join(bin, name));
  removeOtherRuntimes(bin, kept);
  expect(readdirSync(bin).toSorted()).toEqual([kept, '.other', 'ptp']);
});

test('a first line that the kernel would cut is refused', () => {
  const files = ownRuntimeFiles();
  expect(startedBy('#!/usr/bin/node\nx\n', files, '/home/kubernetes/bin')).toBe(
    `#!/home/kubernetes/bin/${files.folderName}/ld /home/kubernetes/bin/${files.folderName}/node\nx\n`,
  );
  expect(() => startedBy('#!x\n', files, `/${'x'.repeat(60)}`)).toThrow(/too long/);
});

test('a library that is not there is named', () => {
  expect(() => ownRuntimeFiles(process.execPath, '7f00-7f01 r-xp 0 0:0 1 /nowhere/libc.so.6\n')).toThrow(
    /needs lib\S+, which is in none of \/nowhere/,
  );
});
