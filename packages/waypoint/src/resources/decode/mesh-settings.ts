/** The MeshSettings from their message. A provider that cannot be read is `unusable`, and takes nothing with it. */
import type {
  ExtAuthzGrpc as ExtAuthzGrpcMessage,
  ExtAuthzHttp as ExtAuthzHttpMessage,
  ExtensionProvider as ExtensionProviderMessage,
  MeshSettings as MeshSettingsMessage,
  Tracer as TracerMessage,
} from '@ambit/api/waypoint';
import { AccessLogEncoding } from '@ambit/api/waypoint';
import { messageOf } from '@ambit/core/errors';
import { atMost, nameOf, pick, portOf, Problem } from '@ambit/model/decode/problem';
import { MAX_AUTHORIZATION_BODY_BYTES, MAX_PARTS } from '../limits.ts';
import type {
  ExtAuthzGrpc,
  ExtAuthzHttp,
  ExtensionProvider,
  MeshSettings,
  PathNormalization,
  Tracer,
} from '../mesh-settings.ts';
import { localityOf } from './destination-policy.ts';
import { durationOf, headerFieldsOf, statusOf, textOf } from './read.ts';

/** Istio's, but for who authorizes: who hangs would hold each request for ten minutes there. */
const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
const DEFAULT_AUTHORIZATION_TIMEOUT_MS = 10_000;
const DEFAULT_TRACER_TIMEOUT_MS = 10_000;
const DEFAULT_MAX_TAG_LENGTH = 256;

const ENCODINGS = { [AccessLogEncoding.TEXT]: 'TEXT', [AccessLogEncoding.JSON]: 'JSON' } as const;

/** @throws {@link Problem} */
export function meshSettingsOf(message: MeshSettingsMessage): MeshSettings {
  const names = (texts: readonly string[], field: string) =>
    atMost(texts, MAX_PARTS, field).map((text) => nameOf(text, field));
  return {
    trustDomain: nameOf(message.trustDomain, 'trustDomain') || 'cluster.local',
    trustDomainAliases: names(message.trustDomainAliases, 'trustDomainAliases'),
    rootNamespace: nameOf(message.rootNamespace, 'rootNamespace') || 'istio-system',
    accessLogFile: nameOf(message.accessLogFile, 'accessLogFile'),
    accessLogEncoding: pick(ENCODINGS, message.accessLogEncoding, 'accessLogEncoding'),
    accessLogFormat: textOf(message.accessLogFormat, 'accessLogFormat'),
    extensionProviders: new Map(
      atMost(message.extensionProviders, MAX_PARTS, 'extensionProviders').map((provider) => [
        nameOf(provider.name, 'extensionProviders'),
        providerOf(provider),
      ]),
    ),
    defaultTracingProviders: names(message.defaultTracingProviders, 'defaultTracingProviders'),
    defaultAccessLogProviders: names(message.defaultAccessLogProviders, 'defaultAccessLogProviders'),
    defaultMetricsProviders: names(message.defaultMetricsProviders, 'defaultMetricsProviders'),
    pathNormalization: normalizationOf(message.pathNormalization),
    connectTimeoutMs: durationOf(message.connectTimeoutMs, 'connectTimeout') ?? DEFAULT_CONNECT_TIMEOUT_MS,
    allowAnyOutbound: message.allowAnyOutbound,
    locality: message.locality && localityOf(message.locality),
  };
}

const NORMALIZATIONS: readonly PathNormalization[] = [
  'NONE',
  'BASE',
  'MERGE_SLASHES',
  'DECODE_AND_MERGE_SLASHES',
];

function normalizationOf(text: string): PathNormalization {
  if (text === '' || text === 'DEFAULT') return 'BASE';
  const found = NORMALIZATIONS.find((known) => known === text);
  if (found === undefined) throw new Problem(`pathNormalization: ${text} is not known`);
  return found;
}

function providerOf(message: ExtensionProviderMessage): ExtensionProvider {
  try {
    return readableProviderOf(message);
  } catch (error) {
    return { kind: 'unusable', problem: messageOf(error) };
  }
}

