/** Which congestion control the sockets of a connection have, where the namespace's own one paces. */
import { afterEach, expect, test } from '@jest/globals';
import { BOB_IP, type Place, WorkerNetwork } from '../testing/worker-network.ts';

const NODE = 'node-1';

let network: WorkerNetwork;
afterEach(async () => await network[Symbol.asyncDispose]());

/** Pods of a machine whose default is BBR. */
async function talk(nodeName: string, clusterId = 'Kubernetes'): Promise<void> {
  network = await WorkerNetwork.create({ nodeName });
  for (const pod of ['alice', 'bob'] as const) {
    const told = network
      .netns(pod)
      .run(
        'sh',
        '-c',
        'sysctl -qw net.ipv4.tcp_congestion_control=bbr; sysctl -n net.ipv4.tcp_congestion_control',
      );
    if (told.trim() !== 'bbr') throw new Error('this kernel lets no network namespace have BBR (tcp_bbr)');
  }
  network.meshOnNode(NODE, clusterId);
  await network.start('alice');
  await network.start('bob');
  network.serve('bob', 8080, (socket) => socket.pipe(socket));
  const client = await network.connect('alice', BOB_IP, 8080);
  expect(await client.ask('hello')).toBe('hello');
}

/** Of the established sockets that `filter` finds. */
function controls(place: Place, ...filter: readonly string[]): readonly string[] {
  const told = network.netns(place).run('ss', '-Htin', 'state', 'established', ...filter);
  return told
    .split('\n')
    .filter((line) => /^\s/.test(line))
    .map((line) => line.trim().split(' ', 1)[0] ?? '');
}

test('what does not leave the machine is not paced', async () => {
  await talk(NODE);
  expect(controls('alice', 'sport', '=', ':15001')).toEqual(['reno']);
  expect(controls('alice', 'dport', '=', ':15008')).toEqual(['reno']);
  expect(controls('bob', 'sport', '=', ':15008')).toEqual(['reno']);
  expect(controls('bob', 'dport', '=', ':8080')).toEqual(['reno']);
  // Applications' own sockets are theirs.
  expect(controls('bob', 'sport', '=', ':8080')).toEqual(['bbr']);
});

test.each([
  ['nobody says which node this is', '', 'Kubernetes'],
  ['a node of another cluster has the same name', NODE, 'elsewhere'],
])('a tunnel keeps its namespace’s own where %s', async (_, nodeName, clusterId) => {
  await talk(nodeName, clusterId);
  expect(controls('alice', 'dport', '=', ':15008')).toEqual(['bbr']);
  expect(controls('bob', 'sport', '=', ':15008')).toEqual(['bbr']);
  expect(controls('alice', 'sport', '=', ':15001')).toEqual(['reno']);
  expect(controls('bob', 'dport', '=', ':8080')).toEqual(['reno']);
});
