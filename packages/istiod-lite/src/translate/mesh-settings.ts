/** The mesh's settings as waypoints are sent them. Pure. */
import {
  AccessLogEncoding,
  type ExtensionProvider as WireProvider,
  type ExtAuthzGrpc,
  type MeshSettings as Wire,
  type WaypointFields,
} from '@ambit/api/waypoint';
import type { ExtensionProvider } from '../mesh-config/providers.ts';
import type { MeshConfig } from '../mesh-config/read.ts';
import { meshLocality } from './destinations/traffic-policy.ts';
import { wireDurationMs } from './go-duration.ts';
import type { MeshSettings } from './settings.ts';

/** As Istio's chart has it, whatever else is said; an empty list turns metrics off. */
const DEFAULT_METRICS_PROVIDERS = ['prometheus'];

/** @param config - Undefined: none that could be read. */
export function waypointMeshSettings(
  config: MeshConfig = {},
  { trustDomain, rootNamespace }: Pick<MeshSettings, 'trustDomain' | 'rootNamespace'>,
): WaypointFields<Wire> {
  const { defaultProviders = {}, pathNormalization } = config;
  const normalization = pathNormalization?.normalization ?? 'DEFAULT';
  return {
    trustDomain,
    rootNamespace,
    trustDomainAliases: config.trustDomainAliases ?? [],
    accessLogFile: config.accessLogFile ?? '',
    accessLogEncoding: AccessLogEncoding[config.accessLogEncoding === 'JSON' ? 'JSON' : 'TEXT'],
    accessLogFormat: config.accessLogFormat ?? '',
    extensionProviders: (config.extensionProviders ?? []).map(providerOf),
    defaultTracingProviders: defaultProviders.tracing ?? [],
    defaultAccessLogProviders: defaultProviders.accessLogging ?? [],
    defaultMetricsProviders: defaultProviders.metrics ?? DEFAULT_METRICS_PROVIDERS,
    pathNormalization: normalization === 'DEFAULT' ? '' : normalization,
    connectTimeoutMs: wireDurationMs(config.connectTimeout),
    ...(config.localityLbSetting && { locality: meshLocality(config.localityLbSetting) }),
  };
}

function providerOf(provider: ExtensionProvider): WaypointFields<WireProvider> {
  return { name: provider.name, kind: kindOf(provider) };
}

function kindOf(provider: ExtensionProvider): NonNullable<WaypointFields<WireProvider>['kind']> {
  const { envoyExtAuthzHttp: http, envoyExtAuthzGrpc: grpc, opentelemetry, zipkin } = provider;
  if (http)
    return {
      $case: 'extAuthzHttp',
      value: {
        ...authorizer(http),
        pathPrefix: http.pathPrefix ?? '',
        includeRequestHeadersInCheck: lower(http.includeRequestHeadersInCheck ?? http.includeHeadersInCheck),
        includeAdditionalHeadersInCheck: Object.entries(http.includeAdditionalHeadersInCheck ?? {}).map(
          ([name, value]) => ({ name: name.toLowerCase(), value }),
        ),
        headersToUpstreamOnAllow: lower(http.headersToUpstreamOnAllow),
        headersToDownstreamOnDeny: lower(http.headersToDownstreamOnDeny),
        headersToDownstreamOnAllow: lower(http.headersToDownstreamOnAllow),
      },
    };
  if (grpc) return { $case: 'extAuthzGrpc', value: authorizer(grpc) };
  if (opentelemetry) {
    const { service, port, maxTagLength = 0, http: overHttp, grpc: overGrpc } = opentelemetry;
    const headers = overHttp?.headers ?? overGrpc?.initialMetadata ?? [];
    if (headers.some(takesFromEnvironment)) return UNSUPPORTED_HEADERS;
    return {
      $case: 'opentelemetry',
      value: {
        service,
        port,
        maxTagLength,
        path: overHttp ? overHttp.path || DEFAULT_OTLP_PATH : '',
        timeoutMs: wireDurationMs(overHttp?.timeout ?? overGrpc?.timeout),
        headers: headers.map(fieldOf),
      },
    };
  }
  if (zipkin) {
    const { service, port, maxTagLength = 0, path = '', timeout, headers = [] } = zipkin;
    if (headers.some(takesFromEnvironment)) return UNSUPPORTED_HEADERS;
    const timeoutMs = wireDurationMs(timeout);
    return {
      $case: 'zipkin',
      value: { service, port, maxTagLength, path, timeoutMs, headers: headers.map(fieldOf) },
    };
  }
  if (provider.envoyFileAccessLog) return fileAccessLog(provider.envoyFileAccessLog);
  if (provider.prometheus) return { $case: 'prometheus', value: true };
  return { $case: 'unknown', value: Object.keys(provider).find((key) => key !== 'name') ?? 'nothing' };
}

const DEFAULT_OTLP_PATH = '/v1/traces';
const UNSUPPORTED_HEADERS = { $case: 'unknown', value: 'headers from the environment' } as const;

type Authorizer = NonNullable<ExtensionProvider['envoyExtAuthzGrpc']>;

function authorizer(given: Authorizer): WaypointFields<ExtAuthzGrpc> {
  const { service, port, timeout, failOpen = false, statusOnError = '', includeRequestBodyInCheck } = given;
  const {
    maxRequestBytes = 0,
    allowPartialMessage = false,
    packAsBytes = false,
  } = includeRequestBodyInCheck ?? {};
  return {
    service,
    port,
    timeoutMs: wireDurationMs(timeout),
    failOpen,
    statusOnError: /^[1-5][0-9]{2}$/.test(statusOnError) ? Number(statusOnError) : 0,
    maxRequestBytes,
    allowPartialMessage,
    packAsBytes,
  };
}

function fileAccessLog({
  path = '',
  logFormat = {},
}: NonNullable<ExtensionProvider['envoyFileAccessLog']>): NonNullable<WaypointFields<WireProvider>['kind']> {
  const labels = Object.entries(logFormat.labels ?? {});
  return {
    $case: 'fileAccessLog',
    value: {
      path,
      text: logFormat.text ?? '',
      json: new Map(
        labels.map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
      ),
    },
  };
}

interface Header {
  readonly name: string;
  readonly value?: string;
  readonly envName?: string;
}

function takesFromEnvironment({ envName }: Header): boolean {
  return envName !== undefined;
}

function fieldOf({ name, value = '' }: Header): { readonly name: string; readonly value: string } {
  return { name: name.toLowerCase(), value };
}

function lower(names: readonly string[] = []): readonly string[] {
  return names.map((name) => name.toLowerCase());
}
