/** The MeshSettings from their message. A provider that cannot be read is `unusable`, and takes nothing with it. */
import type {
  ExtensionProvider as ExtensionProviderMessage,
  MeshSettings as MeshSettingsMessage,
  Tracer as TracerMessage,
} from '@ambit/api/waypoint';
import { AccessLogEncoding } from '@ambit/api/waypoint';
import { messageOf } from '@ambit/core/errors';
import { atMost, nameOf, pick, portOf, Problem } from '@ambit/model/decode/problem';
import { MAX_PARTS } from '../limits.ts';
import type { ExtensionProvider, MeshSettings, PathNormalization, Tracer } from '../mesh-settings.ts';
import { extAuthzGrpcOf, extAuthzHttpOf, serviceOf } from './authorizer.ts';
import { localityOf } from './destination-policy.ts';
import { durationOf, headerFieldsOf, textOf } from './read.ts';

/** Istio's. */
const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
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
