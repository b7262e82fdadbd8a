import { describe, expect, test } from '@jest/globals';
import { createWaypointResource } from '@ambit/api/waypoint';
import { readMeshConfig } from '../mesh-config/read.ts';
import { waypointMeshSettings } from './mesh-settings.ts';

const settings = { trustDomain: 'td', rootNamespace: 'root' };
const settingsOf = (text: string) =>
  createWaypointResource('MeshSettings', waypointMeshSettings(readMeshConfig(text), settings));
const NOTHING = createWaypointResource('MeshSettings', {
  ...settings,
  defaultMetricsProviders: ['prometheus'],
});
const provider = (text: string) => settingsOf(`extensionProviders:\n- ${text}`).extensionProviders[0];

describe('what waypoints are told of the mesh', () => {
  test("nothing said: Istio's defaults", () => {
    expect(settingsOf('')).toEqual(NOTHING);
    expect(createWaypointResource('MeshSettings', waypointMeshSettings(undefined, settings))).toEqual(
      NOTHING,
    );
  });

  test('metrics are on unless they are turned off', () => {
    const metricsFor = (text: string) => settingsOf(text).defaultMetricsProviders;
    expect(metricsFor('defaultProviders: {tracing: [t]}')).toEqual(['prometheus']);
    expect(metricsFor('defaultProviders: {metrics: []}')).toEqual([]);
  });

  test('every setting', () => {
    const text = `
trustDomainAliases: [old]
accessLogFile: /dev/stdout
accessLogEncoding: JSON
accessLogFormat: "%PROTOCOL%"
defaultProviders: {tracing: [t], accessLogging: [l], metrics: [m]}
pathNormalization: {normalization: MERGE_SLASHES}
connectTimeout: 1.5s
outboundTrafficPolicy: {mode: REGISTRY_ONLY}
localityLbSetting:
  enabled: true
  distribute: [{from: r/*, to: {r/z/*: 80, s/*: 20}}]
  failoverPriority: [topology.kubernetes.io/region=r, version, topology.kubernetes.io/zone]
  added: later
`;
    expect(settingsOf(text)).toEqual({
      ...NOTHING,
      trustDomainAliases: ['old'],
      accessLogFile: '/dev/stdout',
      accessLogEncoding: 1,
      accessLogFormat: '%PROTOCOL%',
      defaultTracingProviders: ['t'],
      defaultAccessLogProviders: ['l'],
      defaultMetricsProviders: ['m'],
      pathNormalization: 'MERGE_SLASHES',
      connectTimeoutMs: 1_500,
      locality: {
        enabled: true,
        distribute: [
          {
            from: 'r/*',
            to: new Map([
              ['r/z/*', 80],
              ['s/*', 20],
            ]),
          },
        ],
        failover: [],
        // Waypoints are not told which workloads have a version.
        failoverPriority: ['topology.kubernetes.io/region=r'],
        labelValues: [],
      },
    });
  });

  const service = 'service: a/b.example.com, port: 80';
  const authorizer = {
    service: 'a/b.example.com',
    port: 80,
    timeoutMs: 0,
    failOpen: false,
    statusOnError: 0,
    maxRequestBytes: 0,
    allowPartialMessage: false,
    packAsBytes: false,
  };
  const tracer = {
    service: 'a/b.example.com',
    port: 80,
    path: '',
    timeoutMs: 0,
    headers: [],
    maxTagLength: 0,
  };
  const cases: Record<string, { text: string; want: unknown }> = {
    'an authorizer over HTTP': {
      text: `{name: p, envoyExtAuthzHttp: {${service}, timeout: 2s, pathPrefix: /check, failOpen: true, statusOnError: "503", includeRequestHeadersInCheck: [X-A], includeAdditionalHeadersInCheck: {X-B: c}, headersToUpstreamOnAllow: [X-U], headersToDownstreamOnDeny: [X-D], headersToDownstreamOnAllow: [X-E], includeRequestBodyInCheck: {maxRequestBytes: 9, allowPartialMessage: true, packAsBytes: true}}}`,
      want: {
        $case: 'extAuthzHttp',
        value: {
          ...authorizer,
          timeoutMs: 2_000,
          pathPrefix: '/check',
          failOpen: true,
          statusOnError: 503,
          includeRequestHeadersInCheck: ['x-a'],
          includeAdditionalHeadersInCheck: [{ name: 'x-b', value: 'c' }],
          headersToUpstreamOnAllow: ['x-u'],
          headersToDownstreamOnDeny: ['x-d'],
          headersToDownstreamOnAllow: ['x-e'],
          maxRequestBytes: 9,
          allowPartialMessage: true,
          packAsBytes: true,
        },
      },
    },
    'an authorizer over gRPC': {
      text: `{name: p, envoyExtAuthzGrpc: {${service}, statusOnError: no}}`,
      want: { $case: 'extAuthzGrpc', value: { ...authorizer, includeRequestHeadersInCheck: [] } },
    },
    'OpenTelemetry over gRPC': {
      text: `{name: p, opentelemetry: {${service}, maxTagLength: 9, grpc: {timeout: 1s, initialMetadata: [{name: A, value: b}]}}}`,
      want: {
        $case: 'opentelemetry',
        value: { ...tracer, maxTagLength: 9, timeoutMs: 1_000, headers: [{ name: 'a', value: 'b' }] },
      },
    },
    'OpenTelemetry over HTTP': {
      text: `{name: p, opentelemetry: {${service}, http: {}}}`,
      want: { $case: 'opentelemetry', value: { ...tracer, path: '/v1/traces' } },
    },
    Zipkin: {
      text: `{name: p, zipkin: {${service}, path: /spans}}`,
      want: { $case: 'zipkin', value: { ...tracer, path: '/spans' } },
    },
    'a header from the environment, which we do not read': {
      text: `{name: p, zipkin: {${service}, headers: [{name: a, envName: TOKEN}]}}`,
      want: { $case: 'unknown', value: 'headers from the environment' },
    },
    'a log as text': {
      text: '{name: p, envoyFileAccessLog: {path: /dev/stdout, logFormat: {text: "%PROTOCOL%"}}}',
      want: { $case: 'fileAccessLog', value: { path: '/dev/stdout', text: '%PROTOCOL%', json: new Map() } },
    },
    'a log as JSON': {
      text: '{name: p, envoyFileAccessLog: {logFormat: {labels: {a: "%PROTOCOL%", n: 1}}}}',
      want: {
        $case: 'fileAccessLog',
        value: {
          path: '',
          text: '',
          json: new Map([
            ['a', '%PROTOCOL%'],
            ['n', '1'],
          ]),
        },
      },
    },
    Prometheus: { text: '{name: p, prometheus: {}}', want: { $case: 'prometheus', value: true } },
    'a kind that we do not know': {
      text: '{name: p, stackdriver: {}}',
      want: { $case: 'unknown', value: 'stackdriver' },
    },
  };
  test.each(Object.entries(cases))('%s', (_, { text, want }) => {
    expect(provider(text)?.kind).toEqual(want);
  });

  test.each([
    [
      'an authorizer with a field that we do not know',
      `{name: p, envoyExtAuthzHttp: {${service}, only: [GET]}}`,
    ],
    ['an authorizer without a port', '{name: p, envoyExtAuthzGrpc: {service: a}}'],
    ['a timeout that is none', `{name: p, envoyExtAuthzGrpc: {${service}, timeout: soon}}`],
  ])('%s makes the text wrong', (_, text) => {
    expect(() => provider(text)).toThrow(/p\]\.timeout|is not a known field|is required/);
  });
});
