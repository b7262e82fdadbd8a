import { once } from 'node:events';
import dgram from 'node:dgram';
import { readdirSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { libc } from './libc.ts';
import { runInNetns } from './netns.ts';
import { intOption } from './options.ts';
import { originalDestination } from './original-destination.ts';
import { fdOf, listenTcp, retireUdp, tcpSocket, udpSocket } from './sockets.ts';
import { TestNamespaces, type TestNetns } from './testing/namespaces.ts';

const MARK = 0x539;
const openFds = () => readdirSync('/proc/self/fd').length;

/** Serves once, then resolves with the accepted socket. */
async function accepted(server: net.Server): Promise<net.Socket> {
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  return socket;
}

async function listening(fd: number): Promise<net.Server> {
  const server = net.createServer();
  server.listen({ fd });
  await once(server, 'listening');
  return server;
}

async function connected(fd: number, host: string, port: number): Promise<net.Socket> {
  const socket = new net.Socket({ fd });
  socket.connect({ host, port });
  await once(socket, 'connect');
  return socket;
}

const closed = async (...all: readonly (net.Socket | net.Server)[]) => {
  for (const one of all) {
    if (one instanceof net.Socket) one.destroy();
    else one.close();
  }
  await new Promise((resolve) => setImmediate(resolve));
};

describe.each(['127.0.0.1', '::1'])('UDP sockets that share a port of %s', (ip) => {
  const type = ip === '::1' ? 'udp6' : 'udp4';
  const port = 15_053;

  /** Each from a port of its own, since the kernel goes by that; resolves when all are answered. */
  async function ask(words: string, times: number, sent: () => void): Promise<void> {
    const sockets = Array.from({ length: times }, () => dgram.createSocket(type));
    await Promise.all(
      sockets.map((socket) => new Promise<void>((resolve) => socket.connect(port, ip, resolve))),
    );
    const answered = sockets.map((socket) =>
      once(socket, 'message', { signal: AbortSignal.timeout(120_000) }),
    );
    for (const socket of sockets) socket.send(words);
    sent();
    await Promise.all(answered);
    for (const socket of sockets) socket.close();
  }

  test('one that retires receives nothing new, keeps what it has, and can still answer', async () => {
    const fds = [1, 2].map(() => udpSocket({ ip, port, reusePort: true }));
    const heard = fds.map((fd) => {
      const words: string[] = [];
      const socket = dgram.createSocket(type).bind({ fd });
      socket.on('message', (message, from) => {
        words.push(String(message));
        socket.send('yes', from.port, from.address);
      });
      return { socket, words };
    });
    // What was sent waits in the kernel by then.
    await ask('before', 40, () => retireUdp(fds[0] ?? -1, ip));
    await ask('after', 40, () => undefined);
    const [retired, other] = heard.map(({ words }) => new Set(words));
    expect([retired, other]).toEqual([new Set(['before']), new Set(['before', 'after'])]);
    for (const { socket } of heard) socket.close();
  });
});

describe('sockets in another network namespace', () => {
  const namespaces = new TestNamespaces();
  let pod: TestNetns;
  beforeAll(() => {
    pod = namespaces.create();
    // What an agent installs in an enrolled pod, as far as these tests need it.
    pod.run('ip', 'addr', 'add', '10.1.0.5/32', 'dev', 'lo');
    pod.run('ip', '-6', 'addr', 'add', 'fd00::5/128', 'dev', 'lo');
    pod.run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'peer0');
    pod.run('ip', 'link', 'set', 'eth0', 'up');
    pod.run('ip', 'link', 'set', 'peer0', 'up');
    for (const family of ['-4', '-6']) {
      pod.run('ip', family, 'route', 'add', 'default', 'dev', 'eth0');
      const all = family === '-4' ? '0.0.0.0/0' : '::/0';
      pod.run('ip', family, 'route', 'add', 'local', all, 'dev', 'lo', 'table', '100');
      pod.run('ip', family, 'rule', 'add', 'fwmark', '0x111/0xfff', 'lookup', '100', 'pref', '32764');
    }
    pod.nft(`
      table inet test {
        chain prerouting { type filter hook prerouting priority mangle; meta mark ${MARK} ct mark set 0x111; }
        chain output { type route hook output priority mangle; ct mark 0x111 meta mark set ct mark; }
        chain capture { type nat hook output priority -100; tcp dport 80 meta mark != ${MARK} redirect to :15001; }
      }`);
  });
  afterAll(() => namespaces[Symbol.dispose]());

  test('a listener is reachable there and only there', async () => {
    const { fd, transparent } = listenTcp({ netnsFd: pod.fd, ip: '127.0.0.1', port: 0, mark: MARK });
    expect(transparent).toBe(false);
    expect(intOption(fd, 1, 36)).toBe(MARK);
    const server = await listening(fd);
    const { port } = server.address() as AddressInfo;
    const arrives = accepted(server);
    const client = await connected(tcpSocket({ netnsFd: pod.fd, family: 4 }), '127.0.0.1', port);
    const inside = await arrives;
    client.write('hello');
    const [bytes] = (await once(inside, 'data')) as [Buffer];
    expect(bytes.toString()).toBe('hello');
    await expect(connected(tcpSocket({ family: 4 }), '127.0.0.1', port)).rejects.toThrow('ECONN');
    await closed(client, inside, server);
  });

  test('a dual-stack listener takes both families, and accepted connections inherit options', async () => {
    const keepalive = { idleSeconds: 180, intervalSeconds: 60, probes: 9 };
    const { fd } = listenTcp({
      netnsFd: pod.fd,
      ip: '::',
      port: 0,
      keepalive,
      noDelay: true,
      transparent: 'try',
    });
    const server = await listening(fd);
    const { port } = server.address() as AddressInfo;
    for (const [family, host] of [
      [4, '10.1.0.5'],
      [6, 'fd00::5'],
    ] as const) {
      const arrives = accepted(server);
      const client = await connected(tcpSocket({ netnsFd: pod.fd, family, keepalive }), host, port);
      const inside = await arrives;
      for (const end of [fdOf(client) ?? -1, fdOf(inside) ?? -1]) {
        expect([
          intOption(end, 1, 9),
          intOption(end, 6, 4),
          intOption(end, 6, 5),
          intOption(end, 6, 6),
        ]).toEqual([1, 180, 60, 9]);
      }
      expect(intOption(fdOf(inside) ?? -1, 6, 1)).toBe(1);
      await closed(client, inside);
    }
    await closed(server);
  });

  test('two listeners share a port when both ask for it, otherwise the second is refused', () => {
    const one = listenTcp({ netnsFd: pod.fd, ip: '::', port: 15008, reusePort: true });
    const two = listenTcp({ netnsFd: pod.fd, ip: '::', port: 15008, reusePort: true });
    expect(() => listenTcp({ netnsFd: pod.fd, ip: '::', port: 15008 })).toThrow(
      'bind ([::]:15008): EADDRINUSE, the address is taken',
    );
    libc.close(one.fd);
    libc.close(two.fd);
  });

  test.each([
    { family: 4, client: '10.9.9.9', server: '10.1.0.5' },
    { family: 6, client: 'fd00::9:9', server: 'fd00::5' },
  ] as const)(
    'a transparent IPv$family socket speaks for its client',
    async ({ family, client, server: host }) => {
      const server = await listening(listenTcp({ netnsFd: pod.fd, ip: host, port: 0 }).fd);
      const { port } = server.address() as AddressInfo;
      const arrives = accepted(server);
      const fd = tcpSocket({
        netnsFd: pod.fd,
        family,
        mark: MARK,
        bind: { ip: client, port: 0, transparent: true },
      });
      const socket = await connected(fd, host, port);
      const inside = await arrives;
      expect(inside.remoteAddress).toBe(client);
      await closed(socket, inside, server);
    },
  );

  test('a foreign source without transparency is refused', () => {
    const options = {
      netnsFd: pod.fd,
      family: 4,
      bind: { ip: '10.9.9.9', port: 0, transparent: false },
    } as const;
    expect(() => tcpSocket(options)).toThrow('EADDRNOTAVAIL');
  });

  test.each([
    { family: 4, to: '10.1.0.5' },
    { family: 6, to: 'fd00::5' },
  ] as const)('a redirected IPv$family connection tells where it was going', async ({ family, to }) => {
    const server = await listening(listenTcp({ netnsFd: pod.fd, ip: '::', port: 15001 }).fd);
    const arrives = accepted(server);
    const client = await connected(tcpSocket({ netnsFd: pod.fd, family }), to, 80);
    const inside = await arrives;
    expect(inside.localPort).toBe(15001);
    expect(originalDestination(fdOf(inside) ?? -1)).toEqual({ ip: to, port: 80 });
    await closed(client, inside, server);
  });

  test('a marked connection is not redirected', async () => {
    const server = await listening(listenTcp({ netnsFd: pod.fd, ip: '::', port: 80 }).fd);
    const arrives = accepted(server);
    const client = await connected(tcpSocket({ netnsFd: pod.fd, family: 4, mark: MARK }), '10.1.0.5', 80);
    const inside = await arrives;
    expect(inside.localPort).toBe(80);
    await closed(client, inside, server);
  });

  test('a UDP socket answers there', async () => {
    const fd = udpSocket({ netnsFd: pod.fd, ip: '127.0.0.1', port: 15053, mark: MARK, reusePort: true });
    const server = dgram.createSocket('udp4');
    server.bind({ fd });
    const client = dgram.createSocket('udp4');
    client.bind({ fd: udpSocket({ netnsFd: pod.fd, ip: '127.0.0.1', port: 0 }) });
    const arrives = once(server, 'message');
    client.send('question', 15053, '127.0.0.1');
    const [message] = (await arrives) as [Buffer];
    expect(message.toString()).toBe('question');
    server.close();
    client.close();
  });

  test('no fd is left behind, whatever fails', async () => {
    const before = openFds();
    for (let i = 0; i < 100; i++) {
      libc.close(tcpSocket({ netnsFd: pod.fd, family: 4, mark: MARK }));
      expect(() => listenTcp({ netnsFd: pod.fd, ip: '10.77.0.1', port: 1 })).toThrow('EADDRNOTAVAIL');
      expect(() => tcpSocket({ netnsFd: 9999, family: 4 })).toThrow('setns');
      expect(() => listenTcp({ ip: 'not an address', port: 1 })).toThrow('EINVAL');
    }
    expect(openFds()).toBe(before);
    expect(runInNetns(pod.fd, () => 1)).toBe(1);
  });
});
