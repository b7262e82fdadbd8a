/** Octets that mean nothing: gRPC messages that are none, and texts that are no UTF-8. What HTTP allows passes as it is. */
import { once } from 'node:events';
import type {
  ClientHttp2Session,
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
  ServerHttp2Stream,
} from 'node:http2';
import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import { AccessLogEncoding, AuthorizationAction } from '@ambit/api/waypoint';
import { AppProtocol } from '@ambit/api/workload';
import { frame } from '@ambit/http/h2/frame-writer';
import { FLAG, FRAME, PREFACE } from '@ambit/http/h2/protocol';
import { http2Backend, httpBackend, tcpBackend } from '../testing/backend.ts';
import { MESH_SETTINGS } from '../testing/control-plane.ts';
import { testScope } from '../testing/scope.ts';
import { until } from '../testing/until.ts';
import { hostnameOf, NAMESPACE, SERVICE_PORT, startWaypoint } from '../testing/waypoint-network.ts';

const use = testScope();
const ECHO = '10.9.0.1:80';
const FORMAT = JSON.stringify({
  status: '%RESPONSE_CODE%',
  flags: '%RESPONSE_FLAGS%',
  details: '%RESPONSE_CODE_DETAILS%',
  grpc: '%GRPC_STATUS_NUMBER%',
  message: '%TRAILER(GRPC-MESSAGE)%',
  value: '%REQ(X-VALUE)%',
  answered: '%RESP(X-VALUE)%',
});

async function started() {
  return use(
    await startWaypoint({
      before: (controlPlane) =>
        controlPlane.set('MeshSettings', 'default', {
          ...MESH_SETTINGS,
          accessLogFile: '/dev/stdout',
          accessLogEncoding: AccessLogEncoding.JSON,
          accessLogFormat: FORMAT,
        }),
    }),
  );
}

/** The lines of an access log, each of which must be one object of JSON. */
function told({ lines }: { readonly lines: readonly string[] }): Record<string, unknown>[] {
  return lines.map((line) => {
    expect(line.indexOf('\n')).toBe(line.length - 1);
    return JSON.parse(line) as Record<string, unknown>;
  });
}

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders | undefined;
  readonly body: Buffer;
  /** Of a reset. */
  readonly code: number;
}

const GRPC = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' };

async function call(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body: Uint8Array,
): Promise<Answer> {
  const stream = session.request({ ...GRPC, ':path': '/echo', ...headers });
  const heard: { headers: IncomingHttpHeaders; trailers: IncomingHttpHeaders | undefined } = {
    headers: {},
    trailers: undefined,
  };
  const pieces: Buffer[] = [];
  stream
    .on('response', (received) => {
      heard.headers = received;
    })
    .on('trailers', (received: IncomingHttpHeaders) => {
      heard.trailers = received;
    })
    .on('data', (piece: Buffer) => pieces.push(piece))
    .on('error', () => undefined)
    .end(body);
  await once(stream, 'close').catch(() => undefined);
  return { ...heard, body: Buffer.concat(pieces), code: stream.rstCode };
}

function message(text: string): Buffer {
  const bytes = Buffer.alloc(5 + text.length);
  bytes.writeUInt32BE(text.length, 1);
  bytes.write(text, 5);
  return bytes;
}

/** An endpoint that speaks gRPC as its paths say. */
function answerCall(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const pieces: Buffer[] = [];
  stream.on('error', () => undefined);
  stream.on('data', (piece: Buffer) => pieces.push(piece));
  stream.on('end', () => {
    const body = Buffer.concat(pieces);
    const type = { ':status': 200, 'content-type': 'application/grpc' };
    const path = headers[':path'];
    if (path === '/no-trailers') {
      stream.respond(type);
      stream.end(body);
    } else if (path === '/reset') {
      stream.respond(type);
      stream.write(body, () => setTimeout(() => stream.destroy(new Error('broken off')), 20));
    } else {
      const status = String(headers['x-status'] ?? '0');
      const said = headers['x-message'];
      stream.respond(type, { waitForTrailers: true });
      stream.on('wantTrailers', () =>
        stream.sendTrailers({
          'grpc-status': status,
          ...(said === undefined ? {} : { 'grpc-message': said }),
        }),
      );
      stream.end(body);
    }
  });
}

