import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { familyOf } from '@ambit/core/ip';
import { listenTcp, tcpSocket } from '@ambit/linux/sockets';
import { nodeAddresses } from './addresses.ts';
import { run } from './command.ts';
import { type LabNetwork, makeNetwork } from './nodes.ts';

let network: LabNetwork;

beforeAll(async () => {
  network = await makeNetwork([nodeAddresses(0), nodeAddresses(1)]);
});
afterAll(async () => {
  await network[Symbol.asyncDispose]();
});

/** What a connection from one namespace to an address of another is greeted with. */
async function greeting(fromNetnsFd: number, atNetnsFd: number, ip: string): Promise<string> {
  const server = createServer((socket) => socket.end('hello'));
  server.listen({ fd: listenTcp({ netnsFd: atNetnsFd, ip, port: 7_000 }).fd });
  const socket = new Socket({ fd: tcpSocket({ netnsFd: fromNetnsFd, family: familyOf(ip) }) });
  try {
    socket.setEncoding('utf8').setTimeout(60_000, () => socket.destroy(new Error(`no answer from ${ip}`)));
    socket.connect({ host: ip, port: 7_000 });
    const [text] = (await once(socket, 'data')) as [string];
    return text;
  } finally {
    socket.destroy();
    server.close();
  }
}

test.each(['172.18.0.12', 'fd00:172:18::12', '10.244.2.1', 'fd00:10:244:2::1'])(
  'the first node reaches the second at %s',
  async (ip) => {
    const [first, second] = network.nodes;
    expect(await greeting(first?.netns.fd ?? -1, second?.netns.fd ?? -1, ip)).toBe('hello');
  },
);

test.each(['172.18.0.1', 'fd00:172:18::1'])('a node reaches the switch at %s', async (ip) => {
  const [first] = network.nodes;
  expect(await greeting(first?.netns.fd ?? -1, network.switchNetns.fd, ip)).toBe('hello');
});

test('what a disposed network made is gone, and it can be made again', async () => {
  await network[Symbol.asyncDispose]();
  expect((await run(['ip', 'netns', 'list'])).trim()).toBe('');
  network = await makeNetwork([nodeAddresses(0)]);
  expect(network.nodes.map((node) => node.name)).toEqual(['node-a']);
});

test('a network that cannot be made leaves nothing half made', async () => {
  await expect(makeNetwork([nodeAddresses(3)])).rejects.toThrow(/File exists/);
  expect((await run(['ip', 'netns', 'list'])).trim().split('\n').sort()).toEqual([
    'lab-node-a',
    'lab-switch',
  ]);
});
