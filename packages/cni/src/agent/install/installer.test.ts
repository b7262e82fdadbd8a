import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { until } from '@ambit/core/watch';
import { Installer, type InstallerOptions, type InstallResult } from './installer.ts';

const PLUGIN = { type: 'istio-cni', name: 'istio-cni' };
const LIST = { cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'ptp' }] };
const CHAINED = { ...LIST, plugins: [...LIST.plugins, PLUGIN] };

let folder: string;
let net: string;
let bin: string;
let results: InstallResult[];
let warnings: string[];
let running: Installer[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-install-'));
  net = join(folder, 'net.d');
  bin = join(folder, 'bin');
  for (const directory of [net, join(folder, 'source')]) mkdirSync(directory);
  writeFileSync(join(folder, 'source', 'istio-cni'), 'v1', { mode: 0o644 });
  results = [];
  warnings = [];
  running = [];
});

afterEach(async () => {
  for (const installer of running) await installer.drain();
  rmSync(folder, { recursive: true, force: true });
});

async function start(over: Partial<InstallerOptions> = {}): Promise<Installer> {
  const installer = new Installer({
    mode: 'chained',
    binarySource: join(folder, 'source'),
    binaryTarget: bin,
    configDirectory: net,
    ownedName: '02-istio-cni.conflist',
    configMode: 0o600,
    plugin: PLUGIN,
    clock: systemClock,
    log: { ...silentLogger, warn: (message) => warnings.push(message) },
    onInstall: (result) => results.push(result),
    ...over,
  });
  running.push(installer);
  await installer.start(AbortSignal.timeout(120_000));
  return installer;
}

const write = (name: string, value: unknown, mode = 0o600) => {
  writeFileSync(join(net, name), typeof value === 'string' ? value : JSON.stringify(value));
  chmodSync(join(net, name), mode);
};
const read = (name: string) => JSON.parse(readFileSync(join(net, name), 'utf8')) as unknown;

async function eventually(holds: () => boolean): Promise<void> {
  for (let left = 2_500; !holds(); left -= 1) {
    if (left === 0) throw new Error('it never came to that');
    await systemClock.sleep(10);
  }
}

test('binary and configuration are put in place, and nothing else changes', async () => {
  write('10-net.conflist', LIST, 0o640);
  const installer = await start();
  expect(installer.installed.value).toBe(true);
  expect(read('10-net.conflist')).toEqual(CHAINED);
  expect(statSync(join(net, '10-net.conflist')).mode & 0o777).toBe(0o640);
  expect(statSync(join(bin, 'istio-cni')).mode & 0o777).toBe(0o755);
  expect([readdirSync(bin), readdirSync(net), results]).toEqual([
    ['istio-cni'],
    ['10-net.conflist'],
    ['SUCCESS'],
  ]);
});

test('a node without a configuration is waited for', async () => {
  const installer = await start();
  expect(installer.installed.value).toBe(false);
  write('10-net.conf', { cniVersion: '0.4.0', name: 'x', type: 'bridge' }, 0o644);
  await until(installer.installed, (installed) => installed, AbortSignal.timeout(120_000));
  expect(readdirSync(net)).toEqual(['10-net.conflist']);
  expect(read('10-net.conflist')).toEqual({
    cniVersion: '0.4.0',
    name: 'x',
    plugins: [{ name: 'x', type: 'bridge' }, PLUGIN],
  });
  expect(statSync(join(net, '10-net.conflist')).mode & 0o777).toBe(0o644);
});

test('what others change is put back, and who keeps doing so is named', async () => {
  write('10-net.conflist', LIST);
  await start();
  rmSync(join(bin, 'istio-cni'));
  write('10-net.conflist', LIST);
  await eventually(() => existsSync(join(bin, 'istio-cni')) && results.length >= 2);
  expect(read('10-net.conflist')).toEqual(CHAINED);
  for (let round = 3; round <= 5; round += 1) {
    write('10-net.conflist', LIST);
    await eventually(() => results.length >= round);
  }
  expect(warnings).toEqual([expect.stringContaining('keeps changing')]);
  const before = results.length;
  await systemClock.sleep(1_500);
  expect(results).toHaveLength(before);
});

test('a new file that sorts first becomes the one', async () => {
  write('10-net.conflist', LIST);
  await start();
  write('05-net.conflist', { ...LIST, name: 'first' });
  await eventually(() => results.length >= 2);
  expect(read('05-net.conflist')).toEqual({ ...CHAINED, name: 'first' });
});

test('leftovers of a copy that was interrupted go', async () => {
  mkdirSync(bin);
  writeFileSync(join(bin, 'istio-cni.tmp.123'), '');
  await start();
  expect(readdirSync(bin)).toEqual(['istio-cni']);
});

test('a list of our own leaves the primary alone, and stays when the agent goes for a while', async () => {
  write('10-net.conflist', LIST);
  const installer = await start({ mode: 'owned' });
  expect([read('10-net.conflist'), read('02-istio-cni.conflist')]).toEqual([LIST, CHAINED]);
  await installer.uninstall('own list');
  expect(read('02-istio-cni.conflist')).toEqual(CHAINED);
  expect(existsSync(join(bin, 'istio-cni'))).toBe(true);
});