async function grpcNetwork() {
  const network = await started();
  const backend = use(await http2Backend('127.0.0.3', answerCall));
  network.service({ name: 'echo', vip: '10.9.0.1', protocol: AppProtocol.GRPC });
  network.endpoint({ name: 'echo-0', service: 'echo', ip: backend.ip, port: backend.port });
  const session = await (await network.client()).http2(ECHO);
  const held = async () =>
    /^ambit_waypoint_held_bytes (\d+)$/m.exec((await network.page('stats', '/metrics')).body)?.[1];
  return { network, backend, session, held };
}

describe('gRPC messages that are none go through, both ways, and cost nobody anything', () => {
  const whole = message('hello');
  const cases: Record<string, Buffer> = {
    'a length far beyond what follows': Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]),
    'a length beyond what follows, behind a whole one': Buffer.concat([
      whole,
      Buffer.from([0, 0, 0, 0, 9, 1]),
    ]),
    'a part of a prefix': Buffer.from([0, 0, 0]),
    'a flag of compression that is unknown': Buffer.from([0x7f, 0, 0, 0, 1, 0xff]),
    'compressed, and nobody said how': Buffer.from([1, 0, 0, 0, 2, 0xff, 0xfe]),
    'octets by chance': Buffer.from(Array.from({ length: 4_096 }, (_, i) => (i * 89 + 41) % 256)),
    'empty ones without end': Buffer.alloc(50_000),
    nothing: Buffer.alloc(0),
  };
  test.each(Object.entries(cases))('%s', async (_, body) => {
    const { network, backend, session, held } = await grpcNetwork();
    const echoed = await call(session, {}, body);
    expect([echoed.body.equals(body), echoed.trailers]).toEqual([
      true,
      expect.objectContaining({ 'grpc-status': '0' }),
    ]);
    const bare = await call(session, { ':path': '/no-trailers' }, body);
    expect([bare.body.equals(body), bare.headers[':status'], bare.trailers]).toEqual([true, 200, undefined]);
    expect(String((await call(session, {}, whole)).body.subarray(5))).toBe('hello');
    expect(told(network)).toMatchObject([
      { status: 200, flags: '-', grpc: 0 },
      { status: 200, flags: '-', grpc: null },
      { status: 200, flags: '-', grpc: 0 },
    ]);
    expect([await held(), backend.connections]).toEqual(['0', 1]);
  });

  test('a message that breaks off by a reset is one for the client, too', async () => {
    const { network, session } = await grpcNetwork();
    const { code, body } = await call(session, { ':path': '/reset' }, Buffer.from([0, 0, 0, 0, 9, 1]));
    expect([code, body.length]).toEqual([2, 6]);
    expect(told(network)).toMatchObject([
      { status: 200, flags: 'UR', details: 'upstream_reset_after_response_started{remote_reset}' },
    ]);
    expect(String((await call(session, {}, message('hello'))).body.subarray(5))).toBe('hello');
  });
});

