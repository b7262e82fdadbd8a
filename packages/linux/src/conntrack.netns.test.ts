import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { forgetMarked, forgetOpenTcp, forgetRedirectedUdp } from './conntrack.ts';
import { listenTcp, tcpSocket, udpSocket } from './sockets.ts';
import { TestNamespaces, type TestNetns } from './testing/namespaces.ts';

const PORT = 8080;
const MARK = 0x111;

let namespaces: TestNamespaces;
let pod: TestNetns;
let open: Socket[];

beforeEach(() => {
  namespaces = new TestNamespaces();
  pod = namespaces.create();
  pod.run('ip', 'link', 'set', 'lo', 'up');
  // Every second one gets the mark, by its port.
  for (const line of [
    'add table inet t',
    'add chain inet t out { type filter hook output priority 0; }',
    `add rule inet t out tcp sport & 1 == 1 tcp dport ${PORT} ct mark set ${MARK}`,
    'add rule inet t out ct state new accept',
  ])
    pod.run('nft', line);
  open = [];
});
afterEach(() => {
  for (const socket of open) socket.destroy();
  namespaces[Symbol.dispose]();
});

async function connect(count: number): Promise<void> {
  const { fd } = listenTcp({ netnsFd: pod.fd, ip: '0.0.0.0', port: PORT });
  const server = createServer((socket) => open.push(socket.on('error', () => undefined))).listen({ fd });
  for (let i = 0; i < count; i++) {
    const bind = { ip: '127.0.0.1', port: 20_000 + i, transparent: false };
    const socket = new Socket({ fd: tcpSocket({ netnsFd: pod.fd, family: 4, bind }) }).connect(
      PORT,
      '127.0.0.1',
    );
    open.push(socket);
    await once(socket, 'connect');
  }
  server.close();
}

async function sendUdp(ip: string, port: number): Promise<void> {
  const socket = createSocket('udp4').on('error', () => undefined);
  const listening = once(socket, 'listening');
  socket.bind({ fd: udpSocket({ netnsFd: pod.fd, ip, port: 0 }) });
  await listening;
  await new Promise((resolve) => socket.send('who', port, ip, resolve));
  socket.close();
}

const tracked = () => Number(pod.run('sysctl', '-n', 'net.netfilter.nf_conntrack_count'));

test('connections are forgotten by their mark, and the others that are open with them or without', async () => {
  await connect(300);
  expect(tracked()).toBe(300);
  forgetMarked(pod.fd, MARK, 0xfff);
  expect(tracked()).toBe(150);
  expect(forgetOpenTcp(pod.fd)).toBe(true);
  expect(tracked()).toBe(0);
  expect(forgetOpenTcp(pod.fd)).toBe(true);
  forgetMarked(pod.fd, MARK, 0xfff);
});

test('where there are more than are looked at, those that were are forgotten, and it says so', async () => {
  await connect(30);
  expect(forgetOpenTcp(pod.fd, 10)).toBe(false);
  expect(tracked()).toBe(20);
});

test('UDP is forgotten by the port that it is redirected to', async () => {
  for (const line of [
    'add chain inet t nat { type nat hook output priority -100; }',
    'add rule inet t nat udp dport 53 redirect to :15053',
    'add rule inet t nat udp dport 54 redirect to :15054',
  ])
    pod.run('nft', line);
  await connect(1);
  for (const port of [53, 54, 15_053]) await sendUdp('127.0.0.1', port);
  expect(tracked()).toBe(4);
  expect(forgetRedirectedUdp(pod.fd, 15_053)).toBe(true);
  expect(tracked()).toBe(3);
  expect(forgetRedirectedUdp(pod.fd, 15_053, 1)).toBe(false);
  expect(tracked()).toBe(3);
});
