import { once } from 'node:events';
import net from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { portsServedBy, tryServeByClientPort } from './reuse-port.ts';
import { listenTcp, tcpSocket } from './sockets.ts';
import { TestNamespaces, type TestNetns } from './testing/namespaces.ts';

const PORT = 15_008;
/** Where the kernel draws local ports from, unless told otherwise. */
const FIRST_LOCAL_PORT = 32_768;

const namespaces = new TestNamespaces();
let pod: TestNetns;
const open = new Set<net.Server | net.Socket>();
let clients = 0;

beforeAll(() => {
  pod = namespaces.create();
  pod.run('ip', 'link', 'set', 'lo', 'up');
});
afterEach(() => {
  for (const one of open) {
    if (one instanceof net.Socket) one.destroy();
    else one.close();
  }
  open.clear();
});
afterAll(() => namespaces[Symbol.dispose]());

/** A socket that shares the port, and how many connections it was given. */
interface Place {
  served: number;
  close(): void;
}

async function listen(ip: string, chosenAmong: number | undefined): Promise<Place> {
  const { fd } = listenTcp({ netnsFd: pod.fd, ip, port: PORT, reusePort: true });
  if (chosenAmong !== undefined) expect(tryServeByClientPort(fd, chosenAmong)).toBe(true);
  const place: Place = { served: 0, close: () => server.close() };
  const server = net.createServer((socket) => {
    place.served += 1;
    open.add(socket.on('error', () => undefined));
    socket.end('served');
  });
  server.listen({ fd });
  open.add(server);
  await once(server, 'listening');
  return place;
}

async function listenAll(ip: string, count: number): Promise<Place[]> {
  const places: Place[] = [];
  while (places.length < count) places.push(await listen(ip, count));
  return places;
}

/** @returns what the server said, or why there was none. */
async function connect(host: string, place: number, places: number): Promise<string> {
  clients += 1;
  const block = Math.ceil(FIRST_LOCAL_PORT / (2 * places)) + clients;
  const family = host.includes(':') ? 6 : 4;
  const localPorts = portsServedBy(place, places, block);
  const socket = new net.Socket({ fd: tcpSocket({ netnsFd: pod.fd, family, localPorts }) });
  open.add(socket);
  let said = '';
  socket.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const ended = once(socket, 'end');
  socket.connect({ host, port: PORT });
  await ended;
  expect(socket.localPort).toBeGreaterThanOrEqual(localPorts.from);
  expect(socket.localPort).toBeLessThanOrEqual(localPorts.to);
  return said;
}

const servedOf = (places: readonly Place[]) => places.map(({ served }) => served);

describe('sockets that share a port', () => {
  test.each([
    { ip: '0.0.0.0', host: '127.0.0.1', count: 2 },
    { ip: '::', host: '127.0.0.1', count: 3 },
    { ip: '::', host: '::1', count: 4 },
  ])('at $ip, $count of them, take what clients at $host give them', async ({ ip, host, count }) => {
    const places = await listenAll(ip, count);
    for (let place = 0; place < count; place++) {
      for (let i = 0; i <= place; i++) await connect(host, place, count);
    }
    expect(servedOf(places)).toEqual(places.map((_, place) => place + 1));
  });

  test('take each other’s clients when one of them is gone', async () => {
    const [first, second] = await listenAll('::', 2);
    first?.close();
    for (const place of [0, 1, 0, 1]) expect(await connect('127.0.0.1', place, 2)).toBe('served');
    expect(second?.served).toBe(4);
  });

  test('are handed over from one process to the next without a client refused', async () => {
    const old = await listenAll('::', 2);
    const places: Place[] = [...old];
    const talk = async () => {
      for (const place of [0, 1, 2, 3]) expect(await connect('127.0.0.1', place, 4)).toBe('served');
    };
    await talk();
    for (let i = 0; i < 3; i++) {
      places.push(await listen('::', 3));
      await talk();
    }
    for (const one of old) {
      one.close();
      await talk();
    }
    const before = servedOf(places.slice(2));
    for (const place of [0, 1, 2]) await connect('127.0.0.1', place, 3);
    const gained = servedOf(places.slice(2)).map((served, i) => served - (before[i] ?? 0));
    expect(gained).toEqual([1, 1, 1]);
  });

  test.each([2, 3, 5])(
    'of which %i close from the last to the first leave the others in their order',
    async (count) => {
      const old = await listenAll('::', count);
      const places = await listenAll('::', count);
      for (const one of old.toReversed()) one.close();
      for (let place = 0; place < count; place++) {
        for (let i = 0; i <= place; i++) await connect('127.0.0.1', place, count);
      }
      expect(servedOf(places)).toEqual(places.map((_, place) => place + 1));
    },
  );

  test('are joined by one that knows nothing of it', async () => {
    const places = await listenAll('::', 2);
    places.push(await listen('::', undefined));
    for (const place of [0, 1, 0, 1]) expect(await connect('127.0.0.1', place, 2)).toBe('served');
    expect(servedOf(places)).toEqual([2, 2, 0]);
  });
});

test('a socket that does not share its port is told apart', () => {
  const { fd } = listenTcp({ netnsFd: pod.fd, ip: '::', port: 0 });
  const server = net.createServer().listen({ fd });
  expect(tryServeByClientPort(fd, 2)).toBe(false);
  server.close();
});
