/** A real Prometheus scrapes a waypoint, and is asked what Istio's dashboards ask. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Backend, httpBackend } from '../../packages/waypoint/src/testing/backend.ts';
import {
  ALICE,
  hostnameOf,
  startWaypoint,
  type WaypointNetwork,
} from '../../packages/waypoint/src/testing/waypoint-network.ts';

const REQUESTS = 20;
const PATIENCE_MS = 60_000;
const POLL_MS = 200;

const folder = mkdtempSync(join(tmpdir(), 'ambit-prometheus-'));
let backend: Backend;
let network: WaypointNetwork;
let prometheus: ChildProcess;
let said = '';
let port = 0;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

/** The value of an expression; `undefined` while there is none. */
async function value(expression: string): Promise<number | undefined> {
  const url = `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expression)}`;
  const response = await fetch(url).catch(() => undefined);
  const answer = (await response?.json()) as
    | { readonly data?: { readonly result?: readonly { readonly value: readonly [number, string] }[] } }
    | undefined;
  const text = answer?.data?.result?.[0]?.value[1];
  return text === undefined ? undefined : Number(text);
}

async function eventually(expression: string): Promise<number> {
  const endMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await value(expression);
    if (found !== undefined) return found;
    if (performance.now() > endMs) throw new Error(`no value of ${expression}; Prometheus said:\n${said}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

beforeAll(async () => {
  backend = await httpBackend('127.0.0.2', (_, response) => response.end('hello'));
  network = await startWaypoint();
  network.service({ name: 'web', vip: '10.9.0.1' });
  network.endpoint({ name: 'web-0', service: 'web', ip: backend.ip, port: backend.port });
  const client = await network.client();
  for (let i = 0; i < REQUESTS; i++) await client.request('10.9.0.1:80');
  port = await freePort();
  const target = `127.0.0.1:${network.app.ports.stats}`;
  const job = {
    job_name: 'waypoint',
    scrape_interval: '1s',
    metrics_path: '/stats/prometheus',
    static_configs: [{ targets: [target] }],
  };
  // Everything in JSON is YAML.
  writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify({ scrape_configs: [job] }));
  const options = [
    `--config.file=${join(folder, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ];
  prometheus = spawn('prometheus', options, { stdio: ['ignore', 'ignore', 'pipe'] });
  prometheus.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  prometheus.on('error', (error) => {
    said += String(error);
  });
}, 60_000);

afterAll(async () => {
  if (prometheus.exitCode === null && prometheus.pid !== undefined) {
    const ended = new Promise((resolve) => prometheus.once('close', resolve));
    prometheus.kill('SIGTERM');
    await ended;
  }
  await network[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}, 30_000);

test('takes all of it', async () => {
  expect(await eventually('up == 1')).toBe(1);
  expect(await eventually('scrape_samples_scraped > 0')).toBeGreaterThan(60);
}, 70_000);

test('counts requests between the two, by service and code', async () => {
  const labels = [
    'reporter="waypoint"',
    'request_protocol="http"',
    'response_code="200"',
    'response_flags="-"',
    `destination_service="${hostnameOf('web')}"`,
    `source_principal="${ALICE}"`,
  ];
  expect(await eventually(`sum(istio_requests_total{${labels.join()}})`)).toBe(REQUESTS);
}, 70_000);

test('has histograms that quantiles come out of', async () => {
  const quantile = (name: string) => `histogram_quantile(0.5, sum by (le) (${name}_bucket))`;
  const durationMs = await eventually(quantile('istio_request_duration_milliseconds'));
  expect(durationMs).toBeGreaterThan(0);
  expect(await eventually('sum(istio_request_duration_milliseconds_count)')).toBe(REQUESTS);
  expect(await eventually(quantile('istio_response_bytes'))).toBeGreaterThan(0);
}, 70_000);
