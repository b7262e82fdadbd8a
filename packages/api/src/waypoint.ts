/**
 * What a waypoint enforces, as our control plane sends it (ambit.waypoint.v1): the messages and their bytes.
 *
 * One table of types instead of a function for each: both ends treat them alike, and what is added is added here once.
 */
import { decodeBounded, encodeWhole, type MessageFields } from './codec.ts';
import * as messages from './gen/ambit/waypoint.ts';
import { MAX_WAYPOINT_RESOURCE_BYTES } from './limits.ts';

export type {
  AccessLogRule,
  AuthorizationCondition,
  AuthorizationOperation,
  AuthorizationPolicy,
  AuthorizationRule,
  AuthorizationSource,
  ClaimToHeader,
  ConnectionPool,
  ConsistentHash,
  Cors,
  CustomTag,
  DestinationPolicy,
  DirectResponse,
  ExtAuthzGrpc,
  ExtAuthzHttp,
  ExtensionProvider,
  ExternalAuth,
  Fault,
  Field,
  FileAccessLog,
  HashCookie,
  HeaderChange,
  HealthCheck,
  HttpBackend,
  HttpFilter,
  HttpMatch,
  HttpRoute,
  HttpRule,
  JwtHeader,
  JwtRule,
  LoadBalancer,
  LocalityFailover,
  LocalityPreference,
  LocalityShare,
  MeshSettings,
  MetricOverride,
  MetricsRule,
  Mirror,
  NamedMatch,
  Origin,
  OutlierDetection,
  PathChange,
  PathMatch,
  PolicyTarget,
  PortPolicy,
  Redirect,
  RegexRewrite,
  RequestAuthentication,
  RetryBudget,
  RetryPolicy,
  Rewrite,
  ServicePort,
  SessionPersistence,
  StreamBackend,
  StreamRoute,
  StreamRule,
  StringMatch,
  Subset,
  TagOverride,
  Telemetry,
  Tracer,
  TracingRule,
  TrafficPolicy,
  UpstreamTls,
} from './gen/ambit/waypoint.ts';

/** The enumerations, under names of their own. */
export const AuthorizationAction = messages.AuthorizationPolicy_Action;
export type AuthorizationAction = messages.AuthorizationPolicy_Action;
export const Http2Upgrade = messages.ConnectionPool_Upgrade;
export type Http2Upgrade = messages.ConnectionPool_Upgrade;
export const HashAlgorithm = messages.ConsistentHash_Algorithm;
export type HashAlgorithm = messages.ConsistentHash_Algorithm;
export const SimpleLoadBalancer = messages.LoadBalancer_Simple;
export type SimpleLoadBalancer = messages.LoadBalancer_Simple;
export const AccessLogEncoding = messages.MeshSettings_Encoding;
export type AccessLogEncoding = messages.MeshSettings_Encoding;
export const SessionKind = messages.SessionPersistence_Kind;
export type SessionKind = messages.SessionPersistence_Kind;

/** Envoy's words for what is retried. */
export const RETRY_WORDS = [
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'envoy-ratelimited',
  'refused-stream',
  'retriable-4xx',
  'retriable-headers',
  'retriable-status-codes',
  'http3-post-connect-failure',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
] as const;
export type RetryWord = (typeof RETRY_WORDS)[number];

/** @returns `undefined` if `text` is none. */
export function retryWordOf(text: string): RetryWord | undefined {
  return RETRY_WORDS.find((word) => word === text);
}

/** The status codes of gRPC, by number. */
export const GRPC_STATUSES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;
export type GrpcStatus = (typeof GRPC_STATUSES)[number];

/** The number of the status with this name, in whichever case, as faults name it; `undefined` if `name` is none. */
export function grpcStatusNumber(name: string): number | undefined {
  const number = (GRPC_STATUSES as readonly string[]).indexOf(name.toUpperCase());
  return number < 0 ? undefined : number;
}

/** Every resource type of a waypoint's own, by its message's name. */
export interface WaypointResources {
  readonly MeshSettings: messages.MeshSettings;
  readonly HttpRoute: messages.HttpRoute;
  readonly StreamRoute: messages.StreamRoute;
  readonly DestinationPolicy: messages.DestinationPolicy;
  readonly AuthorizationPolicy: messages.AuthorizationPolicy;
  readonly RequestAuthentication: messages.RequestAuthentication;
  readonly Telemetry: messages.Telemetry;
}

export type WaypointResourceKind = keyof WaypointResources;

type Codecs = { readonly [Kind in WaypointResourceKind]: Codec<WaypointResources[Kind]> };

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
  fromPartial(fields: WaypointFields<T>): T;
}

const CODECS: Codecs = {
  MeshSettings: messages.MeshSettings,
  HttpRoute: messages.HttpRoute,
  StreamRoute: messages.StreamRoute,
  DestinationPolicy: messages.DestinationPolicy,
  AuthorizationPolicy: messages.AuthorizationPolicy,
  RequestAuthentication: messages.RequestAuthentication,
  Telemetry: messages.Telemetry,
};

/** In the order to ask for them: what restricts comes before what routes. */
export const WAYPOINT_RESOURCE_KINDS: readonly WaypointResourceKind[] = [
  'MeshSettings',
  'AuthorizationPolicy',
  'RequestAuthentication',
  'DestinationPolicy',
  'HttpRoute',
  'StreamRoute',
  'Telemetry',
];

/** The one name of a {@link messages.MeshSettings}. */
export const MESH_SETTINGS_NAME = 'default';

export function waypointTypeUrl(kind: WaypointResourceKind): string {
  return `type.googleapis.com/ambit.waypoint.v1.${kind}`;
}

/** @throws {@link ProtobufError} */
export function decodeWaypointResource<Kind extends WaypointResourceKind>(
  kind: Kind,
  bytes: Uint8Array,
): WaypointResources[Kind] {
  return decodeBounded(CODECS[kind], `ambit.waypoint.v1.${kind}`, MAX_WAYPOINT_RESOURCE_BYTES, bytes);
}

export function encodeWaypointResource<Kind extends WaypointResourceKind>(
  kind: Kind,
  resource: WaypointResources[Kind],
): Uint8Array {
  return encodeWhole(CODECS[kind], resource);
}

/** Some fields of a resource, at any depth. */
export type WaypointFields<T> = MessageFields<T>;

/** A resource with these fields, and every other one empty, at any depth. */
export function createWaypointResource<Kind extends WaypointResourceKind>(
  kind: Kind,
  fields: WaypointFields<WaypointResources[Kind]>,
): WaypointResources[Kind] {
  return CODECS[kind].fromPartial(fields);
}