describe('a status or message of gRPC that is none goes through, and is told of in words that are known', () => {
  const cases: Record<string, { sent: Record<string, string>; status: number; message: string | null }> = {
    'a status that is no number': { sent: { 'x-status': 'banana' }, status: 2, message: null },
    'a status of many digits, which would be a label': {
      sent: { 'x-status': '4711004' },
      status: 2,
      message: null,
    },
    'a status of nobody’s': { sent: { 'x-status': '99' }, status: 99, message: null },
    'octets that are no UTF-8': { sent: { 'x-message': '\xff\xfe!' }, status: 0, message: '\ufffd\ufffd!' },
    'octets that are UTF-8': { sent: { 'x-message': 'gr\xc3\xb6\xc3\x9fer' }, status: 0, message: 'größer' },
    'escapes that are none': { sent: { 'x-message': '%ff%zz%' }, status: 0, message: '%ff%zz%' },
  };
  test.each(Object.entries(cases))('%s', async (_, { sent, ...want }) => {
    const { network, session } = await grpcNetwork();
    const { trailers } = await call(session, sent, message('hello'));
    expect(trailers).toMatchObject({
      'grpc-status': sent['x-status'] ?? '0',
      ...(sent['x-message'] === undefined ? {} : { 'grpc-message': sent['x-message'] }),
    });
    expect(told(network)).toMatchObject([{ grpc: want.status, message: want.message }]);
    const { body } = await network.page('stats', '/stats/prometheus');
    expect(body).toMatch(new RegExp(`istio_requests_total\\{[^}]*grpc_response_status="${want.status}"`));
  });
});

async function webNetwork() {
  const network = await started();
  const seen: IncomingMessage[] = [];
  const backend = use(
    await httpBackend('127.0.0.2', (request, response) => {
      seen.push(request);
      response.end();
    }),
  );
  network.service({ name: 'web', vip: '10.9.0.1' });
  network.endpoint({ name: 'web-0', service: 'web', ip: backend.ip, port: backend.port });
  const client = await network.client();
  /** The status of what raw octets get. */
  const statusOf = async (request: string) => {
    const connection = await client.connect(ECHO);
    const answer: Buffer[] = [];
    connection.on('data', (piece: Buffer) => answer.push(piece));
    connection.write(Buffer.from(request, 'latin1'));
    await until(() => Buffer.concat(answer).includes('\r\n\r\n'), 'it is answered');
    connection.destroy();
    return Number(Buffer.concat(answer).toString('latin1', 9, 12));
  };
  return { network, seen, client, statusOf };
}

describe('octets of a request that are no UTF-8', () => {
  const get = (path: string, ...fields: string[]) => [`GET ${path} HTTP/1.1`, ...fields, '', ''].join('\r\n');
  const refused: Record<string, [request: string, flags: string, details: string]> = {
    'in the path': [get('/\xff', 'host: web'), 'DPE', 'http1.codec_error{illegal-target}'],
    'in the query': [get('/?a=\xc3\x28', 'host: web'), 'DPE', 'http1.codec_error{illegal-target}'],
    'in the host': [get('/', 'host: w\xffb'), 'DPE', 'http1.codec_error{illegal-host}'],
    'in the target’s authority': [
      get('http://w\xffb/', 'host: web'),
      'DPE',
      'http1.codec_error{illegal-target}',
    ],
    'in a name': [get('/', 'host: web', 'x-\xff: a'), 'DPE', 'http1.codec_error{illegal-field-name}'],
    'in the method': ['G\xffT / HTTP/1.1\r\nhost: web\r\n\r\n', 'DPE', 'http1.codec_error{illegal-method}'],
    'that decode to NUL': [get('/%00', 'host: web'), '-', 'path_normalization_failed{nul-in-path}'],
  };
  test.each(Object.entries(refused))(
    '%s: refused, and nobody is asked',
    async (_, [request, flags, details]) => {
      const { network, seen, statusOf } = await webNetwork();
      expect([await statusOf(request), seen.length]).toEqual([400, 0]);
      expect(told(network)).toMatchObject([{ status: 400, flags, details }]);
      const { body } = await network.page('stats', '/stats/prometheus');
      expect(body).toContain(`ambit_waypoint_failed_requests_total{reason="${details}"} 1\n`);
      expect(body).toMatch(
        new RegExp(`^istio_requests_total\\{.*response_code="400".*response_flags="${flags}".* 1$`, 'm'),
      );
    },
  );

  const carried: Record<string, { request: string; url?: string; value?: string; logged?: string }> = {
    'written as escapes in the path': { request: get('/%ff%C3%28', 'host: web'), url: '/%ff%C3%28' },
    'written as escapes in the query': { request: get('/?a=%ff', 'host: web'), url: '/?a=%ff' },
    'in a value': {
      request: get('/', 'host: web', 'x-value: \xff\xc3\x28'),
      value: '\xff\xc3\x28',
      logged: '\ufffd\ufffd(',
    },
    'that are half a character': {
      request: get('/', 'host: web', 'x-value: \xe2\x82'),
      value: '\xe2\x82',
      logged: '\ufffd',
    },
  };
  test.each(Object.entries(carried))(
    '%s: carried as they are',
    async (_, { request, url = '/', value, logged }) => {
      const { network, seen, statusOf } = await webNetwork();
      expect(await statusOf(request)).toBe(200);
      expect(seen.map((one) => [one.url, one.headers['x-value']])).toEqual([[url, value]]);
      expect(told(network)).toMatchObject([{ status: 200, value: logged ?? null }]);
    },
  );

  test('over HTTP/2 it is the same', async () => {
    const { network, seen, client } = await webNetwork();
    const session = await client.http2(ECHO);
    const ask = async (path: string, value: string) => {
      const stream = session.request({ ':path': path, 'x-value': value });
      const [received] = (await once(stream, 'response')) as [IncomingHttpHeaders];
      stream.resume();
      return received[':status'];
    };
    expect([await ask('/%ff', '\xff\xfe'), await ask('/\xff', '')]).toEqual([200, 400]);
    expect(seen.map(({ url, headers }) => [url, headers['x-value']])).toEqual([['/%ff', '\xff\xfe']]);
    expect(told(network)).toMatchObject([
      { value: '\ufffd\ufffd' },
      { status: 400, flags: 'DPE', details: 'http2.codec_error{illegal-target}' },
    ]);
  });
});

