/** What a whole waypoint tells of real requests: to a scraper, and to collectors that are services of the mesh. */
import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import { decodeTraceExport, encodeTraceAnswer, OTLP_TRACE_EXPORT_PATH, type Span } from '@ambit/api/otlp';
import type { WaypointFields, WaypointResources } from '@ambit/api/waypoint';
import { AppProtocol } from '@ambit/api/workload';
import { httpBackend, http2Backend, startNode, tcpBackend } from '../testing/backend.ts';
import { MESH_SETTINGS } from '../testing/control-plane.ts';
import { testScope } from '../testing/scope.ts';
import { until } from '../testing/until.ts';
import { ALICE, hostnameOf, identityOf, NAMESPACE, startWaypoint } from '../testing/waypoint-network.ts';

const use = testScope();
const WEB = '10.9.0.1:80';
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

type Settings = WaypointFields<WaypointResources['MeshSettings']>;
type Telemetry = WaypointFields<WaypointResources['Telemetry']>;

/** A waypoint in front of `web`, whose pod is reached in a tunnel and remembers its requests' header fields. */
async function started(settings: Settings = {}, telemetry?: Telemetry) {
  const heard: IncomingMessage['headers'][] = [];
  const backend = use(
    await httpBackend('127.0.0.2', (request, response) => {
      heard.push(request.headers);
      response.end('hello');
    }),
  );
  const node = use(await startNode('127.0.0.2', identityOf('web-0'), 0));
  const network = use(
    await startWaypoint({
      hbonePort: node.port,
      before: (controlPlane) => {
        controlPlane.set('MeshSettings', 'default', { ...MESH_SETTINGS, ...settings });
        if (!telemetry) return;
        const origin = { kind: 'Telemetry', namespace: NAMESPACE, name: 't', createdMs: 1n };
        controlPlane.set('Telemetry', `${NAMESPACE}/t`, { origin, ...telemetry });
      },
    }),
  );
  network.service({ name: 'web', vip: '10.9.0.1' });
  network.endpoint({ name: 'web-0', service: 'web', ip: backend.ip, port: backend.port, tunnelled: true });
  const client = await network.client();
  const scrape = async (name: string) => {
    const { body } = await network.page('stats', '/stats/prometheus');
    return body.split('\n').filter((line) => line.startsWith(`${name}{`));
  };
  return { network, client, heard, scrape, node };
}

describe('metrics', () => {
  test('have the labels that Istio’s dashboards ask for', async () => {
    const { client, scrape } = await started();
    expect((await client.request(WEB)).status).toBe(200);
    const [line = ''] = await scrape('istio_requests_total');
    for (const label of [
      'reporter="waypoint"',
      'request_protocol="http"',
      'response_code="200"',
      'response_flags="-"',
      'connection_security_policy="mutual_tls"',
      `destination_service="${hostnameOf('web')}"`,
      'destination_service_name="web"',
      `destination_service_namespace="${NAMESPACE}"`,
      `destination_principal="${identityOf('web-0')}"`,
      `source_principal="${ALICE}"`,
      `source_workload_namespace="${NAMESPACE}"`,
    ])
      expect(line).toContain(label);
    expect(line).toMatch(/ 1$/);
    expect(await scrape('istio_response_bytes_count')).toHaveLength(1);
  });

  test('name a client that mesh state does not know as its proxy does, but for what a certificate proves', async () => {
    const { client, scrape, node } = await started();
    client.tells = {
      baggage:
        'k8s.cluster.name=east,k8s.namespace.name=lies,k8s.deployment.name=orders,service.name=orders-app',
    };
    expect((await client.request(WEB)).status).toBe(200);
    const [line = ''] = await scrape('istio_requests_total');
    for (const label of [
      'source_workload="orders"',
      'source_canonical_service="orders-app"',
      'source_cluster="east"',
      `source_workload_namespace="${NAMESPACE}"`,
      `source_principal="${ALICE}"`,
    ])
      expect(line).toContain(label);
    const own = `k8s.namespace.name=${NAMESPACE},k8s.pod.name=waypoint,service.name=waypoint`;
    expect([client.told, node.told]).toEqual([expect.stringContaining(own), client.told]);
  });

  test('take who comes through another network’s gateway for nobody of this one', async () => {
    const { network, client, scrape } = await started();
    network.controlPlane.workload({
      uid: `Kubernetes//Pod/${NAMESPACE}/near`,
      name: 'near',
      namespace: NAMESPACE,
      serviceAccount: 'alice',
      workloadName: 'near',
      addresses: [Uint8Array.of(127, 0, 0, 1)],
    });
    const other = await network.client();
    const sources = async () => {
      const lines = await scrape('istio_requests_total');
      return lines.flatMap((line) => /source_workload="([^"]*)"/.exec(line)?.[1] ?? []);
    };
    client.tells = { baggage: 'k8s.deployment.name=early' };
    await until(async () => {
      await client.request(WEB, { headers: { connection: 'close' } });
      return (await sources()).includes('near');
    }, 'the workload is known');
    other.tells = { baggage: 'k8s.deployment.name=orders', sourceNetwork: 'far' };
    const before = await sources();
    expect((await other.request(WEB)).status).toBe(200);
    expect([before, await sources()]).toEqual([
      expect.not.arrayContaining(['orders']),
      expect.arrayContaining(['orders']),
    ]);
  });

  test('are as a Telemetry asks for', async () => {
    const tags = [
      { name: 'custom', value: "'test'" },
      { name: 'path', value: 'request.url_path' },
      { name: 'source_principal', remove: true },
    ];
    const { client, scrape } = await started(
      {},
      {
        metrics: [
          {
            providers: ['prometheus'],
            overrides: [
              { metric: 'REQUEST_COUNT', tags },
              { metric: 'REQUEST_SIZE', disabled: true },
            ],
          },
        ],
      },
    );
    await client.request(WEB, { path: '/a?b' });
    const [line = ''] = await scrape('istio_requests_total');
    expect(line).toContain('custom="test"');
    expect(line).toContain('path="/a"');
    expect(line).not.toContain('source_principal');
    expect(await scrape('istio_request_bytes_count')).toEqual([]);
    expect(await scrape('istio_response_bytes_count')).toHaveLength(1);
  });
});

