import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { type WebSocket, WebSocketServer } from 'ws';
import { AccessSource } from './access.ts';
import { KubeClient } from './client.ts';
import { portForward } from './port-forward.ts';

const PORT_FRAMES = [Buffer.of(0, 80, 0), Buffer.of(1, 80, 0)];
let server: Server;
let client: KubeClient;
/** What the far end does with a connection; `frame` is what came, channel first. */
let behave: (socket: WebSocket, frame: Buffer) => void;
let protocols: readonly string[];
let requested: string | undefined;

beforeEach(async () => {
  behave = (socket, frame) => socket.send(frame);
  protocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];
  server = createServer((_, response) => response.writeHead(403).end());
  const sockets = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => protocols.find((protocol) => offered.has(protocol)) ?? false,
  });
  server.on('upgrade', (request, socket, head) => {
    requested = `${request.url} ${request.headers.authorization}`;
    if (request.url?.includes('forbidden')) {
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (accepted) => {
      for (const frame of PORT_FRAMES) accepted.send(frame);
      accepted.on('message', (message) => behave(accepted, message as Buffer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/prefix`);
  const access = { server: url, tls: {}, headers: { authorization: 'Bearer t' }, namespace: 'default' };
  client = new KubeClient(new AccessSource(() => Promise.resolve(access), systemClock));
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const open = (name = 'p'): Promise<Duplex> =>
  portForward(client, { namespace: 'ns', name, port: 80 }, AbortSignal.timeout(120_000));

describe('portForward', () => {
  test('asks for the port with the credentials, and carries bytes both ways', async () => {
    const stream = await open();
    expect(requested).toBe('/prefix/api/v1/namespaces/ns/pods/p/portforward?ports=80 Bearer t');
    const sent = Buffer.alloc(3_000_000, 'x');
    stream.end(sent);
    const echoed = Buffer.concat([Buffer.of(255, 0)]);
    behave = (socket, frame) => socket.send(frame[0] === 255 ? echoed : frame);
    expect((await buffer(stream)).equals(sent)).toBe(true);
  });

  test('with version 4 the stream ends when the server closes', async () => {
    protocols = ['v4.channel.k8s.io'];
    const stream = await open();
    behave = (socket, frame) => {
      socket.send(frame);
      socket.close();
    };
    stream.write('hello');
    expect(await text(stream)).toBe('hello');
  });

  test('what the server says on the error channel fails the stream', async () => {
    const stream = await open();
    behave = (socket) => socket.send(Buffer.concat([Buffer.of(1), Buffer.from('connection refused')]));
    stream.write('x');
    await expect(text(stream)).rejects.toThrow('port-forward to ns/p:80: connection refused');
  });

  test('a refusal by the API server is said', async () => {
    await expect(open('forbidden')).rejects.toThrow('403');
  });

  test('a slow reader holds the sender back', async () => {
    const stream = await open();
    let far: WebSocket | undefined;
    behave = (socket) => {
      far = socket;
      for (let i = 0; i < 300; i++) socket.send(Buffer.concat([Buffer.of(0), Buffer.alloc(100_000)]));
      socket.close();
    };
    stream.write('go');
    while (!far) await new Promise((resolve) => setTimeout(resolve, 5));
    // Time for more, in short sleeps: after one that the machine made long nothing might have moved yet.
    for (let i = 0; i < 40; i++) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(stream.readableLength).toBeLessThan(3_000_000);
    expect(far?.bufferedAmount).toBeGreaterThan(1_000_000);
    expect((await buffer(stream)).length).toBe(30_000_000);
  });
});
