import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { nodeAddresses } from '../network/addresses.ts';
import { run } from '../network/command.ts';
import { type LabNetwork, makeNetwork } from '../network/nodes.ts';

const PLUGIN = new URL('./main.ts', import.meta.url).pathname;
const CONFIG = {
  cniVersion: '1.0.0',
  name: 'lab',
  type: 'lab-ptp',
  prefix: '10.244.1',
  prefixIpv6: 'fd00:10:244:1::',
};

const PODS = ['pod-1', 'pod-2'];

let network: LabNetwork;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-ptp-'));
  network = await makeNetwork([nodeAddresses(0)]);
  for (const name of PODS) await run(['ip', 'netns', 'add', name]);
});
afterAll(async () => {
  await network[Symbol.asyncDispose]();
  for (const name of PODS) await run(['ip', 'netns', 'delete', name]);
  rmSync(folder, { recursive: true });
});

function call(command: string, over: { config?: object | string; env?: Record<string, string> } = {}) {
  const config = over.config ?? { ...CONFIG, stateFolder: join(folder, 'state') };
  const result = spawnSync('ip', ['netns', 'exec', 'lab-node-a', process.execPath, PLUGIN], {
    input: typeof config === 'string' ? config : JSON.stringify(config),
    encoding: 'utf8',
    env: {
      PATH: process.env['PATH'] ?? '',
      CNI_COMMAND: command,
      CNI_CONTAINERID: 'container-1',
      CNI_NETNS: '/run/netns/pod-1',
      CNI_IFNAME: 'eth0',
      ...over.env,
    },
  });
  return { status: result.status, result: result.stdout === '' ? undefined : JSON.parse(result.stdout) };
}

describe('the life of a pod interface', () => {
  test('ADD gives an address of each family and a way out', async () => {
    const { status, result } = call('ADD');
    expect([status, result.ips.map((ip: { address: string }) => ip.address)]).toEqual([
      0,
      ['10.244.1.2/24', 'fd00:10:244:1::2/64'],
    ]);
    const routes = await run(['ip', '-n', 'pod-1', 'route', 'get', '172.18.0.11']);
    expect(routes).toContain('via 10.244.1.1');
    expect(call('CHECK')).toEqual({ status: 0, result: undefined });
  });

  test('an ADD that fails takes back what it had done', () => {
    const failed = call('ADD', { env: { CNI_CONTAINERID: 'container-2', CNI_NETNS: '/run/netns/no-such' } });
    expect([failed.status, failed.result.code]).toEqual([1, 100]);
    const next = call('ADD', { env: { CNI_CONTAINERID: 'container-3', CNI_NETNS: '/run/netns/pod-2' } });
    expect(next.result.ips[0].address).toBe('10.244.1.3/24');
  });

  test('DEL may be called twice, and CHECK fails after it', () => {
    expect([call('DEL').status, call('DEL').status, call('CHECK').status]).toEqual([0, 0, 1]);
  });
});

describe('what it refuses, with a code of the specification', () => {
  const cases: Record<string, { command: string; over: Parameters<typeof call>[1]; code: number }> = {
    'a version it does not know': {
      command: 'ADD',
      over: { config: { ...CONFIG, cniVersion: '9.0.0' } },
      code: 1,
    },
    'no JSON': { command: 'ADD', over: { config: '{' }, code: 7 },
    'a missing field': { command: 'ADD', over: { config: { cniVersion: '1.0.0' } }, code: 7 },
    'an unknown command': { command: 'PLAY', over: {}, code: 4 },
    'no namespace': { command: 'ADD', over: { env: { CNI_NETNS: '' } }, code: 4 },
  };
  test.each(Object.entries(cases))('%s', (_, { command, over, code }) => {
    const { status, result } = call(command, over);
    expect([status, result.code]).toEqual([1, code]);
  });
});

test('VERSION needs no configuration', () => {
  expect(call('VERSION', { config: '' }).result.supportedVersions).toContain('1.0.0');
});
