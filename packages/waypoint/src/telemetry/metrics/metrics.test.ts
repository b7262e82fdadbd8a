import { describe, expect, test } from '@jest/globals';
import type { MetricOverride } from '../../resources/telemetry.ts';
import { UNKNOWN_PARTY } from '../party.ts';
import { CLIENT, connectionRecord, grpcRecord, planOf, requestRecord, SERVER } from '../testing/records.ts';
import type { MetricsPlan } from './metrics-plan.ts';
import { TrafficMetrics } from './traffic-metrics.ts';

function metricsOf(plan: ReturnType<typeof planOf>): MetricsPlan {
  if (!plan.metrics) throw new Error('nothing is counted');
  return plan.metrics;
}

const scraped = (metrics: TrafficMetrics) => [...metrics.lines()].join('');
const linesWith = (metrics: TrafficMetrics, name: string) =>
  scraped(metrics)
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`));

const STANDARD = metricsOf(planOf());
const LABELS =
  'reporter="waypoint",source_workload="client-v1",source_canonical_service="client",' +
  'source_canonical_revision="v1",source_workload_namespace="shop",' +
  'source_principal="spiffe://cluster.local/ns/shop/sa/client",source_app="client",source_version="v1",' +
  'source_cluster="Kubernetes",destination_workload="server-v2",destination_workload_namespace="store",' +
  'destination_principal="spiffe://cluster.local/ns/store/sa/server",destination_app="server",' +
  'destination_version="v2",destination_service="server.store.svc.cluster.local",' +
  'destination_canonical_service="server",destination_canonical_revision="v2",destination_service_name="server",' +
  'destination_service_namespace="store",destination_cluster="Kubernetes"';

describe('Istio’s names, labels and buckets', () => {
  test('of requests', () => {
    const metrics = new TrafficMetrics();
    metrics.countRequest(STANDARD, requestRecord());
    metrics.countRequest(STANDARD, requestRecord({ durationMs: 5_000_000 }));
    const labels = `${LABELS},request_protocol="http",response_code="200",response_flags="-",connection_security_policy="mutual_tls"`;
    expect(linesWith(metrics, 'istio_requests_total')).toEqual([`istio_requests_total{${labels}} 2`]);
    const counts = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2];
    const bounds =
      '0.5 1 5 10 25 50 100 250 500 1000 2500 5000 10000 30000 60000 300000 600000 1800000 3600000 +Inf';
    expect(linesWith(metrics, 'istio_request_duration_milliseconds_bucket')).toEqual(
      bounds
        .split(' ')
        .map((le, i) => `istio_request_duration_milliseconds_bucket{${labels},le="${le}"} ${counts[i]}`),
    );
    expect(linesWith(metrics, 'istio_request_duration_milliseconds_sum')).toEqual([
      `istio_request_duration_milliseconds_sum{${labels}} 5000012.4`,
    ]);
    expect(linesWith(metrics, 'istio_request_bytes_sum')).toEqual([`istio_request_bytes_sum{${labels}} 240`]);
    expect(linesWith(metrics, 'istio_response_bytes_count')).toEqual([
      `istio_response_bytes_count{${labels}} 2`,
    ]);
    expect(linesWith(metrics, 'istio_response_messages_total')).toEqual([
      `istio_response_messages_total{${labels}} 0`,
    ]);
  });

  test('of gRPC', () => {
    const metrics = new TrafficMetrics();
    metrics.countRequest(STANDARD, grpcRecord());
    const labels = `${LABELS},request_protocol="grpc",response_code="200",grpc_response_status="0",response_flags="-",connection_security_policy="mutual_tls"`;
    expect(linesWith(metrics, 'istio_requests_total')).toEqual([`istio_requests_total{${labels}} 1`]);
    expect(linesWith(metrics, 'istio_response_messages_total')).toEqual([
      `istio_response_messages_total{${labels}} 3`,
    ]);
  });

  test('of connections', () => {
    const metrics = new TrafficMetrics();
    const connection = metrics.openConnection(STANDARD, connectionRecord());
    connection.addBytes(11, 20);
    connection.addBytes(0, 2);
    connection.close(connectionRecord({ flags: 'UF' }));
    connection.close(connectionRecord({ flags: 'UF' }));
    const labels = (flag: string) =>
      `{${LABELS},request_protocol="tcp",response_flags="${flag}",connection_security_policy="mutual_tls"}`;
    expect(linesWith(metrics, 'istio_tcp_connections_opened_total')).toEqual([
      `istio_tcp_connections_opened_total${labels('-')} 1`,
      `istio_tcp_connections_opened_total${labels('UF')} 0`,
    ]);
    expect(linesWith(metrics, 'istio_tcp_connections_closed_total')).toEqual([
      `istio_tcp_connections_closed_total${labels('-')} 0`,
      `istio_tcp_connections_closed_total${labels('UF')} 1`,
    ]);
    expect(linesWith(metrics, 'istio_tcp_received_bytes_total')[0]).toBe(
      `istio_tcp_received_bytes_total${labels('-')} 11`,
    );
    expect(linesWith(metrics, 'istio_tcp_sent_bytes_total')[0]).toBe(
      `istio_tcp_sent_bytes_total${labels('-')} 22`,
    );
  });

  test('nobody knows who', () => {
    const metrics = new TrafficMetrics();
    const record = requestRecord({
      source: { ...UNKNOWN_PARTY, canonicalService: 'lonely' },
      destination: undefined,
      service: undefined,
      status: 0,
      flags: 'DC',
    });
    metrics.countRequest(STANDARD, record);
    const [line = ''] = linesWith(metrics, 'istio_requests_total');
    expect(line).toContain('source_canonical_revision="latest"');
    expect(line).toContain('destination_canonical_revision="unknown"');
    expect(line).toContain('destination_service="unknown"');
    expect(line).toContain('response_code="0",response_flags="DC",connection_security_policy="unknown"');
  });

  test('values are escaped and cut', () => {
    const metrics = new TrafficMetrics();
    const source = { ...CLIENT, workload: 'a"\\\nb', cluster: 'x'.repeat(3_000) };
    metrics.countRequest(STANDARD, requestRecord({ source }));
    const [line = ''] = linesWith(metrics, 'istio_requests_total');
    expect(line).toContain('source_workload="a\\"\\\\\\nb"');
    expect(line).toContain(`source_cluster="${'x'.repeat(1_024)}"`);
  });
});

describe('the Telemetry API', () => {
  const override = (over: Partial<MetricOverride>): MetricOverride => ({
    metric: 'ALL_METRICS',
    mode: 'CLIENT_AND_SERVER',
    disabled: undefined,
    tags: [],
    ...over,
  });
  const tag = (name: string, value: string) => ({ name, value, remove: false });
  /** From the nearest on. */
  const plan = (...levels: readonly (readonly MetricOverride[])[]) =>
    planOf(levels.map((overrides) => ({ metrics: [{ providers: [], overrides }] })));

  test('tags are added, replaced and removed, of one metric or all', () => {
    const made = plan([
      override({
        tags: [
          tag('source_app', "'test'"),
          tag('method', 'request.method'),
          { name: 'source_cluster', remove: true, value: '' },
        ],
      }),
      override({ metric: 'REQUEST_COUNT', tags: [tag('host', 'request.host + "!"')] }),
    ]);
    expect(made.problems).toEqual([]);
    const metrics = new TrafficMetrics();
    metrics.countRequest(metricsOf(made), requestRecord());
    const [count = ''] = linesWith(metrics, 'istio_requests_total');
    expect(count).toContain('source_app="test"');
    expect(count).toContain('method="GET"');
    expect(count).toContain('host="server!"');
    expect(count).not.toContain('source_cluster');
    const [size = ''] = linesWith(metrics, 'istio_request_bytes_sum');
    expect(size).toContain('method="GET"');
    expect(size).not.toContain('host=');
  });

  test('a computed tag tells series apart', () => {
    const made = metricsOf(plan([override({ tags: [tag('ua', "request.headers['user-agent']")] })]));
    const metrics = new TrafficMetrics();
    const record = requestRecord();
    metrics.countRequest(made, record);
    const sent = { authority: '', path: '/', fields: [] };
    metrics.countRequest(made, { ...record, sent });
    metrics.countRequest(made, { ...record, sent });
    const counts = linesWith(metrics, 'istio_requests_total').map((line) =>
      /ua="(.*?)".* (\d+)$/.exec(line)?.slice(1),
    );
    expect(counts).toEqual([
      ['curl/8', '1'],
      ['unknown', '2'],
    ]);
  });

  test('the nearest wins; what is off for all can be on for one', () => {
    const off = [override({ disabled: true })];
    expect(plan(off).metrics).toBeUndefined();
    const one = metricsOf(plan([override({ metric: 'REQUEST_COUNT', disabled: false })], off));
    expect([...one.metrics.keys()]).toEqual(['REQUEST_COUNT']);
    expect(metricsOf(plan([override({ disabled: true, mode: 'CLIENT' })])).metrics.size).toBe(10);
    const tags = metricsOf(
      plan(
        [override({ tags: [tag('source_app', "'near'")] })],
        [override({ tags: [tag('source_app', "'far'")] })],
      ),
    );
    expect(tags.metrics.get('REQUEST_COUNT')?.labels).toContainEqual([
      'source_app',
      { kind: 'constant', value: 'near' },
    ]);
  });

  test('only Prometheus is counted for', () => {
    const named = (...providers: string[]) => planOf([{ metrics: [{ providers, overrides: [] }] }]).metrics;
    expect(named('stackdriver')).toBeUndefined();
    expect(named('prometheus')?.metrics.size).toBe(10);
    expect(planOf([], { defaultMetricsProviders: [] }).metrics).toBeUndefined();
    const extensionProviders = new Map([['mine', { kind: 'prometheus' } as const]]);
    expect(planOf([], { defaultMetricsProviders: ['mine'], extensionProviders }).metrics?.metrics.size).toBe(
      10,
    );
  });

  test('what cannot be used is said, and its label stays', () => {
    const made = plan([
      override({ tags: [tag('source_app', 'nobody.knows'), tag('not a name', "'x'")] }),
      override({ metric: 'my_metric', tags: [tag('a', "'b'")] }),
    ]);
    expect(made.problems).toEqual([
      'metric my_metric is not one of Istio’s standard metrics',
      'tag source_app: nobody.knows: nobody.knows is not known here',
      'tag not a name: no name of a label',
    ]);
    expect(metricsOf(made).metrics.get('REQUEST_COUNT')?.labels).toContainEqual([
      'source_app',
      { kind: 'standard', label: 'source_app' },
    ]);
  });
});

test('past the limit requests share one series that names nobody, and are counted', () => {
  const metrics = new TrafficMetrics({ maxRequestSeries: 2, maxConnectionSeries: 1 });
  for (let i = 0; i < 5; i++)
    metrics.countRequest(STANDARD, requestRecord({ source: { ...CLIENT, workload: `w${i}` } }));
  const connections = [CLIENT, SERVER].map((source) =>
    metrics.openConnection(STANDARD, connectionRecord({ source })),
  );
  for (const connection of connections) connection.addBytes(1, 1);
  expect(metrics.overflow).toBe(4);
  const workloads = linesWith(metrics, 'istio_requests_total').map((line) =>
    /source_workload="(.*?)".* (\d+)$/.exec(line)?.slice(1),
  );
  expect(workloads).toEqual([
    ['unknown', '3'],
    ['w0', '1'],
    ['w1', '1'],
  ]);
  expect(linesWith(metrics, 'istio_tcp_received_bytes_total')).toHaveLength(2);
});

test('the same labels are one series, whichever plan or party object they come from', () => {
  const metrics = new TrafficMetrics();
  metrics.countRequest(STANDARD, requestRecord());
  metrics.countRequest(metricsOf(planOf()), requestRecord({ source: { ...CLIENT } }));
  expect(linesWith(metrics, 'istio_requests_total')).toHaveLength(1);
  expect(linesWith(metrics, 'istio_requests_total')[0]).toMatch(/ 2$/);
});
