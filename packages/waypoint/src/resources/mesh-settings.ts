/** The mesh's own settings, as far as a waypoint heeds them. */
import type { LocalityPreference } from './destination-policy.ts';
import type { Authorizer } from './authorizer.ts';
import type { HeaderField } from './header-field.ts';

export interface MeshSettings {
  readonly trustDomain: string;
  readonly trustDomainAliases: readonly string[];
  readonly rootNamespace: string;
  /** Empty: no access log unless a Telemetry asks for one. */
  readonly accessLogFile: string;
  readonly accessLogEncoding: 'TEXT' | 'JSON';
  /** Empty: Istio's. */
  readonly accessLogFormat: string;
  readonly extensionProviders: ReadonlyMap<string, ExtensionProvider>;
  readonly defaultTracingProviders: readonly string[];
  readonly defaultAccessLogProviders: readonly string[];
  readonly defaultMetricsProviders: readonly string[];
  readonly pathNormalization: PathNormalization;
  readonly connectTimeoutMs: number;
  /** Where neither a DestinationRule nor the Service says anything of localities. */
  readonly locality: LocalityPreference | undefined;
}

export type PathNormalization = 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES';

export type ExtensionProvider =
  | Authorizer
  | Tracer
  | FileAccessLog
  | { readonly kind: 'prometheus' }
  /** Of a kind that we do not know, or that could not be read: naming it fails closed where security depends on it. */
  | { readonly kind: 'unusable'; readonly problem: string };

export interface Tracer {
  readonly kind: 'opentelemetry' | 'zipkin';
  readonly service: string;
  readonly port: number;
  /** OpenTelemetry over HTTP, or Zipkin: the path. Empty: OpenTelemetry over gRPC. */
  readonly path: string;
  readonly timeoutMs: number;
  readonly headers: readonly HeaderField[];
  readonly maxTagLength: number;
}

export interface FileAccessLog {
  readonly kind: 'file-access-log';
  readonly path: string;
  /** With Envoy's % operators; empty when {@link json} has fields. */
  readonly text: string;
  readonly json: ReadonlyMap<string, string>;
}

/** Until the control plane has said anything; nothing is let through before that. */
export const DEFAULT_MESH_SETTINGS: MeshSettings = {
  trustDomain: 'cluster.local',
  trustDomainAliases: [],
  rootNamespace: 'istio-system',
  accessLogFile: '',
  accessLogEncoding: 'TEXT',
  accessLogFormat: '',
  extensionProviders: new Map(),
  defaultTracingProviders: [],
  defaultAccessLogProviders: [],
  defaultMetricsProviders: [],
  pathNormalization: 'BASE',
  connectTimeoutMs: 10_000,
  locality: undefined,
};

/** The provider of that name, if it authorizes. */
export function authorizerNamed({ extensionProviders }: MeshSettings, name: string): Authorizer | undefined {
  const provider = extensionProviders.get(name);
  return provider?.kind === 'ext-authz-http' || provider?.kind === 'ext-authz-grpc' ? provider : undefined;
}
