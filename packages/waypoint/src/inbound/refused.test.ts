/** What came as a request and is none: nobody decides on it, but the access log and the metrics say that it came, and why it went. */
import { duplexPair } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { AppProtocol } from '@ambit/api/workload';
import { type Clock, systemClock } from '@ambit/core/clock';
import { Deadlines } from '@ambit/http/deadlines';
import { frame } from '@ambit/http/h2/frame-writer';
import { FLAG, FRAME, PREFACE } from '@ambit/http/h2/protocol';
import { HpackEncoder } from '@ambit/http/hpack/encoder';
import { DEFAULT_HTTP1_SERVER_OPTIONS, DEFAULT_HTTP2_OPTIONS } from '@ambit/http/options';
import { DuplexTransport } from '@ambit/http/transport/duplex-transport';
import type { Downstream } from '../exchange/downstream.ts';
import { ResourceStore } from '../resources/store.ts';
import type { RequestRecord } from '../telemetry/record.ts';
import { httpBackend } from '../testing/backend.ts';
import { MESH_SETTINGS } from '../testing/control-plane.ts';
import { contextWith } from '../testing/exchange.ts';
import { testScope } from '../testing/scope.ts';
import { until } from '../testing/until.ts';
import { hostnameOf, startWaypoint } from '../testing/waypoint-network.ts';
import { HttpService } from './http-service.ts';

const use = testScope();
/** Of HTTP/2 before any settings. */
const MAX_FRAME_BYTES = 16_384;
const WEB = '10.9.0.1:80';
const FORMAT =
  '%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% ' +
  '%REQ(X-REQUEST-ID)% %DOWNSTREAM_PEER_URI_SAN%\n';

/** A waypoint before `web`, with an access log. */
async function started(protocol: AppProtocol, clock: Clock = systemClock) {
  let asked = 0;
  const backend = use(
    await httpBackend('127.0.0.2', (request, response) => {
      asked += 1;
      request.resume().on('end', () => response.end('hello'));
    }),
  );
  const network = use(
    await startWaypoint({
      clock,
      before: (controlPlane) =>
        controlPlane.set('MeshSettings', 'default', {
          ...MESH_SETTINGS,
          accessLogFile: '/dev/stdout',
          accessLogFormat: FORMAT,
        }),
    }),
  );
  network.service({ name: 'web', vip: '10.9.0.1', protocol });
  network.endpoint({ name: 'web-0', service: 'web', ip: backend.ip, port: backend.port });
  const client = await network.client();
  const said = async (bytes: Buffer) => {
    const connection = await client.connect(WEB);
    const pieces: Buffer[] = [];
    connection.on('data', (piece: Buffer) => pieces.push(piece));
    connection.write(bytes);
    return { connection, answer: () => Buffer.concat(pieces).toString('latin1') };
  };
  /** Of requests to `web`, by status and flags. */
  const counted = async () => {
    const { body } = await network.page('stats', '/stats/prometheus');
    return body
      .split('\n')
      .filter((line) => line.startsWith('istio_requests_total{'))
      .map((line) => {
        const label = (name: string) => new RegExp(`[{,]${name}="([^"]*)"`).exec(line)?.[1];
        expect(label('destination_service')).toBe(hostnameOf('web'));
        return `${label('response_code')} ${label('response_flags')} ${line.split(' ').at(-1)}`;
      });
  };
  /** Why requests failed, and how often each. */
  const failures = async () => {
    const { body } = await network.page('stats', '/metrics');
    return [...body.matchAll(/^ambit_waypoint_failed_requests_total\{reason="(.*)"\} (\d+)$/gm)].map(
      ([, reason, count]) => `${reason} ${count}`,
    );
  };
  return { network, said, counted, failures, asked: () => asked };
}

const SAN = 'spiffe://cluster.local/ns/shop/sa/alice';
const get = (...fields: string[]) => ['GET /secret HTTP/1.1', 'host: web', ...fields, '', ''].join('\r\n');

