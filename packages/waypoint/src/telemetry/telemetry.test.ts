import { describe, expect, test } from '@jest/globals';
import { silentLogger } from '@ambit/core/log';
import { MetricRegistry } from '@ambit/core/metrics';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import type { MeshSettings } from '../resources/mesh-settings.ts';
import type { Telemetry } from '../resources/telemetry.ts';
import { LogOutputs } from './access-log/log-outputs.ts';
import { ACCESS_LOG_FLUSH_MS } from './limits.ts';
import { WaypointTelemetry } from './telemetry.ts';
import { connectionRecord, CONTEXT, requestRecord, SETTINGS } from './testing/records.ts';
import type { CollectorRequest } from './tracing/collector.ts';

const TRACER = {
  kind: 'zipkin',
  service: 'zipkin.monitoring.svc.cluster.local',
  port: 9411,
  path: '',
  timeoutMs: 0,
  headers: [],
  maxTagLength: 0,
} as const;

function telemetryOf(over: Partial<MeshSettings> = {}) {
  let settings: MeshSettings = { ...SETTINGS, ...over };
  const clock = new FakeClock();
  const written: string[] = [];
  const asked: CollectorRequest[] = [];
  const warnings: unknown[] = [];
  let flushes = 0;
  let dropped = 0;
  const telemetry = new WaypointTelemetry({
    settings: () => settings,
    context: CONTEXT,
    registry: new MetricRegistry(),
    ask: (_, request) => {
      asked.push(request);
      return Promise.resolve({ status: 202, fields: [], trailers: undefined, body: Buffer.alloc(0) });
    },
    clock,
    random: () => 0,
    log: { ...silentLogger, warn: (_, fields) => void warnings.push(fields?.['problem']) },
    outputs: new LogOutputs(clock, () => ({
      write: (line) => void written.push(line),
      flush: () => void flushes++,
      flushSync: () => void flushes++,
      get dropped() {
        return dropped;
      },
    })),
  });
  return {
    telemetry,
    clock,
    written,
    asked,
    warnings,
    flushes: () => flushes,
    drop: () => void dropped++,
    change: (changed: Partial<MeshSettings>) => {
      settings = { ...SETTINGS, ...changed };
    },
    scrape: () => [...telemetry.scrape()].join(''),
  };
}

const PLAIN = { telemetry: [] as readonly Telemetry[] };
const TRACED = {
  extensionProviders: new Map([['zipkin', TRACER]]),
  defaultTracingProviders: ['zipkin'],
  accessLogFile: '/dev/stdout',
  accessLogFormat: '%RESPONSE_CODE% %TRACE_ID%',
};

describe('a request', () => {
  test('is counted, logged and traced as was asked for when it began', async () => {
    const { telemetry, clock, written, asked, flushes, change, scrape } = telemetryOf(TRACED);
    const begun = telemetry.begin(PLAIN, requestRecord().request);
    change({ defaultMetricsProviders: [] });
    telemetry.ended(requestRecord({ begun }));
    expect(begun.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(written).toEqual([`200 ${begun.traceId}\n`]);
    await clock.advance(ACCESS_LOG_FLUSH_MS);
    expect(flushes()).toBe(1);
    await telemetry.flush();
    expect(JSON.parse(Buffer.from(asked[0]?.body ?? []).toString())).toMatchObject([
      { traceId: begun.traceId },
    ]);
    const text = scrape();
    expect(text).toMatch(/^istio_requests_total\{reporter="waypoint",.*\} 1$/m);
    expect(text).toMatch(/^ambit_waypoint_spans_total\{provider="zipkin.*:9411",fate="sent"\} 1$/m);
    expect(text.endsWith('# EOF\n')).toBe(true);

    telemetry.ended(requestRecord({ begun: telemetry.begin(PLAIN, requestRecord().request) }));
    expect(written).toHaveLength(1);
    expect(scrape()).toMatch(/^istio_requests_total\{.*\} 1$/m);
  });

  test('of a collector that is gone from the settings still reaches it', async () => {
    const { telemetry, asked, change } = telemetryOf(TRACED);
    telemetry.ended(requestRecord({ begun: telemetry.begin(PLAIN, requestRecord().request) }));
    change({});
    telemetry.begin(PLAIN, requestRecord().request);
    await new Promise(setImmediate);
    expect(asked).toHaveLength(1);
  });
});

test('a connection is counted while it lasts, and logged when it ends', () => {
  const { telemetry, written, scrape } = telemetryOf({
    accessLogFile: '/dev/stdout',
    accessLogFormat: '%BYTES_RECEIVED% %RESPONSE_FLAGS%',
  });
  const connection = telemetry.connectionBegan(PLAIN, connectionRecord({ receivedBytes: 0, sentBytes: 0 }));
  connection.addBytes(5, 7);
  expect(scrape()).toMatch(/^istio_tcp_received_bytes_total\{.*\} 5$/m);
  expect(written).toEqual([]);
  connection.close(connectionRecord({ receivedBytes: 5, flags: 'UC' }));
  connection.close(connectionRecord({ receivedBytes: 5, flags: 'UC' }));
  expect(written).toEqual(['5 UC\n']);
  expect(scrape()).toMatch(/^istio_tcp_connections_closed_total\{.*response_flags="UC".*\} 1$/m);
});

test('services with the same Telemetries share their plan, until the settings change', () => {
  const { telemetry, change } = telemetryOf();
  const planOf = (config: { readonly telemetry: readonly Telemetry[] }) =>
    telemetry.begin(config, requestRecord().request).plan;
  const one = { telemetry: [] };
  const first = planOf(one);
  expect(planOf({ telemetry: [] })).toBe(first);
  change({ accessLogFile: '/dev/stdout' });
  expect(planOf(one)).not.toBe(first);
  expect(planOf(one).logs).toHaveLength(1);
});

test('a problem is told once, and what is lost is counted', () => {
  const { telemetry, warnings, drop, scrape } = telemetryOf({
    defaultTracingProviders: ['none'],
    accessLogFile: '/dev/stdout',
  });
  telemetry.begin(PLAIN, requestRecord().request);
  telemetry.begin({ telemetry: [] }, requestRecord().request);
  expect(warnings).toEqual(['tracing provider none is no collector of spans that a waypoint can speak to']);
  telemetry.ended(requestRecord({ begun: telemetry.begin(PLAIN, requestRecord().request) }));
  drop();
  drop();
  expect(scrape()).toMatch(/^ambit_waypoint_access_log_dropped_total 2$/m);
  expect(scrape()).toMatch(/^ambit_waypoint_access_log_dropped_total 2$/m);
});
