/** What is told of a traced request: Envoy's and Istio's tags under their names. Pure. */
import { fieldValue } from '@ambit/http/header-fields';
import { parseHostPort } from '@ambit/core/ip';
import type { LocalNames } from '../expression/attributes.ts';
import { protocolOf } from '../../decide/request-view.ts';
import { grpcStatusOf } from '../grpc-status.ts';
import { type Party, UNKNOWN_PARTY } from '../party.ts';
import { grpcField, isGrpc } from '../../grpc.ts';
import type { RequestRecord } from '../record.ts';
import { clusterNameOf } from '../upstream-cluster.ts';
import type { StartedSpan } from '../begun.ts';
import type { TracingPlan } from './tracing-plan.ts';

/** A finished span, as any exporter tells it. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  /** '' at the root. */
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
  readonly durationMs: number;
  /** In order; a name stands once. */
  readonly tags: readonly (readonly [name: string, value: string])[];
  readonly isError: boolean;
}

const DEFAULT_PATH_CHARS = 256;

export function spanOf(
  record: RequestRecord,
  started: StartedSpan,
  plan: TracingPlan,
  local: LocalNames,
): Span {
  const { service, servicePort } = record;
  const tags = new Map<string, string>();
  for (const [name, value] of [
    ...requestTags(record, local),
    ...(plan.istioTags ? istioTags(record, local) : []),
    ...customTags(record, plan),
  ])
    if (value !== '')
      tags.set(name, value.length > plan.maxTagLength ? value.slice(0, plan.maxTagLength) : value);
  return {
    ...started,
    name: service ? `${service.hostname}:${servicePort}/*` : record.request.authority || 'unknown',
    startedAtMs: record.startedAtMs,
    durationMs: record.durationMs,
    tags: [...tags],
    isError: isError(record),
  };
}

function istioTags({ source, destination = UNKNOWN_PARTY }: RequestRecord, local: LocalNames): Tags {
  return [...partyTags('source', source), ...partyTags('destination', destination), ...localTags(local)];
}

type Tags = readonly (readonly [name: string, value: string])[];

function requestTags(record: RequestRecord, local: LocalNames): Tags {
  const { request, addresses, flags, status } = record;
  const path = request.path.slice(0, DEFAULT_PATH_CHARS);
  return [
    ['component', 'proxy'],
    ['node_id', local.id],
    ['guid:x-request-id', record.begun.requestId],
    ['http.url', `${request.scheme}://${request.authority}${path}`],
    ['http.method', request.method],
    ['http.protocol', protocolOf(record.request)],
    ['user_agent', fieldValue(request.fields, 'user-agent') ?? '-'],
    ['peer.address', parseHostPort(addresses.downstreamRemote)?.ip ?? addresses.downstreamRemote],
    ['downstream_cluster', fieldValue(request.fields, 'x-envoy-downstream-service-cluster') ?? '-'],
    ['upstream_address', addresses.upstream],
    ['upstream_cluster', clusterNameOf(record)],
    ['upstream_cluster.name', clusterNameOf(record)],
    ['http.status_code', String(status)],
    ['request_size', String(record.requestBodyBytes)],
    ['response_size', String(record.responseBodyBytes)],
    ['response_flags', flags],
    ...(isError(record) ? ([['error', 'true']] as const) : []),
    ...grpcTags(record),
  ];
}

function grpcTags(record: RequestRecord): Tags {
  const { request, trailers, responseFields } = record;
  if (!isGrpc(request.fields)) return [];
  const message = grpcField({ fields: responseFields, trailers }, 'grpc-message');
  return [
    ['grpc.path', request.path],
    ['grpc.authority', request.authority],
    ['grpc.content_type', fieldValue(request.fields, 'content-type') ?? ''],
    ['grpc.timeout', fieldValue(request.fields, 'grpc-timeout') ?? ''],
    ['grpc.status_code', String(grpcStatusOf(record) ?? '')],
    ['grpc.message', message ?? ''],
  ];
}

function partyTags(side: 'source' | 'destination', party: Party): Tags {
  return [
    [`istio.${side}_workload`, party.workload],
    [`istio.${side}_namespace`, party.namespace],
    [`istio.${side}_cluster_id`, party.cluster],
    [`istio.${side}_canonical_service`, party.canonicalService],
    [`istio.${side}_canonical_revision`, party.canonicalRevision],
    [`istio.${side}_app`, party.canonicalService],
    [`istio.${side}_app_version`, party.canonicalRevision],
    [`istio.${side}_workload_type`, party.workloadType],
    [`istio.${side}_instance_name`, party.instance],
  ];
}

function localTags({ canonicalService, canonicalRevision, meshId, namespace, clusterId }: LocalNames): Tags {
  return [
    ['istio.canonical_service', canonicalService],
    ['istio.canonical_revision', canonicalRevision],
    ['istio.mesh_id', meshId],
    ['istio.namespace', namespace],
    ['istio.cluster_id', clusterId],
  ];
}

function customTags({ request }: RequestRecord, { customTags: tags }: TracingPlan): Tags {
  return tags.map((tag) =>
    tag.kind === 'literal'
      ? ([tag.name, tag.value] as const)
      : ([tag.name, fieldValue(request.fields, tag.header) ?? tag.otherwise] as const),
  );
}

/** As Envoy has it: no answer, one of 500 and more, or a gRPC status that is a server's fault. */
function isError(record: RequestRecord): boolean {
  if (record.status === 0 || record.status >= 500) return true;
  const grpc = grpcStatusOf(record);
  return grpc !== undefined && SERVER_FAULTS.has(grpc);
}

/** Unknown, deadline exceeded, unimplemented, internal, unavailable, data loss. */
const SERVER_FAULTS: ReadonlySet<number> = new Set([2, 4, 12, 13, 14, 15]);