describe('what is compared with a value is compared in octets', () => {
  const origin = (kind: string) => ({ kind, namespace: NAMESPACE, name: 'p', createdMs: 1n });
  const asked = (value: string) => `GET / HTTP/1.1\r\nhost: web\r\nx-team: ${value}\r\n\r\n`;
  const SOUTH = Buffer.from('Süd', 'utf8').toString('latin1');

  test('a policy’s values', async () => {
    const { network, statusOf } = await webNetwork();
    network.controlPlane.set('AuthorizationPolicy', `${NAMESPACE}/p`, {
      origin: origin('AuthorizationPolicy'),
      targets: [{ kind: { $case: 'gateway', value: `${NAMESPACE}/waypoint` } }],
      action: AuthorizationAction.DENY,
      rules: [{ when: [{ key: 'request.headers[x-team]', values: ['Süd', 'Öst*', 'probe'] }] }],
    });
    await until(async () => (await statusOf(asked('probe'))) === 403, 'the policy counts');
    const east = Buffer.from('Östlich', 'utf8').toString('latin1');
    expect([
      await statusOf(asked(SOUTH)),
      await statusOf(asked(east)),
      await statusOf(asked('S\xfcd')),
    ]).toEqual([403, 403, 200]);
  });

  test.each(['exact', 'regex'] as const)('a route’s, %s', async (kind) => {
    const { network, statusOf } = await webNetwork();
    const text = kind === 'exact' ? 'Süd' : 'S.d';
    network.controlPlane.set('HttpRoute', `HTTPRoute/${NAMESPACE}/p`, {
      origin: origin('HTTPRoute'),
      parents: [{ namespace: NAMESPACE, hostname: hostnameOf('web'), port: SERVICE_PORT }],
      rules: [
        {
          matches: [{ headers: [{ name: 'x-team', value: { kind: { $case: kind, value: text } } }] }],
          filters: [{ kind: { $case: 'directResponse', value: { status: 299 } } }],
        },
      ],
    });
    await until(async () => (await statusOf(asked('x'))) === 404, 'the route counts');
    expect(await statusOf(asked(SOUTH))).toBe(299);
  });
});

