import { expect, test } from '@jest/globals';
import type { HttpRequest } from '@ambit/core/http-server';
import type { MetricReport } from '../threads/messages.ts';
import { metricsHandler } from '@ambit/core/metrics-process';
import { ControlMetrics, mergedReports } from './metrics.ts';
import { Readiness, readinessHandler } from '@ambit/core/readiness';

const request = (path: string, headers: HttpRequest['headers'] = {}, method = 'GET'): HttpRequest => ({
  method,
  path,
  query: new URLSearchParams(),
  headers,
  body: Buffer.alloc(0),
  signal: new AbortController().signal,
});

const opened = (...samples: MetricReport['samples']): MetricReport => ({
  name: 'istio_tcp_connections_opened',
  type: 'counter',
  labelNames: ['reporter', 'source_zone'],
  samples,
});

const metricsOf = (reports: readonly (readonly MetricReport[])[]) =>
  new ControlMetrics({
    tag: '1.30',
    podCount: (state) => (state === 'Up' ? 2 : 1),
    workerReports: async () => reports,
  });

test('workers are summed, series by series, and empty labels left out', () => {
  const [family] = mergedReports([
    [opened({ labels: ['source', 'z'], value: 1 }, { labels: ['source', ''], value: 5 })],
    [opened({ labels: ['source', 'z'], value: 2 })],
  ]);
  expect(family?.samples).toEqual([
    {
      suffix: '_total',
      labels: [
        ['reporter', 'source'],
        ['source_zone', 'z'],
      ],
      value: 3,
    },
    { suffix: '_total', labels: [['reporter', 'source']], value: 5 },
  ]);
});

test('a scrape is OpenMetrics text in which only stable metrics do not say "unstable"', async () => {
  const metrics = metricsOf([[opened({ labels: ['source', ''], value: 1 })]]);
  metrics.xds.received?.('type', 10);
  metrics.xds.terminated?.('Reconnect');
  metrics.pods.started?.({ uid: 'u', name: 'n', namespace: 'ns', serviceAccount: 'sa' });
  const { status, headers, body } = await metricsHandler(metrics)(
    request('/metrics', { accept: 'application/openmetrics-text;version=1.0.0' }),
  );
  const text = String(body);
  expect([status, headers?.['content-type']]).toEqual([
    200,
    'application/openmetrics-text;charset=utf-8;version=1.0.0',
  ]);
  for (const line of [
    'istio_tcp_connections_opened_total{reporter="source"} 1',
    'istio_build{component="ztunnel",tag="1.30"} 1',
    'istio_xds_message_total{url="type"} 1',
    'istio_xds_message_bytes_total{url="type"} 10',
    'istio_xds_connection_terminations_total{reason="Reconnect"} 1',
    'workload_manager_active_proxy_count 2',
    'workload_manager_pending_proxy_count 1',
    'workload_manager_proxies_started_total 1',
    'workload_manager_proxies_stopped_total 0',
  ]) {
    expect(text.split('\n')).toContain(line);
  }
  expect(text).toMatch(/^process_open_fds [1-9]\d*$/m);
  expect(text).toMatch(/^process_max_fds [1-9]\d*$/m);
  expect(text.endsWith('# EOF\n')).toBe(true);
  const helps = [...text.matchAll(/^# HELP (\S+) (.*)$/gm)].filter(
    ([, , help]) => !help?.includes('unstable'),
  );
  expect(new Set(helps.map(([, name]) => name))).toEqual(
    new Set(['istio_build', 'istio_tcp_connections_opened', 'process_max_fds', 'process_open_fds']),
  );
});

test('two paths have metrics, others are not there', async () => {
  const handler = metricsHandler(metricsOf([]));
  const statuses = await Promise.all(
    ['/metrics', '/stats/prometheus', '/'].map(async (path) => (await handler(request(path))).status),
  );
  expect(statuses).toEqual([200, 200, 404]);
});

test('readiness names what it waits for, and can go back', () => {
  const readiness = new Readiness();
  const handler = readinessHandler(readiness);
  const ask = () => handler(request('/healthz/ready'));
  readiness.block('workload proxy manager');
  readiness.block('state manager');
  expect(ask()).toEqual({ status: 500, body: 'not ready, pending: state manager, workload proxy manager\n' });
  readiness.done('state manager');
  readiness.set('workload proxy manager', true);
  expect(ask()).toEqual({ status: 200, body: 'ready\n' });
  readiness.set('workload proxy manager', false);
  expect(ask().status).toBe(500);
  expect(handler(request('/healthz/ready', {}, 'POST')).status).toBe(405);
  expect(handler(request('/')).status).toBe(404);
});
