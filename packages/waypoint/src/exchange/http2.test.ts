import { once } from 'node:events';
import type { ClientHttp2Session, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import { afterEach, describe, expect, test } from '@jest/globals';
import { AppProtocol } from '@ambit/api/workload';
import { http2Backend, httpBackend } from '../testing/backend.ts';
import { startWaypoint } from '../testing/waypoint-network.ts';

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing[Symbol.asyncDispose]();
});

function use<T extends AsyncDisposable>(thing: T): T {
  open.push(thing);
  return thing;
}

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders | undefined;
  readonly body: Buffer;
}

async function ask(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: Uint8Array,
): Promise<Answer> {
  const stream = session.request(headers, { endStream: body === undefined });
  let trailers: IncomingHttpHeaders | undefined;
  stream.on('trailers', (received: IncomingHttpHeaders) => {
    trailers = received;
  });
  const answered = once(stream, 'response') as Promise<[IncomingHttpHeaders]>;
  if (body) stream.end(body);
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const [[received]] = await Promise.all([answered, once(stream, 'end')]);
  return { headers: received, trailers, body: Buffer.concat(chunks) };
}

/** A gRPC message. */
function message(text: string): Buffer {
  const bytes = Buffer.alloc(5 + text.length);
  bytes.writeUInt32BE(text.length, 1);
  bytes.write(text, 5);
  return bytes;
}

const GRPC = {
  ':method': 'POST',
  ':path': '/shop.Echo/Say',
  'content-type': 'application/grpc',
  te: 'trailers',
};

async function grpcNetwork() {
  const seen: IncomingHttpHeaders[] = [];
  const backend = use(
    await http2Backend('127.0.0.3', (stream, headers) => {
      seen.push(headers);
      if (headers[':path'] === '/hang') return;
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-trailer': 'yes' }));
      stream.pipe(stream);
    }),
  );
  const network = use(await startWaypoint());
  network.service({ name: 'echo', vip: '10.9.0.1', protocol: AppProtocol.GRPC });
  network.endpoint({ name: 'echo-0', service: 'echo', ip: '127.0.0.3', port: backend.port });
  return { network, backend, seen };
}

describe('gRPC', () => {
  test('goes through with its messages and trailers, many calls on one connection', async () => {
    const { network, backend, seen } = await grpcNetwork();
    const session = await (await network.client()).http2('10.9.0.1:80');
    const calls = Array.from({ length: 50 }, (_, i) => ask(session, GRPC, message(`hello ${i}`)));
    const answers = await Promise.all(calls);
    expect(answers.map(({ body }) => String(body.subarray(5)))).toEqual(
      Array.from({ length: 50 }, (_, i) => `hello ${i}`),
    );
    expect(answers[0]?.trailers).toMatchObject({ 'grpc-status': '0', 'x-trailer': 'yes' });
    expect(seen[0]).toMatchObject({
      te: 'trailers',
      ':authority': 'app.test:80',
      'content-type': 'application/grpc',
    });
    expect(backend.connections).toBe(1);
    const { body } = await network.page('stats', '/stats/prometheus');
    expect(body).toMatch(
      /istio_requests_total\{[^}]*request_protocol="grpc"[^}]*grpc_response_status="0"[^}]*\} 50/,
    );
    expect(body).toMatch(/istio_request_messages_total\{[^}]*\} 50/);
  });

  test('hears of what the waypoint refuses as a status in trailers, with HTTP 200', async () => {
    const { network } = await grpcNetwork();
    network.removeEndpoint('echo-0');
    const session = await (await network.client()).http2('10.9.0.1:80');
    const { headers } = await ask(session, GRPC, message('hello'));
    expect(headers).toMatchObject({
      ':status': 200,
      'grpc-status': '14',
      'grpc-message': 'no healthy upstream',
      'content-type': 'application/grpc',
    });
  });

  test('has its deadline kept', async () => {
    const { network } = await grpcNetwork();
    const session = await (await network.client()).http2('10.9.0.1:80');
    const { headers } = await ask(
      session,
      { ...GRPC, ':path': '/hang', 'grpc-timeout': '50m' },
      message('x'),
    );
    expect(headers).toMatchObject({ ':status': 200, 'grpc-status': '4' });
  });
});

describe('versions of HTTP', () => {
  test('a client of HTTP/1.1 reaches an endpoint that declares HTTP/2, and one of HTTP/2 one of HTTP/1.1', async () => {
    const { network } = await grpcNetwork();
    const old = use(await httpBackend('127.0.0.4', (request, response) => response.end(request.httpVersion)));
    network.service({ name: 'old', vip: '10.9.0.2' });
    network.endpoint({ name: 'old-0', service: 'old', ip: '127.0.0.4', port: old.port });
    const client = await network.client();
    const up = await client.request('10.9.0.1:80', { method: 'POST', body: 'over HTTP/2' });
    expect([up.status, up.body]).toEqual([200, 'over HTTP/2']);
    const session = await client.http2('10.9.0.2:80');
    const down = await ask(session, { ':path': '/' });
    expect(down.headers[':status']).toBe(200);
  });
});

describe('CONNECT', () => {
  async function heardOf() {
    const seen: string[] = [];
    const backend = use(
      await httpBackend('127.0.0.4', (request, response) => {
        seen.push(request.url ?? '');
        response.end('served');
      }),
    );
    const network = use(await startWaypoint());
    network.service({ name: 'web', vip: '10.9.0.2' });
    network.endpoint({ name: 'web-0', service: 'web', ip: '127.0.0.4', port: backend.port });
    return { client: await network.client(), seen, backend };
  }

  test('in HTTP/1.1 is refused, and no endpoint hears of it', async () => {
    const { client, backend } = await heardOf();
    const duplex = await client.connect('10.9.0.2:80');
    duplex.write('CONNECT 10.0.0.9:22 HTTP/1.1\r\nhost: 10.0.0.9:22\r\n\r\n');
    const [answer] = (await once(duplex, 'data')) as [Buffer];
    expect([String(answer).slice(0, 13), backend.connections]).toEqual(['HTTP/1.1 405 ', 0]);
  });

  test('in HTTP/2 is refused, and so is one for a protocol that nothing switches to', async () => {
    const { client, seen, backend } = await heardOf();
    const session = await client.http2('10.9.0.2:80');
    await once(session, 'remoteSettings');
    const plain = { ':method': 'CONNECT', ':authority': '10.0.0.9:22' };
    const extended = { ...plain, ':protocol': 'connect-udp', ':scheme': 'http', ':path': '/secret' };
    const statuses: unknown[] = [];
    for (const headers of [plain, extended]) {
      const stream = session.request(headers, { endStream: false });
      const [received] = (await once(stream, 'response')) as [IncomingHttpHeaders];
      statuses.push(received[':status']);
      stream.close();
    }
    expect([statuses, seen, backend.connections]).toEqual([[405, 501], [], 0]);
  });
});
