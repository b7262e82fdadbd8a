import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { freePort } from '@ambit/core/testing/free-port';
import { silentLogger } from '@ambit/core/log';
import type { RunCommand } from '../rules/command.ts';
import { CommandError } from '../rules/errors.ts';
import { gatherFacts } from './facts.ts';
import { reach } from './reach.ts';
import { startPreflight } from './server.ts';

const folder = mkdtempSync(join(tmpdir(), 'ambit-preflight-'));
afterAll(() => rmSync(folder, { recursive: true }));

const net = join(folder, 'net.d');
const sys = join(folder, 'sys');
const proc = join(folder, 'proc');
beforeAll(() => {
  for (const path of [net, join(sys, 'fs/selinux'), join(proc, 'self/attr/apparmor')])
    mkdirSync(path, { recursive: true });
  writeFileSync(
    join(net, '10-a.conflist'),
    JSON.stringify({ name: 'a', plugins: [{ type: 'bridge', token: 'secret' }, { type: 'portmap' }] }),
  );
  writeFileSync(join(net, '05-b.conf'), JSON.stringify({ type: 'ptp' }));
  writeFileSync(join(net, '99-broken.conflist'), '{');
  writeFileSync(join(net, 'notes.txt'), '');
  writeFileSync(join(sys, 'fs/selinux/enforce'), '1');
  writeFileSync(join(proc, 'self/attr/apparmor/current'), 'containerd (enforce)\n');
});

/** nft is there; iptables is not. */
const run: RunCommand = ({ file }) =>
  file === 'nft'
    ? Promise.resolve({ exitCode: 0, stdout: '{}', stderr: '' })
    : Promise.reject(new CommandError(file, undefined, 'spawn ENOENT'));

const options = { node: 'n1', cniFolder: net, procFolder: proc, sysFolder: sys, run, clock: systemClock };

test('facts: what works, and of configurations names and types alone', async () => {
  const facts = await gatherFacts(options, '10.0.0.1');
  expect(facts).toMatchObject({
    node: 'n1',
    nftables: '',
    iptables: expect.stringContaining('spawn ENOENT'),
    cniFolderProblem: '',
    cniConfigs: [
      { file: '05-b.conf', types: ['ptp'] },
      { file: '10-a.conflist', types: ['bridge', 'portmap'] },
      { file: '99-broken.conflist', types: [] },
    ],
    probeSource: '10.0.0.1',
    selinux: 'enforcing',
    apparmor: 'containerd (enforce)',
  });
  expect(JSON.stringify(facts)).not.toContain('secret');
  expect(Math.abs(facts.atMs - systemClock.now())).toBeLessThan(60_000);
});

test('a folder that is not there is told as such', async () => {
  const facts = await gatherFacts(
    { ...options, cniFolder: join(folder, 'none'), sysFolder: folder, procFolder: folder },
    '',
  );
  expect(facts).toMatchObject({
    cniConfigs: [],
    cniFolderProblem: expect.stringContaining('ENOENT'),
    selinux: '',
    apparmor: '',
  });
});

test('reaching: each address by itself', async () => {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  expect(await reach(['127.0.0.1', '127.0.0.2'], port)).toEqual({
    '127.0.0.1': '',
    '127.0.0.2': 'ECONNREFUSED',
  });
  await new Promise((resolve) => server.close(resolve));
});

test('a pod: probe and mesh port for others, everything else on loopback', async () => {
  const ports = { probe: 0, mesh: 0, admin: 0 };
  const free = await freePort();
  const probe = await freePort();
  await using _ = await startPreflight(
    { ...options, ports: { ...ports, admin: free, probe }, log: silentLogger },
    AbortSignal.timeout(120_000),
  );
  expect(await (await fetch(`http://127.0.0.1:${probe}/healthz`)).text()).toBe('ok\n');
  const ask = async (path: string) => await fetch(`http://127.0.0.1:${free}${path}`);
  expect(await (await ask('/facts')).json()).toMatchObject({ node: 'n1', probeSource: '127.0.0.1' });
  expect((await ask('/reach?to=nonsense')).status).toBe(400);
  expect(
    (await ask(`/reach?${Array.from({ length: 33 }, (_, i) => `to=10.0.0.${i}`).join('&')}`)).status,
  ).toBe(400);
  expect((await ask('/other')).status).toBe(404);
});
