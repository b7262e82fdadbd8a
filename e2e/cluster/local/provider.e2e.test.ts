/**
 * The provider `local` against this machine: what it makes is there, and what it leaves behind is nothing, however it ended.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from '@jest/globals';
import type { Cluster } from '../provider.ts';
import { localProvider } from '../providers.ts';
import { markedProcesses } from './processes.ts';
import { Records } from './record.ts';
import { clusterGroup, hierarchiesIn } from './render-cgroups.ts';
import { localSettings } from './settings.ts';

const NAME = `provider-${process.pid}`;
const TIMEOUT_MS = 240_000;
// Of its own, so that this machine's other clusters are no part of what is compared.
const state = mkdtempSync('/var/tmp/ambit-provider-');
const env = { ...process.env, AMBIT_E2E_STATE: state };
const MAIN = new URL('../main.ts', import.meta.url).pathname;

afterAll(async () => {
  await localProvider(env).down(NAME, () => undefined);
  rmSync(state, { recursive: true, force: true });
});

/** What there is of the cluster on this machine, by kind. */
function traces(): Record<string, readonly string[]> {
  const mountInfo = readFileSync('/proc/self/mountinfo', 'utf8');
  return {
    processes: markedProcesses(NAME).map(({ role }) => role),
    groups: hierarchiesIn(mountInfo)
      .map((hierarchy) => clusterGroup(hierarchy, NAME))
      .filter((group) => existsSync(group)),
    mounts: mountInfo.split('\n').filter((line) => line.includes(state)),
    folders: readdirSync(state).filter((name) => !name.startsWith('.')),
    slots: existsSync(join(state, '.slots')) ? readdirSync(join(state, '.slots')) : [],
  };
}

const NOTHING = { processes: [], groups: [], mounts: [], folders: [], slots: [] };

/** This machine's end of the way to the cluster, by the slot that it has now. */
function link(): string {
  const record = new Records(state).read(NAME);
  if (!record) throw new Error(`${NAME} has no record`);
  return `/sys/class/net/${localSettings(NAME, record.slot, record.ipFamily, state).link}`;
}

/** By the process that a user would start. */
function startUp() {
  const child = spawn(process.execPath, [MAIN, 'up', '--name', NAME], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  return { child, ended };
}

async function whenThereIs(role: string): Promise<void> {
  while (!markedProcesses(NAME).some((one) => one.role === role)) await sleep(50);
}

test(
  'killed while it starts, it leaves what the next start removes; interrupted, it leaves nothing',
  async () => {
    const killed = startUp();
    await whenThereIs('containerd:node1');
    killed.child.kill('SIGKILL');
    await killed.ended;
    expect(traces()).not.toEqual(NOTHING);
    expect(existsSync(link())).toBe(true);
    const interrupted = startUp();
    await whenThereIs('kube-controller-manager');
    const ended = link();
    interrupted.child.kill('SIGINT');
    const [status] = await interrupted.ended;
    expect([status, existsSync(ended)]).toEqual([1, false]);
    expect(traces()).toEqual(NOTHING);
  },
  TIMEOUT_MS,
);

test(
  'a cluster runs, gains and loses a node, loses and regains its API server, and goes without a trace',
  async () => {
    const provider = localProvider(env);
    const images = { hub: 'ambit.local', tag: 'e2e' };
    const options = { name: NAME, nodes: 2, ipFamily: 'dual', images } as const;
    const cluster = await provider.up(options, () => undefined, new AbortController().signal);
    const names = async () => (await cluster.nodes()).map(({ name }) => name);
    expect(await names()).toEqual(['node1', 'node2']);
    await expect(provider.up(options, () => undefined, new AbortController().signal)).rejects.toThrow(
      'up already',
    );
    expect(await cluster.addNode()).toBe('node3');
    await cluster.removeNode('node2');
    expect(await names()).toEqual(['node1', 'node3']);
    expect(readyNodes(cluster)).toEqual(['node1=True', 'node3=True']);
    await cluster.stopApiServer();
    expect(readyNodes(cluster)).toEqual([]);
    await cluster.startApiServer();
    expect(readyNodes(cluster)).toHaveLength(2);
    const hostName = await (await provider.attach({ name: NAME, images })).nodeExec('node3', ['hostname']);
    expect(hostName).toEqual({ exitCode: 0, stdout: 'node3\n', stderr: '' });
    const gone = link();
    await provider.down(NAME, () => undefined);
    expect([traces(), existsSync(gone)]).toEqual([NOTHING, false]);
  },
  TIMEOUT_MS,
);

function readyNodes({ description: { kubectl, kubeconfig } }: Cluster): readonly string[] {
  const format = '{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}';
  const args = [
    '--kubeconfig',
    kubeconfig,
    '--request-timeout=10s',
    'get',
    'nodes',
    '-o',
    `jsonpath=${format}`,
  ];
  const { stdout } = spawnSync(kubectl, args, { encoding: 'utf8' });
  return stdout.split(' ').filter((word) => word !== '');
}
