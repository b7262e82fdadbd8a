import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { missingForProxy } from './capabilities.ts';
import { interfaceAddresses } from './interfaces.ts';
import { destroyTcpConnection, listTcpConnections } from './sock-diag.ts';
import { listenTcp, tcpSocket } from './sockets.ts';
import { TestNamespaces, type TestNetns } from './testing/namespaces.ts';

describe('what a namespace holds', () => {
  const namespaces = new TestNamespaces();
  let pod: TestNetns;
  beforeAll(() => {
    pod = namespaces.create();
  });
  afterAll(() => namespaces[Symbol.dispose]());

  test.each([
    { family: 4, host: '127.0.0.1', listen: '::' },
    { family: 6, host: '::1', listen: '::' },
  ] as const)('an IPv$family connection is listed at both ends and cut', async ({ family, host, listen }) => {
    const server = net.createServer().listen({ fd: listenTcp({ netnsFd: pod.fd, ip: listen, port: 0 }).fd });
    const arrives = once(server, 'connection');
    const { port } = server.address() as AddressInfo;
    const client = new net.Socket({ fd: tcpSocket({ netnsFd: pod.fd, family, mark: 0x539 }) });
    client.connect({ host, port });
    const [inside] = (await arrives) as [net.Socket];
    const { connections: ends, isAll } = listTcpConnections(pod.fd);
    expect([ends.length, isAll]).toEqual([2, true]);
    const part = listTcpConnections(pod.fd, undefined, 1);
    expect([part.connections.length, part.isAll]).toEqual([1, false]);
    expect(listTcpConnections(pod.fd, undefined, 2).isAll).toBe(true);
    const ours = ends.find(({ remote }) => remote.port === port);
    expect(ours).toMatchObject({ state: 'established', remote: { ip: host, port }, mark: 0x539 });
    expect(ends.find(({ local }) => local.port === port)).toMatchObject({
      local: { ip: host, port },
      mark: 0,
    });

    const errors = [once(client, 'error'), once(inside, 'error')];
    if (!ours) throw new Error('not listed');
    expect(destroyTcpConnection(pod.fd, ours.handle)).toBe(true);
    const codes = (await Promise.all(errors)).map(([error]) => (error as NodeJS.ErrnoException).code);
    expect(codes).toEqual(['ECONNABORTED', 'ECONNRESET']);
    expect(destroyTcpConnection(pod.fd, ours.handle)).toBe(false);
    expect(listTcpConnections(pod.fd)).toEqual({ connections: [], isAll: true });
    server.close();
  });

  test('listening sockets are listed when asked for', () => {
    const server = net.createServer().listen({ fd: listenTcp({ netnsFd: pod.fd, ip: '::', port: 8080 }).fd });
    expect(listTcpConnections(pod.fd, ['listen'])).toMatchObject({
      connections: [{ state: 'listen', local: { port: 8080 } }],
      isAll: true,
    });
    server.close();
  });

  test('addresses are those of this namespace', () => {
    pod.run('ip', 'addr', 'add', '10.1.0.5/24', 'dev', 'lo');
    expect(interfaceAddresses(pod.fd)).toEqual(
      expect.arrayContaining([
        { ip: '127.0.0.1', prefixLength: 8, interfaceIndex: 1 },
        { ip: '10.1.0.5', prefixLength: 24, interfaceIndex: 1 },
        { ip: '::1', prefixLength: 128, interfaceIndex: 1 },
      ]),
    );
  });

  test('with all privileges nothing is missing', () => {
    expect(missingForProxy(0x539)).toEqual([]);
  });
});
