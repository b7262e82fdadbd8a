import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { PacketSocket } from './packets.ts';
import { listenTcp, tcpSocket } from './sockets.ts';
import { TestNamespaces, type TestNetns } from './testing/namespaces.ts';

const namespaces = new TestNamespaces();
let pod: TestNetns;
beforeAll(() => {
  pod = namespaces.create();
});
afterAll(() => namespaces[Symbol.dispose]());

test('frames of a connection are seen', async () => {
  using packets = new PacketSocket({ netnsFd: pod.fd, interfaceName: 'lo' });
  const server = net.createServer((socket) => socket.end('marmalade'));
  server.listen({ fd: listenTcp({ netnsFd: pod.fd, ip: '127.0.0.1', port: 0 }).fd });
  const client = new net.Socket({ fd: tcpSocket({ netnsFd: pod.fd, family: 4 }) });
  client.connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  await once(client.resume(), 'close');
  let seen = false;
  while (!seen) {
    const frame = await packets.receive();
    if (!frame) break;
    expect(frame.length).toBeGreaterThanOrEqual(54);
    seen = Buffer.from(frame).includes('marmalade');
  }
  expect(seen).toBe(true);
  client.destroy();
  server.close();
});

test('closing ends waiting, and an interface that is not there is named', async () => {
  pod.run('ip', 'link', 'add', 'quiet', 'type', 'veth');
  const packets = new PacketSocket({ netnsFd: pod.fd, interfaceName: 'quiet' });
  const waiting = packets.receive();
  packets.close();
  expect(await waiting).toBeUndefined();
  expect(await packets.receive()).toBeUndefined();
  expect(() => new PacketSocket({ netnsFd: pod.fd, interfaceName: 'nope0' })).toThrow(
    'if_nametoindex (nope0): ENODEV',
  );
});
