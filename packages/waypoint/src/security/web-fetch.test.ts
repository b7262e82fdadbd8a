import { describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { mayBeAsked } from '../decide/outside.ts';
import { webFetcher } from './web-fetch.ts';

interface Served extends AsyncDisposable {
  readonly port: number;
  readonly asked: readonly string[];
}

async function serve(answer: (response: ServerResponse, path: string) => void): Promise<Served> {
  const asked: string[] = [];
  const server = createServer(({ url = '' }, response) => {
    asked.push(url);
    answer(response, url);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

const init = { signal: new AbortController().signal, redirect: 'manual', headers: {} } as const;
const OUT = 'is an address that no document is fetched from';

describe('where documents are fetched from', () => {
  test.each([
    '127.0.0.1',
    '127.9.9.9',
    '0.0.0.0',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '169.254.169.254',
    'fe80::1',
    '64:ff9b::169.254.169.254',
    'fd00:ec2::254',
    '168.63.129.16',
    '100.100.100.200',
    '192.0.0.192',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b::7f00:1',
    '::127.0.0.1',
    'fd20:ce::254',
    '224.0.0.1',
    'ff02::1',
    'no address',
  ])('not from %s', (ip) => expect(mayBeAsked(ip)).toBe(false));

  test.each([
    '10.0.0.1',
    '203.0.113.9',
    '192.168.1.1',
    '100.64.0.1',
    '2001:db8::1',
    '64:ff9b::808:808',
    'fd00::1',
  ])('from %s', (ip) => expect(mayBeAsked(ip)).toBe(true));

  test('a server of this pod is asked nothing, by whatever name', async () => {
    await using server = await serve((response) => response.end('{}'));
    const fetch = webFetcher();
    for (const host of ['127.0.0.1', 'localhost', '2130706433', '0x7f.1', '[::ffff:127.0.0.1]'])
      await expect(fetch(new URL(`http://${host}:${server.port}/keys`), init)).rejects.toThrow(OUT);
    expect(server.asked).toEqual([]);
  });
});

describe('an answer', () => {
  const anywhere = webFetcher(() => true);

  test('has its status, its body, and where it leads', async () => {
    await using server = await serve((response, path) => {
      if (path === '/moved') response.writeHead(302, { location: '/keys' }).end();
      else if (path === '/none') response.writeHead(204).end();
      else response.end('{"keys":[]}');
    });
    const get = (path: string) => anywhere(new URL(`http://localhost:${server.port}${path}`), init);
    const [keys, moved, none] = [await get('/keys'), await get('/moved'), await get('/none')];
    expect([keys.status, await keys.text()]).toEqual([200, '{"keys":[]}']);
    expect([moved.status, moved.headers.get('location')]).toEqual([302, '/keys']);
    expect([none.status, await none.text()]).toEqual([204, '']);
    expect(server.asked).toEqual(['/keys', '/moved', '/none']);
  });

  test.each(['000', '101', '199', '600', '999'])('of status %s is none', async (status) => {
    const server = createTcpServer((socket) =>
      socket
        .on('error', () => undefined)
        .once('data', () => socket.end(`HTTP/1.1 ${status} x\r\ncontent-length: 0\r\n\r\n`)),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await expect(anywhere(new URL(`http://127.0.0.1:${port}/keys`), init)).rejects.toThrow();
    server.close();
  });

  test('that nobody waits for any more fails', async () => {
    await using server = await serve(() => undefined);
    const late = new AbortController();
    const answer = anywhere(new URL(`http://127.0.0.1:${server.port}/`), { ...init, signal: late.signal });
    late.abort(new Error('too late'));
    await expect(answer).rejects.toThrow();
  });
});