describe('HTTP/1.1', () => {
  const cases: Record<string, { bytes: string; status: number; reason: string }> = {
    'two framings at once': {
      bytes: get('content-length: 4', 'transfer-encoding: chunked'),
      status: 400,
      reason: 'content-length-and-transfer-encoding',
    },
    'two hosts': { bytes: get('host: other'), status: 400, reason: 'duplicate-host' },
    'two lengths': {
      bytes: get('content-length: 4', 'content-length: 5'),
      status: 400,
      reason: 'duplicate-content-length',
    },
    'a coding besides chunked': {
      bytes: get('transfer-encoding: gzip, chunked'),
      status: 400,
      reason: 'illegal-transfer-encoding',
    },
    'a host that contradicts an absolute target': {
      bytes: 'GET http://other/ HTTP/1.1\r\nhost: web\r\n\r\n',
      status: 400,
      reason: 'host-mismatch',
    },
    'a folded line': { bytes: get('x: a\r\n b'), status: 400, reason: 'folded-line' },
    'a space before the colon': { bytes: get('x : a'), status: 400, reason: 'space-before-colon' },
    'a body that names itself of the connection': {
      bytes: get('content-length: 4', 'connection: content-length'),
      status: 400,
      reason: 'illegal-connection-option',
    },
    'bare LF': { bytes: 'GET / HTTP/1.1\nhost: web\n\n', status: 400, reason: 'bare-lf' },
    'a control octet in a value': { bytes: get('x: a\0b'), status: 400, reason: 'illegal-field-value' },
    'a head that is too large': {
      bytes: get(`x: ${'y'.repeat(100_000)}`),
      status: 431,
      reason: 'header-too-large',
    },
    'a line that is too long': {
      bytes: `GET /${'y'.repeat(40_000)} HTTP/1.1\r\nhost: web\r\n\r\n`,
      status: 414,
      reason: 'request-line-too-long',
    },
    'an expectation that is unknown': {
      bytes: get('expect: cake'),
      status: 417,
      reason: 'unknown-expectation',
    },
    'another version': {
      bytes: 'GET / HTTP/3.0\r\nhost: web\r\n\r\n',
      status: 505,
      reason: 'unsupported-version',
    },
  };

  test.each(Object.entries(cases))('%s', async (_, { bytes, status, reason }) => {
    const { network, said, counted, failures, asked } = await started(AppProtocol.HTTP11);
    const { connection, answer } = await said(Buffer.from(bytes, 'latin1'));
    await until(() => network.lines.length > 0, 'it is logged');
    await until(() => answer().includes('\r\n\r\n'), 'it is answered');
    expect(answer().slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
    expect(network.lines).toEqual([`- - HTTP/1.1 ${status} DPE http1.codec_error{${reason}} - ${SAN}\n`]);
    expect(await counted()).toEqual([`${status} DPE 1`]);
    expect(await failures()).toEqual([`http1.codec_error{${reason}} 1`]);
    expect(asked()).toBe(0);
    connection.destroy();
  });

  test('a body that breaks off being one: the request is told of, with the status that the codec gave', async () => {
    const { network, said, counted } = await started(AppProtocol.HTTP11);
    const { connection, answer } = await said(
      Buffer.from('POST /a HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'),
    );
    await until(() => network.lines.length > 0, 'it is logged');
    await until(() => answer().includes('\r\n\r\n'), 'it is answered');
    expect(answer().slice(0, 12)).toBe('HTTP/1.1 400');
    expect(network.lines[0]).toMatch(
      /^POST \/a HTTP\/1\.1 400 DPE http1\.codec_error\{[a-z-]+\} [0-9a-f-]{36} /,
    );
    expect(await counted()).toEqual(['400 DPE 1']);
    connection.destroy();
  });
});

describe('HTTP/2', () => {
  const head = (id: number, over: Record<string, string>, ...more: string[]) => {
    const fields = { ':method': 'GET', ':scheme': 'http', ':authority': 'web', ':path': '/secret', ...over };
    const block = Buffer.from(new HpackEncoder().encodeFields([...Object.entries(fields).flat(), ...more]));
    const frames: Buffer[] = [];
    for (let at = 0; at < block.length; at += MAX_FRAME_BYTES) {
      const isLast = at + MAX_FRAME_BYTES >= block.length;
      const flags = (isLast ? FLAG.endHeaders : 0) | (at === 0 ? FLAG.endStream : 0);
      const type = at === 0 ? FRAME.headers : FRAME.continuation;
      frames.push(frame(type, flags, id, block.subarray(at, at + MAX_FRAME_BYTES)));
    }
    return Buffer.concat(frames);
  };
  const cases: Record<string, { bytes: Buffer; status: number; reason: string }> = {
    'a host that contradicts the authority': {
      bytes: head(1, {}, 'host', 'other'),
      status: 400,
      reason: 'host-mismatch',
    },
    'a header that is too large': {
      bytes: head(1, {}, 'x', 'y'.repeat(80_000)),
      status: 431,
      reason: 'header-too-large',
    },
    'a field of the connection': {
      bytes: head(1, {}, 'connection', 'close'),
      status: 0,
      reason: 'malformed-headers',
    },
    'a frame that is not allowed': {
      bytes: frame(FRAME.data, 0, 0, Buffer.from('x')),
      status: 0,
      reason: 'protocol-error',
    },
    'a header block that is none': {
      bytes: frame(
        FRAME.headers,
        FLAG.endHeaders,
        1,
        Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
      ),
      status: 0,
      reason: 'compression-error',
    },
  };

  test.each(Object.entries(cases))('%s', async (_, { bytes, status, reason }) => {
    const { network, said, counted, failures, asked } = await started(AppProtocol.HTTP2);
    const settings = frame(FRAME.settings, 0, 0, Buffer.alloc(0));
    const { connection } = await said(Buffer.concat([PREFACE, settings, bytes]));
    await until(() => network.lines.length > 0, 'it is logged');
    expect(network.lines).toEqual([`- - HTTP/2 ${status} DPE http2.codec_error{${reason}} - ${SAN}\n`]);
    expect(await counted()).toEqual([`${status} DPE 1`]);
    expect(await failures()).toEqual([`http2.codec_error{${reason}} 1`]);
    expect(asked()).toBe(0);
    connection.destroy();
  });

  test('a flood of them is told of until the connection is ended for it', async () => {
    // What is counted by the second comes all at once, however long that takes here.
    const clock = { ...systemClock, monotonicMs: () => 0 };
    const { network, said, counted } = await started(AppProtocol.HTTP2, clock);
    const settings = frame(FRAME.settings, 0, 0, Buffer.alloc(0));
    const flood = Array.from({ length: 5_000 }, (_, i) => head(2 * i + 1, {}, 'connection', 'close'));
    const { connection } = await said(Buffer.concat([PREFACE, settings, ...flood]));
    await until(() => network.lines.at(-1)?.includes('enhance-your-calm') === true, 'it is ended');
    const told = network.lines.length;
    expect(told).toBeLessThan(2_000);
    expect(await counted()).toEqual([`0 DPE ${told}`]);
    connection.destroy();
  });
});

describe('a head that does not come to its end', () => {
  test.each(['P', 'GET /secret HTTP/1.1\r\nhost:', 'PRI * HTTP'])('%j', async (beginning) => {
    const records: RequestRecord[] = [];
    const begun = { plan: {}, requestId: 'x', fields: [], traceId: 'y', span: {} };
    const context = contextWith(new ResourceStore({ namespace: 'shop', gatewayName: 'waypoint' }), {
      reporter: { begin: () => begun, ended: (record: RequestRecord) => records.push(record) },
    });
    const deadlines = new Deadlines(systemClock);
    const service = new HttpService({
      context,
      http: {
        http1: { ...DEFAULT_HTTP1_SERVER_OPTIONS, deadlines, headerTimeoutMs: 50 },
        http2: { ...DEFAULT_HTTP2_OPTIONS, clock: systemClock, deadlines },
      },
    });
    const downstream = {
      destination: { kind: 'workload', port: 80, address: { ip: '10.0.0.1', port: 80 } },
      connection: {},
    } as unknown as Downstream;
    const [client, server] = duplexPair();
    const closed = new Promise<void>((resolve) => {
      service.serve(downstream, new DuplexTransport(server, ''), resolve);
    });
    client.write(beginning);
    let answer = '';
    client.on('data', (piece: Buffer) => {
      answer += String(piece);
    });
    await until(() => answer.includes('\r\n\r\n'), 'it is answered');
    expect(answer.slice(0, 12)).toBe('HTTP/1.1 408');
    expect(records).toMatchObject([
      {
        status: 408,
        flags: 'SI',
        details: 'request_header_timeout',
        terminationDetails: 'the peer was too slow: header-timeout',
        begun: { requestId: '', traceId: '', span: undefined },
      },
    ]);
    client.end();
    await closed;
  });
});