test('a list of our own goes with the mesh, and so does an entry from before it', async () => {
  write('10-net.conflist', CHAINED);
  const installer = await start({ mode: 'owned' });
  expect(readdirSync(net).sort()).toEqual(['02-istio-cni.conflist', '10-net.conflist']);
  await installer.uninstall();
  expect([readdirSync(net), read('10-net.conflist'), readdirSync(bin)]).toEqual([
    ['10-net.conflist'],
    LIST,
    [],
  ]);
});

test('folders that cannot be watched are looked at now and then', async () => {
  write('10-net.conflist', LIST);
  let look: () => void = () => undefined;
  const every = (_: number, run: () => void) => {
    look = run;
    return { cancel: () => undefined };
  };
  const installer = await start({
    watch: () => {
      throw new Error('EMFILE: too many open files');
    },
    clock: { ...systemClock, every },
  });
  expect([installer.installed.value, read('10-net.conflist'), warnings.length]).toEqual([true, CHAINED, 3]);
  write('10-net.conflist', LIST);
  look();
  expect(read('10-net.conflist')).toEqual(CHAINED);
});

test('a list of our own that would not come first is an error that says so', async () => {
  write('01-net.conflist', LIST);
  const installer = await start({ mode: 'owned' });
  expect([installer.installed.value, results]).toEqual([false, ['CREATE_CNI_CONFIG_FAILURE']]);
});

test('standalone', async () => {
  const installer = await start({ mode: 'standalone' });
  expect(read('YYY-istio-cni.conf')).toEqual({ cniVersion: '0.3.1', ...PLUGIN });
  await installer.uninstall();
  expect([readdirSync(net), readdirSync(bin)]).toEqual([[], []]);
});

test('uninstalling leaves the node as it was', async () => {
  write('10-net.conflist', LIST, 0o640);
  const installer = await start();
  await installer.uninstall();
  expect([read('10-net.conflist'), readdirSync(bin), installer.installed.value]).toEqual([LIST, [], false]);
  expect(statSync(join(net, '10-net.conflist')).mode & 0o777).toBe(0o640);
});

test('a configuration that is broken is waited for, and never written to', async () => {
  write('10-net.conflist', '{"plugins": [');
  const installer = await start();
  expect(installer.installed.value).toBe(false);
  expect(readFileSync(join(net, '10-net.conflist'), 'utf8')).toBe('{"plugins": [');
});

test('scripts are started by the Node that comes with them, which goes when they go', async () => {
  write('10-net.conflist', LIST);
  const program = join(folder, 'program');
  writeFileSync(program, 'program');
  writeFileSync(join(folder, 'source', 'istio-cni'), '#!/usr/local/bin/node\nplugin\n');
  mkdirSync(join(bin, '.ambit-0ld'), { recursive: true });
  const files = {
    node: program,
    libraries: new Map(),
    loader: program,
    needs: { libraries: [], loader: '', edits: [] },
    folderName: '.ambit-1',
  };
  const installer = await start({ runtime: { files, hostDirectory: '/opt/cni/bin' } });
  await until(installer.installed, Boolean, AbortSignal.timeout(120_000));
  const plugin = join(bin, 'istio-cni');
  const text = '#!/opt/cni/bin/.ambit-1/ld /opt/cni/bin/.ambit-1/node\nplugin\n';
  expect([readFileSync(plugin, 'utf8'), statSync(plugin).mode & 0o777]).toEqual([text, 0o755]);
  expect(readdirSync(bin).toSorted()).toEqual(['.ambit-1', 'istio-cni']);
  chmodSync(plugin, 0o644);
  await eventually(() => (statSync(plugin).mode & 0o777) === 0o755);
  await installer.uninstall();
  expect(readdirSync(bin)).toEqual([]);
});

test('a list of our own goes when the node’s own is chained again, and not before', async () => {
  write('10-net.conflist', LIST);
  const before = await start({ mode: 'owned' });
  expect(readdirSync(net)).toEqual(['02-istio-cni.conflist', '10-net.conflist']);
  await before.drain();
  // Written since: the copy is no longer what the node's network is.
  const now = { ...LIST, plugins: [{ type: 'bridge' }] };
  write('10-net.conflist', now);
  const installer = await start();
  expect(installer.installed.value).toBe(true);
  expect(readdirSync(net)).toEqual(['10-net.conflist']);
  expect(read('10-net.conflist')).toEqual({ ...now, plugins: [...now.plugins, PLUGIN] });
  await installer.uninstall();
  expect(read('10-net.conflist')).toEqual(now);
});

test.each([
  ['while there is no other', { '02-istio-cni.conflist': CHAINED }, {}],
  [
    'that the operator has named as the node’s',
    { '02-istio-cni.conflist': CHAINED, '10-net.conflist': LIST },
    { configName: '02-istio-cni.conflist' },
  ],
])('a list of that name stays %s', async (_, files, over) => {
  for (const [name, list] of Object.entries(files)) write(name, list);
  const installer = await start(over);
  expect(installer.installed.value).toBe(true);
  expect(readdirSync(net)).toEqual(Object.keys(files));
});
