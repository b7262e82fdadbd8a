/** What clients that mean harm, or know no better, can do to a waypoint. */
import { constants, type ClientHttp2Stream } from 'node:http2';
import type { RequestListener } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import { AppProtocol } from '@ambit/api/workload';
import { systemClock } from '@ambit/core/clock';
import { httpBackend, tcpBackend } from './testing/backend.ts';
import { testScope } from './testing/scope.ts';
import { until } from './testing/until.ts';
import {
  hostnameOf,
  NAMESPACE,
  type NetworkOptions,
  SERVICE_PORT,
  type ServiceSpec,
  startWaypoint,
  type WaypointNetwork,
} from './testing/waypoint-network.ts';

const use = testScope();
const WEB = '10.9.0.1:80';

async function networkOf(
  handler: RequestListener,
  service: Partial<ServiceSpec> = {},
  options: NetworkOptions = {},
): Promise<WaypointNetwork> {
  const backend = use(await httpBackend('127.0.0.2', handler));
  const network = use(await startWaypoint(options));
  network.service({ name: 'web', vip: '10.9.0.1', ...service });
  network.endpoint({ name: 'web-0', service: 'web', ip: '127.0.0.2', port: backend.port });
  return network;
}

function routePublicAlone(network: WaypointNetwork): void {
  network.controlPlane.set('HttpRoute', `HTTPRoute/${NAMESPACE}/public`, {
    origin: { kind: 'HTTPRoute', namespace: NAMESPACE, name: 'public', createdMs: 1n },
    parents: [{ namespace: NAMESPACE, hostname: hostnameOf('web'), port: SERVICE_PORT }],
    rules: [
      {
        matches: [{ path: { kind: { $case: 'segmentPrefix', value: '/public' } } }],
        backends: [
          {
            target: {
              $case: 'service',
              value: { namespace: NAMESPACE, hostname: hostnameOf('web'), port: SERVICE_PORT },
            },
            weight: 1,
          },
        ],
      },
    ],
  });
}

describe('on a port that declares nothing, and has a route', () => {
  const withRoute = async () => {
    const asked: (string | undefined)[] = [];
    const network = await networkOf(
      (request, response) => {
        asked.push(request.url);
        response.end('from the backend');
      },
      { protocol: AppProtocol.UNKNOWN },
    );
    routePublicAlone(network);
    const client = await network.client();
    await until(async () => (await client.request(WEB)).status === 404, 'the route counts');
    asked.length = 0;
    return { network, client, asked };
  };

  const answerTo = async (network: WaypointNetwork, pieces: readonly string[], waitMs: number) => {
    const connection = await (await network.client()).connect(WEB);
    let text = '';
    connection.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    for (const piece of pieces) {
      await systemClock.sleep(waitMs);
      connection.write(piece);
    }
    await until(() => text.includes('\r\n\r\n') || connection.destroyed, 'it is answered');
    connection.destroy();
    return text.slice(0, 12);
  };

  test('a client that is silent for a while is still asked which request', async () => {
    const { network, asked } = await withRoute();
    const request = ['GET /secret HTTP/1.1\r\n', 'host: web\r\n\r\n'];
    expect(await answerTo(network, request, 400)).toBe('HTTP/1.1 404');
    expect(asked).toEqual([]);
    expect(await answerTo(network, ['GET /public HTTP/1.1\r\nhost: web\r\n\r\n'], 400)).toBe('HTTP/1.1 200');
  });

  test('what some server may read as a request is one, and refused if it is none', async () => {
    const { network, asked } = await withRoute();
    for (const request of [
      'get /secret HTTP/1.1\r\nhost: web\r\n\r\n',
      '\r\nGET /secret HTTP/1.1\r\nhost: web\r\n\r\n',
      'GET\t/secret\tHTTP/1.1\r\nhost: web\r\n\r\n',
    ])
      expect([request, await answerTo(network, [request], 1)]).toEqual([
        request,
        expect.stringMatching(/^HTTP\/1\.1 40[04]$/),
      ]);
    expect(asked).toEqual([]);
  });

  test('what cannot be a request is carried', async () => {
    const backend = use(await tcpBackend('127.0.0.3', (socket) => socket.pipe(socket)));
    const network = use(await startWaypoint());
    network.service({ name: 'web', vip: '10.9.0.1', protocol: AppProtocol.UNKNOWN });
    network.endpoint({ name: 'db-0', service: 'web', ip: '127.0.0.3', port: backend.port });
    routePublicAlone(network);
    const connection = await (await network.client()).connect(WEB);
    connection.write('\0\0\0\x08\x04\xd2\x16\x2f');
    const [echoed] = (await new Promise<unknown[]>((resolve) => {
      connection.once('data', (...data: unknown[]) => resolve(data));
    })) as [Buffer];
    expect(echoed.length).toBe(9);
    connection.destroy();
  });
});

describe('memory', () => {
  test('is bounded when a client of HTTP/2 reads none of its answers', async () => {
    const answer = Buffer.alloc(100_000, 'x');
    const network = await networkOf(
      (_, response) => response.end(answer),
      { protocol: AppProtocol.HTTP2 },
      { env: { AMBIT_MAX_HELD_BYTES: String(4 * 1024 * 1024) } },
    );
    network.service({ name: 'web', vip: '10.9.0.1', protocol: AppProtocol.HTTP11 });
    const client = await network.client();
    const streams: ClientHttp2Stream[] = [];
    let cut = 0;
    for (let i = 0; i < 6; i++) {
      const session = await client.http2(WEB);
      for (let j = 0; j < 90; j++) {
        const stream = session.request({ ':path': '/', ':authority': 'web' });
        stream.pause();
        stream.on('error', () => undefined).once('close', () => cut++);
        streams.push(stream);
      }
    }
    // Without a bound 54 MB would wait for the client.
    await until(() => cut > 100, 'streams are cut');
    expect((await client.request(WEB)).status).toBe(200);
    for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
  });

  test('and time are bounded when a body comes byte by byte', async () => {
    const network = await networkOf((request, response) => {
      let bytes = 0;
      request.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      request.on('end', () => response.end(String(bytes)));
    });
    const connection = await (await network.client()).connect(WEB);
    connection.write('POST / HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n');
    connection.write(`${'1\r\nx\r\n'.repeat(60_000)}0\r\n\r\n`);
    let text = '';
    connection.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    await until(() => text.endsWith('60000') || connection.destroyed, 'it is answered');
    expect(text).toMatch(/^HTTP\/1\.1 200/);
    connection.destroy();
  });
});
