import { describe, expect, test } from '@jest/globals';
import {
  decodeTraceExport,
  encodeTraceAnswer,
  OTLP_TRACE_EXPORT_PATH,
  SpanKind,
  SpanStatus,
} from '@ambit/api/otlp';
import { silentLogger } from '@ambit/core/log';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import type { Tracer } from '../../resources/mesh-settings.ts';
import type { TracingRule } from '../../resources/telemetry.ts';
import { beginRequest } from '../begin.ts';
import type { Identifiers } from '../identifiers.ts';
import { randomIdentifiers } from '../identifiers.ts';
import { MAX_QUEUED_SPANS, MAX_SPANS_PER_EXPORT, SPAN_FLUSH_MS } from '../limits.ts';
import { isTracedBy, withDecision } from '../request-id.ts';
import { CONTEXT, grpcRecord, planOf, requestRecord } from '../testing/records.ts';
import type { CollectorAnswer, CollectorRequest } from './collector.ts';
import { SpanExporter } from './exporter.ts';
import { otlpProtocol } from './otlp.ts';
import { type Span, spanOf } from './span.ts';
import type { TracingPlan } from './tracing-plan.ts';
import { zipkinProtocol } from './zipkin.ts';

const TRACER: Tracer = {
  kind: 'opentelemetry',
  service: 'otel.monitoring.svc.cluster.local',
  port: 4317,
  path: '',
  timeoutMs: 0,
  headers: [],
  maxTagLength: 0,
};
const RULE: TracingRule = {
  mode: 'CLIENT_AND_SERVER',
  providers: [],
  samplingPercentage: 100,
  disabled: undefined,
  customTags: [],
  useRequestIdForTraceSampling: true,
  istioTags: undefined,
  disableContextPropagation: undefined,
};

function tracedPlan(
  rules: readonly (Partial<TracingRule> | undefined)[] = [{}],
  tracer: Partial<Tracer> = {},
) {
  const extensionProviders = new Map([['otel', { ...TRACER, ...tracer }]]);
  const telemetry = rules.map((rule) => ({ tracing: rule ? [{ ...RULE, ...rule }] : [] }));
  return planOf(telemetry, { extensionProviders, defaultTracingProviders: ['otel'] });
}

function tracingOf(plan: ReturnType<typeof planOf>): TracingPlan {
  if (!plan.tracing) throw new Error('nothing is traced');
  return plan.tracing;
}

const UUID = '7d1a4b3c-1111-4222-8333-444455556666';
const FIXED: Identifiers = {
  requestId: () => UUID,
  traceId: () => 'a'.repeat(32),
  spanId: () => 'b'.repeat(16),
};
const PARENT = `00-${'c'.repeat(32)}-${'d'.repeat(16)}`;

