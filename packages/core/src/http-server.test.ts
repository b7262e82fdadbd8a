import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { gunzipSync } from 'node:zlib';
import {
  BindError,
  type HttpHandler,
  type HttpResponse,
  HttpServer,
  MAX_HTTP_BODY_BYTES,
  MAX_HTTP_CONNECTIONS,
} from './http-server.ts';
import { silentLogger } from './log.ts';

const servers: HttpServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server[Symbol.asyncDispose]();
});

async function serve(handler: HttpHandler, hosts = ['127.0.0.1'], port = 0): Promise<string> {
  const server = new HttpServer({ name: 'admin', handler, hosts, port, log: silentLogger });
  servers.push(server);
  await server.start(AbortSignal.timeout(120_000));
  return `http://127.0.0.1:${server.port}`;
}

describe('requests', () => {
  test('arrive with method, path, query and body', async () => {
    const at = await serve(({ method, path, query, body }) => ({
      status: 201,
      body: `${method} ${path} ${query.get('level')} ${body}`,
    }));
    const response = await fetch(`${at}/logging?level=info`, { method: 'POST', body: 'x' });
    expect([response.status, await response.text()]).toEqual([201, 'POST /logging info x']);
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  });

  test('tell where they came from, as a canonical address', async () => {
    const at = await serve(({ peerIp }) => ({ status: 200, body: peerIp ?? 'nowhere' }), ['::']);
    expect(await (await fetch(at)).text()).toBe('127.0.0.1');
  });

  test('of which the handler throws are a 500 that says why', async () => {
    const at = await serve(() => {
      throw new Error('no idea');
    });
    const response = await fetch(at);
    expect([response.status, await response.text()]).toEqual([500, 'no idea\n']);
  });

  test.each([MAX_HTTP_BODY_BYTES + 1, 100 * MAX_HTTP_BODY_BYTES])(
    'with too long a body, %d bytes, are refused',
    async (bytes) => {
      const at = await serve(() => ({ status: 200, body: '' }));
      const response = await fetch(at, { method: 'POST', body: 'x'.repeat(bytes) });
      expect(response.status).toBe(413);
    },
  );

  test('are answered however many connections somebody holds', async () => {
    const at = await serve(() => ({ status: 200, body: 'ready' }));
    const { port } = new URL(at);
    const held = Array.from({ length: MAX_HTTP_CONNECTIONS }, () => connect(Number(port), '127.0.0.1'));
    let open = held.length;
    for (const socket of held) socket.on('error', () => undefined).on('close', () => open--);
    await Promise.all(held.map((socket) => once(socket, 'connect')));
    expect(await (await fetch(at)).text()).toBe('ready');
    expect(open).toBeGreaterThanOrEqual(MAX_HTTP_CONNECTIONS - 1);
    for (const socket of held) socket.destroy();
  });

  test('whose answer cannot be sent are cut off, and the process goes on', async () => {
    const at = await serve(({ path }) => ({
      status: 200,
      headers: path === '/bad' ? { 'x-bad': 'a\nb' } : {},
      body: 'x',
    }));
    await expect(fetch(`${at}/bad`)).rejects.toThrow('fetch failed');
    expect((await fetch(at)).status).toBe(200);
  });

  test('are answered compressed where asked for and worth it', async () => {
    const text = 'metric 1\n'.repeat(1_000);
    const at = await serve(({ path }) => ({
      status: 200,
      body: path === '/long' ? text : 'short',
      compress: true,
    }));
    const raw = await new Promise<Buffer>((resolve) => {
      const chunks: Buffer[] = [];
      const socket = connect(Number(new URL(at).port), '127.0.0.1');
      socket.write('GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n');
      socket
        .on('data', (chunk: Buffer) => chunks.push(chunk))
        .on('end', () => resolve(Buffer.concat(chunks)));
    });
    const body = raw.subarray(raw.indexOf('\r\n\r\n') + 4);
    expect(raw.toString('latin1')).toContain('content-encoding: gzip');
    expect(gunzipSync(body).toString()).toBe(text);
    expect((await fetch(`${at}/short`)).headers.get('content-encoding')).toBeNull();
    const plain = await fetch(`${at}/long`, { headers: { 'accept-encoding': 'gzip;q=0' } });
    expect([plain.headers.get('content-encoding'), await plain.text()]).toEqual([null, text]);
  });
});

describe('a body in pieces', () => {
  const line = `${'metric'.repeat(10)} 1\n`;
  const long = {
    *[Symbol.iterator]() {
      for (let i = 0; i < 5_000; i++) yield line;
    },
  };

  test('arrives whole, compressed or not', async () => {
    const at = await serve(() => ({ status: 200, body: { pieces: long }, compress: true }));
    const plain = await fetch(at, { headers: { 'accept-encoding': 'identity' } });
    expect([plain.headers.get('content-encoding'), await plain.text()]).toEqual([null, line.repeat(5_000)]);
    const packed = await fetch(at, { headers: { 'accept-encoding': 'gzip' } });
    expect([packed.headers.get('content-encoding'), await packed.text()]).toEqual([
      'gzip',
      line.repeat(5_000),
    ]);
    const head = await fetch(at, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  test('is made as it is read, and no further for a client that went away', async () => {
    let made = 0;
    const ended = Promise.withResolvers<number>();
    const pieces = {
      *[Symbol.iterator]() {
        try {
          for (;;) {
            made += 1;
            yield line;
          }
        } finally {
          ended.resolve(made);
        }
      },
    };
    const at = await serve(() => ({ status: 200, body: { pieces } }));
    const gone = new AbortController();
    const response = await fetch(at, { signal: gone.signal });
    await response.body?.getReader().read();
    gone.abort();
    expect(await ended.promise).toBe(made);
  });
});

describe('ports', () => {
  test('a taken one is named', async () => {
    const at = await serve(() => ({ status: 200, body: '' }));
    const { port } = new URL(at);
    await expect(serve(() => ({ status: 200, body: '' }), ['127.0.0.1'], Number(port))).rejects.toThrow(
      `cannot listen on 127.0.0.1:${port} for admin: address in use`,
    );
  });

  test('an address that the machine does not have is left out, but not all of them', async () => {
    await serve(() => ({ status: 200, body: '' }), ['127.0.0.1', '2001:db8::1']);
    await expect(serve(() => ({ status: 200, body: '' }), ['2001:db8::1', '2001:db8::2'])).rejects.toThrow(
      BindError,
    );
  });

  test('draining answers what is under way and takes nothing new', async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<HttpResponse>();
    const at = await serve(() => {
      asked.resolve();
      return answer.promise;
    });
    const pending = fetch(at);
    await asked.promise;
    const drained = servers[0]?.drain();
    await expect(fetch(at)).rejects.toThrow('fetch failed');
    answer.resolve({ status: 200, body: 'late', headers: { connection: 'close' } });
    expect(await (await pending).text()).toBe('late');
    await drained;
  });
});