describe('octets of an answer', () => {
  /** An endpoint that answers everything with these octets. */
  async function answering(answer: string) {
    const network = await started();
    const backend = use(
      await tcpBackend('127.0.0.4', (socket) => {
        socket.on('error', () => undefined);
        socket.on('data', () => socket.write(Buffer.from(answer, 'latin1')));
      }),
    );
    network.service({ name: 'raw', vip: '10.9.0.1' });
    network.endpoint({ name: 'raw-0', service: 'raw', ip: backend.ip, port: backend.port });
    return { network, client: await network.client() };
  }

  test('that are no UTF-8: carried as they are', async () => {
    const { network, client } = await answering(
      'HTTP/1.1 200 \xff\xfe\r\nx-value: \xff\xc3\x28\r\ncontent-length: 2\r\n\r\n\xff\xfe',
    );
    const { status, headers } = await client.request(ECHO);
    expect([status, headers['x-value']]).toEqual([200, '\xff\xc3\x28']);
    expect(told(network)).toMatchObject([{ status: 200, flags: '-', answered: '\ufffd\ufffd(' }]);
  });

  const broken: Record<string, string> = {
    'NUL in a value': 'HTTP/1.1 200 OK\r\nx-value: a\0b\r\ncontent-length: 0\r\n\r\n',
    'an octet in a name': 'HTTP/1.1 200 OK\r\nx-\xff: a\r\ncontent-length: 0\r\n\r\n',
    'no answer at all': '\xff\xfe\xfd\r\n\r\n',
  };
  test.each(Object.entries(broken))('that HTTP forbids, %s: 503, with the reason', async (_, answer) => {
    const { network, client } = await answering(answer);
    expect((await client.request(ECHO)).status).toBe(503);
    expect(told(network)).toMatchObject([
      { status: 503, flags: 'UPE', details: 'upstream_reset_before_response_started{protocol_error}' },
    ]);
  });

  test('that HTTP/2 forbids, in trailers: that stream alone is reset', async () => {
    const network = await started();
    const settings = frame(FRAME.settings, 0, 0, Buffer.alloc(0));
    const backend = use(
      await tcpBackend('127.0.0.4', (socket) => {
        socket.on('error', () => undefined);
        let bytes: Buffer = Buffer.alloc(0);
        let at = PREFACE.length;
        socket.write(settings);
        socket.on('data', (piece: Buffer) => {
          bytes = Buffer.concat([bytes, piece]);
          while (bytes.length >= at + 9 && bytes.length >= at + 9 + bytes.readUIntBE(at, 3)) {
            const type = bytes[at + 3];
            const streamId = bytes.readUInt32BE(at + 5);
            at += 9 + bytes.readUIntBE(at, 3);
            if (type !== FRAME.headers) continue;
            const bad = streamId === 1 ? 'a\0b' : 'ab';
            socket.write(
              Buffer.concat([
                frame(
                  FRAME.headers,
                  FLAG.endHeaders,
                  streamId,
                  literal(':status', '200', 'content-type', 'application/grpc'),
                ),
                frame(
                  FRAME.headers,
                  FLAG.endHeaders | FLAG.endStream,
                  streamId,
                  literal('grpc-message', bad),
                ),
              ]),
            );
          }
        });
      }),
    );
    network.service({ name: 'echo', vip: '10.9.0.1', protocol: AppProtocol.GRPC });
    network.endpoint({ name: 'echo-0', service: 'echo', ip: backend.ip, port: backend.port });
    const session = await (await network.client()).http2(ECHO);
    expect((await call(session, {}, message('hello'))).code).not.toBe(0);
    expect((await call(session, {}, message('hello'))).trailers).toMatchObject({ 'grpc-message': 'ab' });
    expect(told(network)).toMatchObject([{ flags: 'UPE' }, { status: 200, flags: '-' }]);
    expect(backend.connections).toBe(1);
  });
});

/** Fields as HPACK has them at its plainest: literal, not indexed, whatever their octets. */
function literal(...texts: readonly string[]): Buffer {
  return Buffer.concat(
    texts.flatMap((text, index) => [
      Buffer.from(index % 2 === 0 ? [0, text.length] : [text.length]),
      Buffer.from(text, 'latin1'),
    ]),
  );
}
