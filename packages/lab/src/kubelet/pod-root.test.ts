import { existsSync, lstatSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { enterRootCommand, layOutRoot, repositoryMount } from './pod-root.ts';

const top = mkdtempSync(join(tmpdir(), 'ambit-root-'));
afterAll(() => rmSync(top, { recursive: true }));
const folder = join(top, 'root');
const layOut = (to: string, from = top) =>
  layOutRoot({ folder, resolvConf: 'nameserver x\n', hosts: '', hostname: 'web', mounts: [{ from, to }] });

test('the pod has its own /etc, /run and /tmp, and the programs of the machine', () => {
  const mounts = layOut('/var/run/secrets/tokens');
  expect(readFileSync(join(folder, 'etc/resolv.conf'), 'utf8')).toBe('nameserver x\n');
  expect(readFileSync(join(folder, 'etc/hostname'), 'utf8')).toBe('web\n');
  expect(existsSync(join(folder, 'run/secrets/tokens'))).toBe(true);
  expect(mounts).toContainEqual({ from: '/usr', to: '/usr' });
  expect(mounts.map(({ to }) => to)).not.toContain('/run');
  expect(mounts.at(-1)).toEqual({ from: top, to: '/var/run/secrets/tokens' });
});

test('a volume in /etc takes the place of what the machine has there', () => {
  layOut('/etc/ssl/mine');
  expect(lstatSync(join(folder, 'etc/ssl')).isDirectory()).toBe(true);
  expect(lstatSync(join(folder, 'etc/passwd')).isSymbolicLink()).toBe(true);
});

test('a file is mounted on a file', () => {
  layOut('/etc/app/settings', '/etc/passwd');
  expect(lstatSync(join(folder, 'etc/app/settings')).isFile()).toBe(true);
});

test('where the machine owns the folder, a mount point is not made up', () => {
  expect(() => layOut('/usr/no/such/place')).toThrow("/usr is the machine's own");
});

test('words of a command are never script', () => {
  const words = enterRootCommand("/a'b", [{ from: '/x y', to: '/z' }], '/', ['echo', '$(id); rm -rf /']);
  expect(words.slice(-2)).toEqual(['echo', '$(id); rm -rf /']);
  const [script = ''] = words.filter((word) => word.startsWith('set -e'));
  expect(script).toContain(`mount --rbind '/x y' '/a'\\''b/z'`);
  expect(script).not.toContain('rm -rf');
});

test('a repository below a folder of the pod’s own is mounted there, any other shows by itself', () => {
  expect(repositoryMount('/tmp/clone')).toEqual([{ from: '/tmp/clone', to: '/tmp/clone' }]);
  expect(repositoryMount('/home/me/ambit')).toEqual([]);
});
