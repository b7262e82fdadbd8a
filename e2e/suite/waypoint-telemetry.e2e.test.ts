import { beforeAll, describe, expect, test } from '@jest/globals';
import type { KubeObject } from '@ambit/kube/resource';
import { runAmbit } from './kit/ambit.ts';
import type { Asked, EchoPod } from './kit/echo-pod.ts';
import { type LabelMatch, matching, type Sample, total } from './kit/metrics.ts';
import { useProviders } from './kit/mesh-providers.ts';
import { serviceAccount } from './kit/objects.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { PORTS } from '../echo/ports.ts';
import { EVERYBODY, eventually, LED, type Patience, until } from './kit/wait.ts';
import { WaypointPods } from './kit/waypoint-pods.ts';

const suite = useSuite('waypoint-telemetry');
const patience = LED;
/** A waypoint has two pods, which hear of a change each in its own time. */
const settled: Patience = { inARow: EVERYBODY };

let space: Space;
let client: EchoPod;
let waypoint: WaypointPods;

const spiffe = (account: string) => `spiffe://cluster.local/ns/${space.name}/sa/${account}`;
const reach = (asked: Partial<Asked> = {}) => client.mustReach({ host: space.host('server'), ...asked });

/** The labels of what `act` is counted under. */
async function counted(
  name: string,
  labels: LabelMatch,
  act: () => Promise<unknown>,
): Promise<Sample['labels']> {
  const before = total(await waypoint.metrics(), name, labels);
  await act();
  const samples = await eventually(
    `${name} grows`,
    () => waypoint.metrics(),
    (now) => total(now, name, labels) > before,
    patience,
  );
  return matching(samples, name, labels).at(-1)?.labels ?? {};
}

function telemetry(name: string, spec: Readonly<Record<string, unknown>>): KubeObject {
  return {
    apiVersion: 'telemetry.istio.io/v1',
    kind: 'Telemetry',
    metadata: { namespace: space.name, name },
    ...{ spec },
  };
}

beforeAll(async () => {
  const [first, second] = suite.nodes;
  space = await suite.space('app', 'ambient');
  await space.apply(serviceAccount(space.name, 'asker'), serviceAccount(space.name, 'keeper'));
  [client] = (await space.run(
    { name: 'client', node: first, serviceAccount: 'asker' },
    { name: 'server', node: second, serviceAccount: 'keeper', labels: { version: 'v7' } },
    { name: 'collector', node: second },
  )) as [EchoPod];
  await space.enrolled(true, 'client', 'server', 'collector');
  waypoint = new WaypointPods(suite.cluster, space.name);
  await runAmbit(
    suite.cluster,
    ...['waypoint', 'apply', '-n', space.name, '--enroll-namespace', '--waypoint-timeout', '150s'],
  );
  await until(
    'requests at L7',
    async () => (await reach()).server?.headers?.['x-request-id'] !== undefined,
    settled,
  );
});

describe('a request', () => {
  test('is counted with the identities of both, as Istio’s dashboards ask', async () => {
    const labels = await counted('istio_requests_total', { response_code: '200' }, () => reach());
    expect(labels).toMatchObject({
      reporter: 'waypoint',
      request_protocol: 'http',
      response_flags: '-',
      connection_security_policy: 'mutual_tls',
      source_workload: 'client',
      source_workload_namespace: space.name,
      source_principal: spiffe('asker'),
      destination_workload: 'server',
      destination_workload_namespace: space.name,
      destination_principal: spiffe('keeper'),
      destination_service: space.host('server'),
      destination_service_name: 'server',
      destination_service_namespace: space.name,
      destination_canonical_revision: 'v7',
    });
  });

  test('of gRPC is counted as such, with its messages', async () => {
    const labels = await counted('istio_response_messages_total', { request_protocol: 'grpc' }, () =>
      reach({ kind: 'grpc' }),
    );
    expect(labels).toMatchObject({ grpc_response_status: '0', response_code: '200' });
  });
});

test('a connection that is no HTTP is counted, too', async () => {
  const labels = await counted('istio_tcp_connections_closed_total', { request_protocol: 'tcp' }, () =>
    reach({ kind: 'tcp' }),
  );
  expect(labels).toMatchObject({
    source_principal: spiffe('asker'),
    destination_principal: spiffe('keeper'),
  });
});

