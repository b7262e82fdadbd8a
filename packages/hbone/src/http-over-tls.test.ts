/** HTTP over TLS at either end of ours, with Node's own at the other: what dialTls and TlsTransport are for. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectHttp2, createSecureServer, createServer as createHttp2Server } from 'node:http2';
import { createServer as createHttpsServer, request as httpsRequest } from 'node:https';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { createSecureContext, TLSSocket } from 'node:tls';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { systemClock } from '@ambit/core/clock';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { Deadlines } from '@ambit/http/deadlines';
import type { HttpClientConnection, RequestHead } from '@ambit/http/exchange';
import { connectHttp1 } from '@ambit/http/h1/client';
import { connectHttp2 as connectOurHttp2 } from '@ambit/http/h2/client';
import {
  DEFAULT_HTTP1_OPTIONS,
  DEFAULT_HTTP1_SERVER_OPTIONS,
  DEFAULT_HTTP2_CLIENT_OPTIONS,
  DEFAULT_HTTP2_OPTIONS,
} from '@ambit/http/options';
import { serveHttp } from '@ambit/http/serve';
import { dialPlain, dialTls } from '@ambit/http/transport/dial';
import { TlsTransport } from '@ambit/http/transport/tls-transport';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';

/** Nothing is late here but what a test lets be. */
const clock = new FakeClock();
const deadlines = new Deadlines(clock);
let pem = { key: '', cert: '', ca: '' };
const cleanups: (() => void)[] = [];

beforeAll(async () => {
  const ca = await createSelfSignedCa({ clock: systemClock });
  const { chainPem, rootsPem, privateKey } = await ca.issueWorkload('spiffe://td/ns/a/sa/b');
  pem = {
    key: String(privateKey.export({ format: 'pem', type: 'pkcs8' })),
    cert: chainPem.join('\n'),
    ca: rootsPem.join('\n'),
  };
});
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean();
});

const body = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 31) >> 2));
const digestOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const head: RequestHead = {
  method: 'POST',
  scheme: 'https',
  authority: 'a.example',
  path: '/',
  version: '1.1',
  fields: ['content-length', String(body.length)],
  upgrade: undefined,
  expectsContinue: false,
  endsHere: false,
};

async function listening(server: {
  listen(port: number, ip: string): unknown;
  close(): unknown;
  address(): unknown;
}): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server as never, 'listening');
  cleanups.push(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** Sends `body`, paced by the connection, and resolves with all that comes back. */
function echoed(connection: HttpClientConnection): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let at = 0;
    const exchange = connection.request(head, {
      onInformational() {},
      onResponse() {},
      onData(bytes) {
        pieces.push(Buffer.from(bytes));
        exchange.credit(bytes.length);
      },
      onEnd: () => resolve(Buffer.concat(pieces)),
      onAbort: reject,
      onWritable: () => pump(),
    });
    const pump = () => {
      while (at < body.length) {
        const piece = body.subarray(at, at + 50_000);
        at += piece.length;
        if (!exchange.write(piece)) return;
      }
      exchange.end();
    };
    pump();
  });
}

describe.each(['http/1.1', 'h2'])('%s over TLS', (protocol) => {
  test('as a client', async () => {
    const options = { ...pem, ALPNProtocols: [protocol] };
    const echo = (request: AsyncIterable<Buffer>, response: { end(bytes: Buffer): unknown }) =>
      void buffer(request).then((received) => response.end(received));
    const server = protocol === 'h2' ? createSecureServer(options, echo) : createHttpsServer(options, echo);
    const port = await listening(server);
    const { transport, protocol: agreed } = await dialTls({
      to: { ip: '127.0.0.1', port },
      timeoutMs: 5_000,
      clock,
      tls: { ca: pem.ca, ALPNProtocols: [protocol], checkServerIdentity: () => undefined },
    });
    expect(agreed).toBe(protocol);
    const connection =
      protocol === 'h2'
        ? connectOurHttp2(transport, {}, { ...DEFAULT_HTTP2_CLIENT_OPTIONS, deadlines, clock })
        : connectHttp1(transport, {}, { ...DEFAULT_HTTP1_OPTIONS, deadlines });
    expect(digestOf(await echoed(connection))).toBe(digestOf(body));
    connection.destroy();
  });

  test('as a server', async () => {
    const listener = createServer((socket: Socket) => {
      const tls = new TLSSocket(socket, {
        isServer: true,
        secureContext: createSecureContext(pem),
        ALPNProtocols: [protocol],
      });
      tls.on('error', () => undefined);
      tls.once('secure', () => {
        serveHttp(
          new TlsTransport(tls),
          {
            onRequest(exchange) {
              exchange.respond({ status: 200, fields: [] }, false);
              let owed = 0;
              return {
                onData(bytes) {
                  if (exchange.write(bytes)) exchange.credit(bytes.length);
                  else owed += bytes.length;
                },
                onEnd: () => exchange.end(),
                onAbort() {},
                onWritable() {
                  exchange.credit(owed);
                  owed = 0;
                },
              };
            },
          },
          {
            http1: { ...DEFAULT_HTTP1_SERVER_OPTIONS, deadlines, scheme: 'https' },
            http2: { ...DEFAULT_HTTP2_OPTIONS, deadlines, clock },
          },
        );
      });
    });
    const port = await listening(listener);
    const options = { ca: pem.ca, ALPNProtocols: [protocol], checkServerIdentity: () => undefined };
    if (protocol === 'h2') {
      const session = connectHttp2(`https://127.0.0.1:${port}`, options);
      const stream = session.request({ ':method': 'POST' });
      stream.end(body);
      expect(digestOf(await buffer(stream))).toBe(digestOf(body));
      session.close();
      return;
    }
    const request = httpsRequest({ host: '127.0.0.1', port, method: 'POST', agent: false, ...options });
    request.end(body);
    const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream];
    expect(digestOf(await buffer(response))).toBe(digestOf(body));
  });
});

describe('who cannot be reached', () => {
  test('is told with its errno, and with the reason of TLS', async () => {
    // Where nobody listens, and nobody else does who asks for any port.
    const dial = { to: { ip: '127.0.0.1', port: 1 }, timeoutMs: 5_000, clock };
    await expect(dialPlain(dial)).rejects.toMatchObject({
      code: 'PLAIN_CONNECTION',
      errno: 'ECONNREFUSED',
      retryable: true,
    });
    await expect(dialTls({ ...dial, tls: {} })).rejects.toMatchObject({
      code: 'PLAIN_CONNECTION',
      errno: 'ECONNREFUSED',
    });
    const plain = await listening(createHttp2Server());
    await expect(dialTls({ ...dial, to: { ip: '127.0.0.1', port: plain }, tls: {} })).rejects.toMatchObject({
      code: 'TLS_CONNECTION',
    });
    const said = Promise.withResolvers<void>();
    const mute = createServer((socket) => {
      cleanups.push(() => socket.destroy());
      socket.once('data', () => said.resolve());
    });
    const late = dialTls({ ...dial, to: { ip: '127.0.0.1', port: await listening(mute) }, tls: {} });
    const told = expect(late).rejects.toThrow('no handshake within 5000 ms');
    await said.promise;
    await clock.advance(dial.timeoutMs);
    await told;
    const server = await listening(createHttpsServer(pem));
    const unwanted = dialTls({
      ...dial,
      to: { ip: '127.0.0.1', port: server },
      tls: { ca: pem.ca, checkServerIdentity: () => undefined },
      verify: () => 'not who it must be',
    });
    await expect(unwanted).rejects.toThrow('not who it must be');
  });
});
