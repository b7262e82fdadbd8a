import { once } from 'node:events';
import { closeSync } from 'node:fs';
import net from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { codeOf } from '@ambit/core/errors';
import { intOption } from '@ambit/linux/options';
import { listenTcp } from '@ambit/linux/sockets';
import { TestNamespaces, type TestNetns } from '@ambit/linux/testing/namespaces';
import { OPTIONS } from '../testing/worker-network.ts';
import { PodSockets } from './sockets.ts';

const MARK = 0x539;
const IPPROTO_IP = 0;
const IP_LOCAL_PORT_RANGE = 51;
const POD_IP = '10.1.0.5';
const CLIENT_IP = '10.9.9.9';

const namespaces = new TestNamespaces();
let pod: TestNetns;
let server: net.Server;
/** Ports that the application saw its clients at, oldest first. */
const seen: number[] = [];

beforeAll(async () => {
  pod = namespaces.create();
  // What an agent installs in an enrolled pod, as far as this needs it.
  pod.run('ip', 'addr', 'add', `${POD_IP}/32`, 'dev', 'lo');
  pod.run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'peer0');
  for (const link of ['eth0', 'peer0']) pod.run('ip', 'link', 'set', link, 'up');
  pod.run('ip', 'route', 'add', 'default', 'dev', 'eth0');
  pod.run('ip', 'route', 'add', 'local', '0.0.0.0/0', 'dev', 'lo', 'table', '100');
  pod.run('ip', 'rule', 'add', 'fwmark', '0x111/0xfff', 'lookup', '100', 'pref', '32764');
  pod.nft(`
    table inet test {
      chain prerouting { type filter hook prerouting priority mangle; meta mark ${MARK} ct mark set 0x111; }
      chain output { type route hook output priority mangle; ct mark 0x111 meta mark set ct mark; }
    }`);
  server = net.createServer((socket) => {
    seen.push(socket.remotePort ?? 0);
    socket.on('error', () => undefined).resume();
  });
  server.listen({ fd: listenTcp({ netnsFd: pod.fd, ip: POD_IP, port: 8080 }).fd });
  await once(server, 'listening');
});
afterAll(() => {
  server.close();
  namespaces[Symbol.dispose]();
});

/** Sockets of a pod, with the ports that chance draws: 0 is the first of them. */
const drawing = (...draws: readonly number[]) => socketsOf({}, draws);

function socketsOf(worker: { readonly index?: number; readonly workers?: number }, draws: readonly number[]) {
  const left = [...draws];
  const options = { ...OPTIONS, packetMark: MARK, ...worker };
  return new PodSockets(pod.fd, options, true, () => left.shift() ?? 0);
}

/** @returns the name of the error, or the socket. */
async function connected(fd: number): Promise<net.Socket | string> {
  const socket = new net.Socket({ fd });
  socket.connect({ host: POD_IP, port: 8080 });
  return await once(socket, 'connect').then(
    () => socket,
    (error: unknown) => String(codeOf(error)),
  );
}

function connectedTo(outcome: net.Socket | string): net.Socket {
  if (typeof outcome === 'string') throw new Error(outcome);
  return outcome;
}

/** A connection that bears the client's address, and the port that the application saw it at. */
async function bearing(sockets: PodSockets): Promise<{ readonly fd: number; readonly port: number }> {
  const before = seen.length;
  const fd = sockets.connectFrom(CLIENT_IP, { ip: POD_IP, port: 8080 }, (error) => {
    throw error;
  });
  if (fd < 0) throw new Error(`errno ${-fd}`);
  while (seen.length === before) await once(server, 'connection');
  return { fd, port: seen[before] ?? 0 };
}

test('a client’s address is borne with ports that clients do not draw, and the next is tried if one is taken', async () => {
  const first = await bearing(drawing(0));
  expect(first.port).toBe(10_240);
  const second = await bearing(drawing(0, 0, 0.5));
  expect(second.port).toBe(21_504);
  // In the end the kernel looks for one in its own range.
  const last = await bearing(drawing());
  expect(last.port).toBeGreaterThanOrEqual(32_768);
  for (const { fd } of [first, second, last]) closeSync(fd);
});

test('a port that an application listens on is left to it', async () => {
  const { fd } = listenTcp({ netnsFd: pod.fd, ip: '0.0.0.0', port: 10_241 });
  const own = net.createServer().listen({ fd });
  await once(own, 'listening');
  const kernels = await bearing(drawing(1 / 22_528));
  expect(kernels.port).toBeGreaterThanOrEqual(32_768);
  closeSync(kernels.fd);
  own.close();
});

test('tunnels of two workers have ports by which their peer tells them apart', async () => {
  const ports: (number | undefined)[] = [];
  const sockets: net.Socket[] = [];
  for (const index of [0, 1]) {
    const worker = socketsOf({ index, workers: 2 }, []);
    for (let i = 0; i < 2; i++) {
      const socket = connectedTo(await connected(worker.tunnel(POD_IP)));
      ports.push(socket.localPort);
      sockets.push(socket);
    }
    expect(await connected(worker.tunnel(POD_IP))).toBe('EADDRNOTAVAIL');
  }
  expect(new Set(ports.slice(0, 2))).toEqual(new Set([32_768, 32_769]));
  expect(new Set(ports.slice(2))).toEqual(new Set([32_770, 32_771]));
  for (const socket of sockets) socket.destroy();
});

test('the far end of a tunnel may be the next worker’s, after the last the first one’s', async () => {
  const portsOf = async (index: number, far: 'own' | 'next') => {
    const worker = socketsOf({ index, workers: 3 }, []);
    const both = [
      connectedTo(await connected(worker.tunnel(POD_IP, far))),
      connectedTo(await connected(worker.tunnel(POD_IP, far))),
    ];
    const ports = both.map(({ localPort }) => localPort ?? 0).toSorted((a, b) => a - b);
    for (const socket of both) socket.resetAndDestroy();
    await Promise.all(both.map(async (socket) => socket.closed || (await once(socket, 'close'))));
    return ports;
  };
  const own = [await portsOf(0, 'own'), await portsOf(1, 'own'), await portsOf(2, 'own')];
  expect(new Set(own.flat()).size).toBe(6);
  expect(await portsOf(0, 'next')).toEqual(own[1]);
  expect(await portsOf(1, 'next')).toEqual(own[2]);
  expect(await portsOf(2, 'next')).toEqual(own[0]);
});

test.each([1, 2, 3, 7, 64])('tunnels of %i workers have local ports', (workers) => {
  for (const index of [0, workers - 1]) {
    for (const draw of [0, 0.999_999]) {
      const fd = socketsOf({ index, workers }, [draw]).tunnel(POD_IP);
      const range = intOption(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE) >>> 0;
      closeSync(fd);
      if (workers === 1) expect(range).toBe(0);
      else {
        expect(range & 0xffff).toBeGreaterThanOrEqual(32_768);
        expect(range >>> 16).toBeLessThanOrEqual(60_999);
      }
    }
  }
});