describe('a Telemetry', () => {
  test('changes labels', async () => {
    const tagOverrides = {
      source_app: { value: "'test'" },
      ask: { value: 'request.method' },
      source_principal: { operation: 'REMOVE' },
    };
    const overrides = [{ match: { metric: 'REQUEST_COUNT', mode: 'SERVER' }, tagOverrides }];
    const asked = telemetry('labels', { metrics: [{ providers: [{ name: 'prometheus' }], overrides }] });
    await space.having([asked], async () => {
      const found = await eventually(
        'requests with other labels',
        async () => {
          await reach();
          return matching(await waypoint.metrics(), 'istio_requests_total', {
            source_app: 'test',
            ask: 'GET',
          });
        },
        (samples) => samples.length > 0,
        patience,
      );
      expect(found[0]?.labels).not.toHaveProperty('source_principal');
    });
  });

  test('asks for an access log, of some requests', async () => {
    const accessLogging = [
      {
        match: { mode: 'CLIENT_AND_SERVER' },
        providers: [{ name: 'envoy' }],
        filter: { expression: "request.url_path == '/told'" },
      },
    ];
    await space.having([telemetry('log', { accessLogging })], async () => {
      const lines = await eventually(
        'a line',
        async () => {
          await reach({ path: '/not-told' });
          await reach({ path: '/told' });
          return (await waypoint.logs()).filter(
            (line) => line.includes('/told') || line.includes('/not-told'),
          );
        },
        (found) => found.length > 0,
        patience,
      );
      expect(lines.filter((line) => line.includes('/not-told'))).toEqual([]);
      expect(lines[0]).toMatch(
        /^\[\d{4}-\d\d-\d\dT[\d:.]+Z\] "GET \/told HTTP\/1\.1" 200 - via_upstream - "-" \d+ \d+ \d+ \d+ "/,
      );
      expect(lines[0]).toContain(`"${space.host('server')}`);
    });
  });
});

describe('a trace', () => {
  const TRACE = '0af7651916cd43dd8448eb211c80319c';
  const PARENT = 'b7ad6b7169203331';
  const W3C = 'suite-w3c';
  const ZIPKIN = 'suite-zipkin';
  const PATHS = { [W3C]: '/v1/traces', [ZIPKIN]: '/api/v2/spans' };

  beforeAll(async () => {
    const collector = { service: space.host('collector'), port: PORTS.http };
    await useProviders(suite, [
      { name: W3C, opentelemetry: { ...collector, http: { path: PATHS[W3C] } } },
      { name: ZIPKIN, zipkin: collector },
    ]);
  });

  const fieldsOf = async (headers: Readonly<Record<string, string>>) =>
    (await reach({ headers })).server?.headers;
  /** How many exports a collector has had; asking is a request there itself. */
  const exports = async (path: string) => {
    const { server } = await reach({ host: space.host('collector'), path });
    return (server?.timesAsked ?? 0) - 1;
  };

  test.each([
    [
      W3C,
      { traceparent: `00-${TRACE}-${PARENT}-01` },
      'traceparent',
      new RegExp(`^00-${TRACE}-(?!${PARENT})\\w{16}-01$`),
    ],
    [
      ZIPKIN,
      { 'x-b3-traceid': TRACE, 'x-b3-spanid': PARENT, 'x-b3-sampled': '1' },
      'x-b3-traceid',
      new RegExp(`^${TRACE}$`),
    ],
  ] as const)(
    'by %s: goes on through the waypoint, whose spans the collector gets',
    async (name, sent, field, want) => {
      const tracing = [{ providers: [{ name }], randomSamplingPercentage: 0 }];
      await space.having([telemetry('trace', { tracing })], async () => {
        const before = await exports(PATHS[name]);
        await until(
          'the trace goes on',
          async () => {
            const seen = (await fieldsOf(sent))?.[field] ?? '';
            const span = (await fieldsOf(sent))?.['x-b3-spanid'];
            return want.test(seen) && span !== PARENT;
          },
          patience,
        );
        await eventually(
          'spans at the collector',
          () => exports(PATHS[name]),
          (count) => count > before + 1,
          patience,
        );
        await until(
          'they are counted',
          async () => total(await waypoint.metrics(), 'ambit_waypoint_spans_total', { fate: 'sent' }) > 0,
          patience,
        );
        expect(total(await waypoint.metrics(), 'ambit_waypoint_spans_total', { fate: 'failed' })).toBe(0);
      });
    },
  );

  test('that nobody asked for is drawn by chance: of none where the share is none', async () => {
    const tracing = [{ providers: [{ name: ZIPKIN }], randomSamplingPercentage: 100 }];
    const sampled = async () => (await fieldsOf({}))?.['x-b3-sampled'];
    await space.having([telemetry('trace', { tracing })], async () => {
      await until('all', async () => (await sampled()) === '1', settled);
      await space.apply(telemetry('trace', { tracing: [{ ...tracing[0], randomSamplingPercentage: 0 }] }));
      await until('none', async () => (await sampled()) !== '1', settled);
      for (let i = 0; i < 10; i++) expect(await sampled()).not.toBe('1');
    });
  });
});