function readableProviderOf({ name, kind }: ExtensionProviderMessage): ExtensionProvider {
  switch (kind?.$case) {
    case 'extAuthzHttp':
      return extAuthzHttpOf(kind.value);
    case 'extAuthzGrpc':
      return extAuthzGrpcOf(kind.value);
    case 'opentelemetry':
    case 'zipkin':
      return tracerOf(kind.$case, kind.value);
    case 'fileAccessLog':
      return {
        kind: 'file-access-log',
        path: nameOf(kind.value.path, 'path'),
        text: textOf(kind.value.text, 'text'),
        json: new Map(kind.value.json),
      };
    case 'prometheus':
      return { kind: 'prometheus' };
    case 'unknown':
      return {
        kind: 'unusable',
        problem: `${name} is a provider of a kind that is not supported: ${kind.value}`,
      };
    case undefined:
      return { kind: 'unusable', problem: `${name} is a provider of a kind that is not known` };
    default:
      return kind satisfies never;
  }
}

/** What both kinds of external authorization have. */
function extAuthzOf(message: ExtAuthzHttpMessage | ExtAuthzGrpcMessage): Omit<ExtAuthzGrpc, 'kind'> {
  return {
    service: serviceOf(message.service),
    port: portOf(message.port, 'port'),
    timeoutMs: durationOf(message.timeoutMs, 'timeout') ?? DEFAULT_AUTHORIZATION_TIMEOUT_MS,
    failOpen: message.failOpen,
    statusOnError: message.statusOnError === 0 ? 403 : statusOf(message.statusOnError, 'statusOnError'),
    maxRequestBytes: Math.min(message.maxRequestBytes, MAX_AUTHORIZATION_BODY_BYTES),
    allowPartialMessage: message.allowPartialMessage,
    packAsBytes: message.packAsBytes,
  };
}

function extAuthzGrpcOf(message: ExtAuthzGrpcMessage): ExtAuthzGrpc {
  return { kind: 'ext-authz-grpc', ...extAuthzOf(message) };
}

function extAuthzHttpOf(message: ExtAuthzHttpMessage): ExtAuthzHttp {
  const { packAsBytes: _, ...common } = extAuthzOf(message);
  const prefix = textOf(message.pathPrefix, 'pathPrefix');
  if (!/^[\x21-\x7e]*$/.test(prefix)) throw new Problem(`pathPrefix: ${prefix} is no path`);
  return {
    kind: 'ext-authz-http',
    ...common,
    pathPrefix: prefix,
    includeRequestHeadersInCheck: headerPatternsOf(message.includeRequestHeadersInCheck),
    includeAdditionalHeadersInCheck: headerFieldsOf(
      message.includeAdditionalHeadersInCheck,
      'includeAdditionalHeadersInCheck',
    ),
    headersToUpstreamOnAllow: headerPatternsOf(message.headersToUpstreamOnAllow),
    headersToDownstreamOnDeny: headerPatternsOf(message.headersToDownstreamOnDeny),
    headersToDownstreamOnAllow: headerPatternsOf(message.headersToDownstreamOnAllow),
  };
}

/** Names of headers, or a prefix or suffix of them with `*`. */
function headerPatternsOf(patterns: readonly string[]): readonly string[] {
  return atMost(patterns, MAX_PARTS, 'headers').map((text) => {
    const pattern = nameOf(text, 'headers').toLowerCase();
    if (!/^\*?[!#$%&'+\-.^_`|~0-9a-z]*\*?$/.test(pattern))
      throw new Problem(`headers: ${text} is no header name`);
    return pattern;
  });
}

function serviceOf(service: string): string {
  if (service === '') throw new Problem('service: missing');
  return nameOf(service, 'service').toLowerCase();
}

function tracerOf(kind: Tracer['kind'], message: TracerMessage): Tracer {
  return {
    kind,
    service: serviceOf(message.service),
    port: portOf(message.port, 'port'),
    path: textOf(message.path, 'path'),
    timeoutMs: durationOf(message.timeoutMs, 'timeout') ?? DEFAULT_TRACER_TIMEOUT_MS,
    headers: headerFieldsOf(message.headers, 'headers'),
    maxTagLength: message.maxTagLength || DEFAULT_MAX_TAG_LENGTH,
  };
}