describe('our end of the connection to an endpoint', () => {
  const tags = [{ name: 'local', value: 'upstream.local_address' }];
  const overrides = [
    { metric: 'REQUEST_COUNT', tags },
    { metric: 'TCP_CLOSED_CONNECTIONS', tags },
  ];
  const labelled = (lines: readonly string[]) => lines.map((line) => /[{,]local="([^"]*)"/.exec(line)?.[1]);

  test('is told of requests, in clear and in a tunnel', async () => {
    const { network, client, scrape } = await started(
      {},
      { metrics: [{ providers: ['prometheus'], overrides }] },
    );
    await client.request(WEB);
    // The tunnel's: nobody else dials from there.
    expect(labelled(await scrape('istio_requests_total'))).toEqual([
      expect.stringMatching(/^127\.0\.0\.\d+:\d{4,5}$/),
    ]);
    const ports: (number | undefined)[] = [];
    const plain = use(
      await httpBackend('127.0.0.3', (request, response) => {
        ports.push(request.socket.remotePort);
        response.end();
      }),
    );
    network.service({ name: 'plain', vip: '10.9.0.2' });
    network.endpoint({ name: 'plain-0', service: 'plain', ip: plain.ip, port: plain.port });
    await client.request('10.9.0.2:80');
    await client.request('10.9.0.2:80');
    const lines = await scrape('istio_requests_total');
    expect(labelled(lines.filter((line) => line.includes('plain')))).toEqual([`127.0.0.1:${ports[0]}`]);
    expect(ports).toEqual([ports[0], ports[0]]);
  });

  test('is told of connections that are no HTTP', async () => {
    const { network, client, scrape } = await started(
      {},
      { metrics: [{ providers: ['prometheus'], overrides }] },
    );
    const port = Promise.withResolvers<number | undefined>();
    const backend = use(
      await tcpBackend('127.0.0.3', (socket) => {
        port.resolve(socket.remotePort);
        socket.pipe(socket);
      }),
    );
    network.service({ name: 'db', vip: '10.9.0.2', protocol: AppProtocol.TCP });
    network.endpoint({ name: 'db-0', service: 'db', ip: backend.ip, port: backend.port });
    const duplex = await client.connect('10.9.0.2:80');
    duplex.end('x');
    duplex.resume();
    const local = `127.0.0.1:${await port.promise}`;
    const told = async () => labelled(await scrape('istio_tcp_connections_closed_total'));
    await until(async () => (await told()).includes(local), 'the end is told of');
  });
});