describe('which requests are traced', () => {
  const begin = (
    fields: readonly string[] = [],
    random = 0.5,
    plan: ReturnType<typeof planOf> = tracedPlan(),
  ) => {
    const { fields: set, span, requestId } = beginRequest(plan, fields, FIXED, () => random);
    return { set, sampled: span !== undefined, requestId };
  };

  test('without a provider a request gets an id, and its trace is left alone', () => {
    expect(begin(['traceparent', `${PARENT}-01`], 0, planOf())).toEqual({
      set: ['x-request-id', UUID],
      sampled: false,
      requestId: UUID,
    });
    expect(begin(['x-request-id', 'mine'], 0, planOf()).set).toEqual([]);
    expect(begin(['x-request-id', 'x'.repeat(300)], 0, planOf()).requestId).toBe(UUID);
  });

  test('a new trace begins as chance has it, and the id says so', () => {
    const half = tracedPlan([{ samplingPercentage: 50 }]);
    expect(begin([], 0.49, half)).toEqual({
      set: [
        'x-request-id',
        withDecision(UUID, true),
        'traceparent',
        `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
      ],
      sampled: true,
      requestId: withDecision(UUID, true),
    });
    expect(begin([], 0.5, half)).toMatchObject({
      set: ['x-request-id', UUID, 'traceparent', `00-${'a'.repeat(32)}-${'b'.repeat(16)}-00`],
      sampled: false,
    });
  });

  test('the caller decides where it says anything', () => {
    expect(
      begin(['traceparent', `${PARENT}-01`, 'tracestate', 'x=1'], 1, tracedPlan([{ samplingPercentage: 0 }])),
    ).toMatchObject({
      set: [
        'x-request-id',
        withDecision(UUID, true),
        'traceparent',
        `00-${'c'.repeat(32)}-${'b'.repeat(16)}-01`,
        'tracestate',
        'x=1',
      ],
      sampled: true,
    });
    expect(begin(['traceparent', `${PARENT}-00`], 0).sampled).toBe(false);
    expect(begin(['b3', '0'], 0).sampled).toBe(false);
    expect(begin(['b3', '1'], 1, tracedPlan([{ samplingPercentage: 0 }])).sampled).toBe(true);
  });

  test('so does a request id, if it may', () => {
    const traced = ['x-request-id', withDecision(UUID, true)];
    const never = { samplingPercentage: 0 };
    expect(begin(traced, 0.5, tracedPlan([never])).sampled).toBe(true);
    const deaf = { ...never, useRequestIdForTraceSampling: false };
    expect(begin(traced, 0.5, tracedPlan([deaf])).sampled).toBe(false);
    expect(begin(['x-request-id', 'no uuid'], 0.5, tracedPlan([never]))).toMatchObject({
      requestId: 'no uuid',
    });
  });

  test('forms: the collector’s own, and those of the request', () => {
    const zipkin = tracedPlan([{}], { kind: 'zipkin' });
    const names = (fields: readonly string[], plan: ReturnType<typeof planOf>) =>
      begin(fields, 0, plan).set.filter((_, i) => i % 2 === 0);
    expect(names([], zipkin)).toEqual(['x-request-id', 'x-b3-traceid', 'x-b3-spanid', 'x-b3-sampled']);
    expect(names(['b3', '1'], tracedPlan())).toEqual(['x-request-id', 'traceparent', 'b3']);
    const silent = tracedPlan([{ disableContextPropagation: true }]);
    expect(names(['b3', '1'], silent)).toEqual(['x-request-id']);
  });
});

describe('the Telemetry API', () => {
  test('the nearest wins, part by part', () => {
    const tag = { name: 'env', kind: 'literal', text: 'test', defaultValue: '' } as const;
    const plan = tracingOf(
      tracedPlan([{ samplingPercentage: undefined, customTags: [tag] }, { samplingPercentage: 7 }]),
    );
    expect([plan.sampling, plan.customTags]).toEqual([
      0.07,
      [{ kind: 'literal', name: 'env', value: 'test' }],
    ]);
  });
  test('one of a hundred without a number', () =>
    expect(tracingOf(tracedPlan([undefined])).sampling).toBe(0.01));
  test('can be off', () => {
    expect(tracedPlan([{ disabled: true }]).tracing).toBeUndefined();
    expect(tracedPlan([{ disabled: true, mode: 'CLIENT' }]).tracing).toBeDefined();
    expect(planOf([{ tracing: [RULE] }]).tracing).toBeUndefined();
  });
  test('a provider that is no collector is said', () => {
    const plan = planOf([{ tracing: [{ ...RULE, providers: ['none'] }] }]);
    expect([plan.tracing, plan.problems]).toEqual([
      undefined,
      ['tracing provider none is no collector of spans that a waypoint can speak to'],
    ]);
  });
});

const STARTED = {
  traceId: 'a'.repeat(32),
  spanId: 'b'.repeat(16),
  parentSpanId: 'd'.repeat(16),
  traceState: 'x=1',
};

describe('spans', () => {
  test('without Istio’s tags, where a Telemetry wants none', () => {
    const plan = tracingOf(tracedPlan([{ istioTags: false }]));
    const names = spanOf(requestRecord(), STARTED, plan, CONTEXT.local).tags.map(([name]) => name);
    expect(names.filter((name) => name.startsWith('istio.'))).toEqual([]);
    expect(names).toContain('http.method');
  });

  test('have Envoy’s and Istio’s tags', () => {
    const customTags = [
      { name: 'agent', kind: 'header', text: 'User-Agent', defaultValue: '' },
      { name: 'other', kind: 'header', text: 'x-none', defaultValue: 'none' },
      { name: 'region', kind: 'environment', text: 'REGION', defaultValue: '' },
      { name: 'nothing', kind: 'environment', text: 'NONE', defaultValue: '' },
    ] as const;
    const plan = tracingOf(tracedPlan([{ customTags }], { maxTagLength: 60 }));
    const { tags, ...span } = spanOf(requestRecord(), STARTED, plan, CONTEXT.local);
    expect(span).toEqual({
      ...STARTED,
      name: 'server.store.svc.cluster.local:80/*',
      startedAtMs: 1_706_702_400_123,
      durationMs: 12.4,
      isError: false,
    });
    expect(Object.fromEntries(tags)).toEqual({
      component: 'proxy',
      node_id: 'waypoint~10.0.0.9~waypoint-z.store~store.svc.cluster.local',
      'guid:x-request-id': 'abc',
      'http.url': 'http://server/old/1?q=2',
      'http.method': 'GET',
      'http.protocol': 'HTTP/1.1',
      'http.status_code': '200',
      user_agent: 'curl/8',
      'peer.address': '10.0.0.1',
      downstream_cluster: '-',
      upstream_address: '10.0.0.2:8080',
      upstream_cluster: 'inbound-vip|80|http|server.store.svc.cluster.local',
      'upstream_cluster.name': 'inbound-vip|80|http|server.store.svc.cluster.local',
      request_size: '0',
      response_size: '1000',
      response_flags: '-',
      'istio.source_workload': 'client-v1',
      'istio.source_namespace': 'shop',
      'istio.source_cluster_id': 'Kubernetes',
      'istio.source_canonical_service': 'client',
      'istio.source_canonical_revision': 'v1',
      'istio.source_app': 'client',
      'istio.source_app_version': 'v1',
      'istio.source_workload_type': 'deployment',
      'istio.source_instance_name': 'client-v1-x',
      'istio.destination_workload': 'server-v2',
      'istio.destination_namespace': 'store',
      'istio.destination_cluster_id': 'Kubernetes',
      'istio.destination_canonical_service': 'server',
      'istio.destination_canonical_revision': 'v2',
      'istio.destination_app': 'server',
      'istio.destination_app_version': 'v2',
      'istio.destination_workload_type': 'deployment',
      'istio.destination_instance_name': 'server-v2-y',
      'istio.canonical_service': 'waypoint',
      'istio.canonical_revision': 'latest',
      'istio.mesh_id': 'cluster.local',
      'istio.namespace': 'store',
      'istio.cluster_id': 'Kubernetes',
      agent: 'curl/8',
      other: 'none',
      region: 'north',
    });
  });

  test('are errors where the server is at fault', () => {
    const plan = tracingOf(tracedPlan());
    const isError = (record: ReturnType<typeof requestRecord>) =>
      spanOf(record, STARTED, plan, CONTEXT.local).isError;
    expect(isError(requestRecord({ status: 404 }))).toBe(false);
    expect(isError(requestRecord({ status: 503 }))).toBe(true);
    expect(isError(requestRecord({ status: 0 }))).toBe(true);
    expect(isError(grpcRecord({ trailers: ['grpc-status', '5'] }))).toBe(false);
    expect(isError(grpcRecord({ trailers: ['grpc-status', '14'] }))).toBe(true);
    const tags = new Map(spanOf(grpcRecord(), STARTED, plan, CONTEXT.local).tags);
    expect([tags.get('grpc.path'), tags.get('grpc.status_code')]).toEqual(['/shop.Cart/Add', '0']);
  });
});

const SPAN: Span = {
  ...STARTED,
  name: 'Server:80/*',
  startedAtMs: 1_706_702_400_123,
  durationMs: 1.5,
  tags: [
    ['http.method', 'GET'],
    ['peer.address', '10.0.0.1'],
  ],
  isError: true,
};

describe('what collectors are told', () => {
  const attribute = (key: string, value: string) => ({
    key,
    value: { value: { $case: 'stringValue', value } },
  });
  const exported = {
    resourceSpans: [
      {
        resource: { attributes: [attribute('service.name', 'waypoint.store')] },
        scopeSpans: [
          {
            scope: { name: 'ambit-waypoint', version: '' },
            spans: [
              {
                traceId: 'aa'.repeat(16),
                spanId: 'bb'.repeat(8),
                parentSpanId: 'dd'.repeat(8),
                traceState: 'x=1',
                name: 'Server:80/*',
                kind: SpanKind.SPAN_KIND_SERVER,
                startTimeUnixNano: 1_706_702_400_123_000_000n,
                endTimeUnixNano: 1_706_702_400_124_500_000n,
                attributes: [attribute('http.method', 'GET'), attribute('peer.address', '10.0.0.1')],
                status: { message: '', code: SpanStatus.STATUS_CODE_ERROR },
              },
            ],
          },
        ],
      },
    ],
  };
  const plain = (value: unknown): unknown =>
    JSON.parse(
      JSON.stringify(value, (_, part: unknown) =>
        typeof part === 'bigint'
          ? String(part)
          : part instanceof Uint8Array
            ? Buffer.from(part).toString('hex')
            : part,
      ),
    );

  test('OTLP over gRPC', () => {
    const { path, http2, fields, body } = otlpProtocol(TRACER, 'waypoint.store').requestFor([SPAN]);
    expect([path, http2, fields]).toEqual([
      OTLP_TRACE_EXPORT_PATH,
      true,
      ['content-type', 'application/grpc', 'te', 'trailers'],
    ]);
    expect(Buffer.from(body).readUIntBE(0, 5)).toBe(body.length - 5);
    expect(plain(decodeTraceExport(Uint8Array.from(body.subarray(5))))).toEqual(plain(exported));
  });

  test('OTLP over HTTP', () => {
    const { path, http2, fields, body } = otlpProtocol(
      { ...TRACER, path: '/v1/traces' },
      'waypoint.store',
    ).requestFor([SPAN]);
    expect([path, http2, fields]).toEqual(['/v1/traces', false, ['content-type', 'application/x-protobuf']]);
    expect(plain(decodeTraceExport(Uint8Array.from(body)))).toEqual(plain(exported));
  });

  test('Zipkin', () => {
    const zipkin = zipkinProtocol(
      { ...TRACER, kind: 'zipkin' },
      { serviceName: 'waypoint.store', ip: 'fd00::9' },
    );
    const { path, fields, body } = zipkin.requestFor([SPAN]);
    expect([path, fields]).toEqual(['/api/v2/spans', ['content-type', 'application/json']]);
    expect(JSON.parse(Buffer.from(body).toString())).toEqual([
      {
        traceId: STARTED.traceId,
        id: STARTED.spanId,
        parentId: STARTED.parentSpanId,
        name: 'server:80/*',
        kind: 'SERVER',
        timestamp: 1_706_702_400_123_000,
        duration: 1_500,
        localEndpoint: { serviceName: 'waypoint.store', ipv6: 'fd00::9' },
        remoteEndpoint: { ipv4: '10.0.0.1' },
        tags: { 'http.method': 'GET', 'peer.address': '10.0.0.1' },
      },
    ]);
  });

  test('and what they answer', () => {
    const answer = (over: Partial<CollectorAnswer>): CollectorAnswer => ({
      status: 200,
      fields: [],
      trailers: undefined,
      body: Buffer.alloc(0),
      ...over,
    });
    const http = otlpProtocol({ ...TRACER, path: '/v1/traces' }, '').outcomeOf;
    const partial = encodeTraceAnswer({ partialSuccess: { rejectedSpans: 2n, errorMessage: 'too old' } });
    expect(http(answer({}), 3)).toEqual({ refused: 0, problem: undefined });
    expect(http(answer({ body: partial }), 3)).toEqual({ refused: 2, problem: 'collector refused: too old' });
    expect(http(answer({ status: 503 }), 3)).toEqual({ refused: 3, problem: 'collector answered 503' });
    expect(http(answer({ body: Buffer.from([0xff]) }), 3)).toMatchObject({
      refused: 0,
      problem: expect.any(String),
    });
    const grpc = otlpProtocol(TRACER, '').outcomeOf;
    expect(grpc(answer({ trailers: ['grpc-status', '0'] }), 3)).toEqual({ refused: 0, problem: undefined });
    expect(grpc(answer({ fields: ['grpc-status', '14'] }), 3)).toEqual({
      refused: 3,
      problem: 'collector answered gRPC status 14',
    });
    expect(grpc(answer({}), 3)).toEqual({ refused: 3, problem: 'collector answered status 200' });
    const zipkin = zipkinProtocol({ ...TRACER, kind: 'zipkin' }, { serviceName: '', ip: '' }).outcomeOf;
    expect(zipkin(answer({ status: 202 }), 3)).toEqual({ refused: 0, problem: undefined });
    expect(zipkin(answer({ status: 400 }), 3)).toEqual({ refused: 3, problem: 'collector answered 400' });
  });
});

describe('exporting', () => {
  const OK: CollectorAnswer = { status: 202, fields: [], trailers: undefined, body: Buffer.alloc(0) };

  function exporting(ask: (request: CollectorRequest, signal: AbortSignal) => Promise<CollectorAnswer>) {
    const clock = new FakeClock();
    const counts: Record<string, number> = { sent: 0, dropped: 0, failed: 0 };
    const warnings: string[] = [];
    const tracer: Tracer = { ...TRACER, kind: 'zipkin', headers: [{ name: 'x-key', value: 'v' }] };
    const exporter = new SpanExporter({
      tracer,
      protocol: zipkinProtocol(tracer, { serviceName: 'w', ip: '' }),
      ask: (_, request, signal) => ask(request, signal),
      count: (fate, spans) => (counts[fate] = (counts[fate] ?? 0) + spans),
      clock,
      log: { ...silentLogger, warn: (_, fields) => void warnings.push(String(fields?.['error'])) },
    });
    const add = (count: number) => {
      for (let i = 0; i < count; i++) exporter.add(SPAN);
    };
    return { clock, counts, warnings, exporter, add };
  }
  const spansIn = (request: CollectorRequest) =>
    (JSON.parse(Buffer.from(request.body).toString()) as unknown[]).length;

  test('gathers for a while, then sends all with the headers asked for', async () => {
    const requests: CollectorRequest[] = [];
    const { clock, counts, add } = exporting((request) => {
      requests.push(request);
      return Promise.resolve(OK);
    });
    add(3);
    await clock.advance(SPAN_FLUSH_MS - 1);
    expect(requests).toHaveLength(0);
    await clock.advance(1);
    expect(requests.map(spansIn)).toEqual([3]);
    expect(requests[0]?.fields).toEqual(['content-type', 'application/json', 'x-key', 'v']);
    expect(counts).toEqual({ sent: 3, dropped: 0, failed: 0 });
  });

  test('holds so many and no more; one message is under way at a time', async () => {
    const answers: (() => void)[] = [];
    const sizes: number[] = [];
    const { counts, add, exporter } = exporting((request) => {
      sizes.push(spansIn(request));
      return new Promise((resolve) => void answers.push(() => resolve(OK)));
    });
    add(MAX_SPANS_PER_EXPORT + MAX_QUEUED_SPANS + 5);
    expect([sizes, counts['dropped']]).toEqual([[MAX_SPANS_PER_EXPORT], 5]);
    const flushed = exporter.flush();
    const rounds = 1 + MAX_QUEUED_SPANS / MAX_SPANS_PER_EXPORT;
    for (let round = 0; round < rounds; round++) {
      answers.shift()?.();
      await new Promise(setImmediate);
    }
    await flushed;
    expect(sizes).toEqual(Array.from({ length: rounds }, () => MAX_SPANS_PER_EXPORT));
    expect(counts['sent']).toBe(MAX_SPANS_PER_EXPORT + MAX_QUEUED_SPANS);
  });

  test('a collector that is away costs its spans, is given up in time, and is said once', async () => {
    let away = true;
    const { clock, counts, warnings, add } = exporting((_, signal) =>
      away
        ? new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason as Error));
          })
        : Promise.resolve(OK),
    );
    add(2);
    await clock.advance(SPAN_FLUSH_MS + 5_000);
    add(1);
    await clock.advance(SPAN_FLUSH_MS + 5_000);
    expect(counts).toEqual({ sent: 0, dropped: 0, failed: 3 });
    expect(warnings).toEqual(['no answer within 5000 ms']);
    away = false;
    add(1);
    await clock.advance(SPAN_FLUSH_MS);
    expect(counts).toEqual({ sent: 1, dropped: 0, failed: 3 });
  });
});

test('identifiers have their form, and differ', () => {
  const ids = randomIdentifiers();
  const made = Array.from({ length: 2_000 }, () => [ids.traceId(), ids.spanId()]).flat();
  expect(new Set(made).size).toBe(made.length);
  expect(made.every((id) => /^(?:[0-9a-f]{32}|[0-9a-f]{16})$/.test(id) && /[^0]/.test(id))).toBe(true);
  expect(isTracedBy(ids.requestId())).toBe(false);
  expect(isTracedBy(withDecision(ids.requestId(), true))).toBe(true);
  expect(withDecision(withDecision(UUID, true), false)).toBe(UUID);
});