describe('spans', () => {
  const everything = { tracing: [{ samplingPercentage: 100, useRequestIdForTraceSampling: true }] };
  const collector = (kind: 'opentelemetry' | 'zipkin', path: string): Settings => ({
    extensionProviders: [
      {
        name: 'spans',
        kind: { $case: kind, value: { service: hostnameOf('collector'), port: 80, path } },
      },
    ],
    defaultTracingProviders: ['spans'],
  });

  test('go to an OpenTelemetry collector of the mesh, as children of the caller’s', async () => {
    const spans: Span[] = [];
    const { network, client, heard } = await started(collector('opentelemetry', ''), everything);
    const backend = use(
      await http2Backend('127.0.0.3', (stream, headers) => {
        const pieces: Buffer[] = [];
        stream.on('data', (piece: Buffer) => pieces.push(piece));
        stream.on('end', () => {
          const message = Buffer.concat(pieces).subarray(5);
          for (const { scopeSpans } of decodeTraceExport(message).resourceSpans)
            for (const scope of scopeSpans) spans.push(...scope.spans);
          const answer = encodeTraceAnswer({ partialSuccess: undefined });
          stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
          stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
          stream.end(Buffer.concat([Buffer.alloc(5 - 4), lengthOf(answer), answer]));
        });
        expect(headers[':path']).toBe(OTLP_TRACE_EXPORT_PATH);
      }),
    );
    network.service({ name: 'collector', vip: '10.9.0.3', protocol: AppProtocol.GRPC, attached: false });
    network.endpoint({ name: 'collector-0', service: 'collector', ip: backend.ip, port: backend.port });
    await client.request(WEB, { headers: { traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: 'a=1' } });
    await until(() => spans.length > 0, 'the span arrives');
    const [span] = spans;
    const spanId = Buffer.from(span?.spanId ?? []).toString('hex');
    expect(Buffer.from(span?.traceId ?? []).toString('hex')).toBe(TRACE);
    expect(Buffer.from(span?.parentSpanId ?? []).toString('hex')).toBe(PARENT);
    expect(heard[0]?.['traceparent']).toBe(`00-${TRACE}-${spanId}-01`);
    expect(heard[0]?.['tracestate']).toBe('a=1');
    const tags = new Map(span?.attributes.map(({ key, value }) => [key, value?.value?.value]));
    expect(tags.get('http.status_code')).toBe('200');
    expect(tags.get('istio.destination_instance_name')).toBe('web-0');
    await until(async () => {
      const { body } = await network.page('stats', '/stats/prometheus');
      return /^ambit_waypoint_spans_total\{[^}]*fate="sent"\} 1$/m.test(body);
    }, 'it is counted');
  });

  test('go to a Zipkin, and requests tell of them in its headers', async () => {
    const told: unknown[] = [];
    const { network, client, heard } = await started(collector('zipkin', ''), everything);
    const backend = use(
      await httpBackend('127.0.0.3', (request, response) => {
        let text = '';
        request.on('data', (piece: Buffer) => {
          text += piece.toString();
        });
        request.on('end', () => {
          told.push(request.url, ...(JSON.parse(text) as unknown[]));
          response.writeHead(202).end();
        });
      }),
    );
    network.service({ name: 'collector', vip: '10.9.0.3', attached: false });
    network.endpoint({ name: 'collector-0', service: 'collector', ip: backend.ip, port: backend.port });
    await client.request(WEB, { path: '/shop' });
    await until(() => told.length > 0, 'the span arrives');
    expect(told[0]).toBe('/api/v2/spans');
    expect(told[1]).toMatchObject({
      kind: 'SERVER',
      name: `${hostnameOf('web')}:80/*`,
      tags: { 'http.method': 'GET', 'http.url': 'http://app.test/shop' },
      traceId: heard[0]?.['x-b3-traceid'],
      id: heard[0]?.['x-b3-spanid'],
    });
    expect(heard[0]?.['x-request-id']).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-9/);
  });

  test('of a collector that is not there cost a request nothing', async () => {
    const { network, client } = await started(collector('opentelemetry', '/v1/traces'), everything);
    expect((await client.request(WEB)).status).toBe(200);
    await until(async () => {
      const { body } = await network.page('stats', '/stats/prometheus');
      return /^ambit_waypoint_spans_total\{[^}]*fate="failed"\} 1$/m.test(body);
    }, 'it is counted as lost');
  });
});

test('every request has an id, its own where it came with one', async () => {
  const { client, heard } = await started();
  await client.request(WEB);
  await client.request(WEB, { headers: { 'x-request-id': 'mine' } });
  expect(heard.map((headers) => headers['x-request-id'])).toEqual([
    expect.stringMatching(/^[0-9a-f-]{36}$/),
    'mine',
  ]);
});

function lengthOf(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return length;
}
