/**
 * What expressions may name, of a request or connection that has ended: the names of Envoy and Istio. Pure.
 *
 * docs/operate/telemetry.md lists them for users.
 */
import { fieldValue } from '@ambit/http/header-fields';
import { parseHostPort } from '@ambit/core/ip';
import type { NameOfAny, NameOfParty, NameOfRequest } from '@ambit/model/expression/names';
import { protocolOf } from '../../decide/request-view.ts';
import { grpcStatusOf } from '../grpc-status.ts';
import { type Party, UNKNOWN_PARTY } from '../party.ts';
import type { ConnectionRecord, RequestRecord } from '../record.ts';
import { flagBits } from '../response-flags.ts';
import { clusterNameOf } from '../upstream-cluster.ts';
import type { Attributes, Evaluate, Value } from '@ambit/model/expression/compile';

/** Who the waypoint itself is: what `node` names. */
export interface LocalNames {
  /** Envoy's node id. */
  readonly id: string;
  /** `name.namespace`. */
  readonly cluster: string;
  readonly namespace: string;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
  readonly meshId: string;
  readonly clusterId: string;
  /** Canonical; '' when it is not known. */
  readonly ip: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export type AnyRecord = RequestRecord | ConnectionRecord;
type Read = Evaluate<AnyRecord>;

const ANY: Readonly<Record<NameOfAny, (record: AnyRecord) => Value>> = {
  'connection.id': (record) => record.connectionId,
  'connection.mtls': (record) => record.source.principal !== '',
  'connection.requested_server_name': (record) => filled(record.serverName),
  'connection.uri_san_peer_certificate': (record) => filled(record.source.principal),
  'connection.uri_san_local_certificate': (record) => filled(record.destination?.principal),
  'source.address': (record) => filled(record.addresses.downstreamRemote),
  'source.port': (record) => portOf(record.addresses.downstreamRemote),
  'destination.address': (record) => filled(record.addresses.downstreamLocal),
  'destination.port': (record) => portOf(record.addresses.downstreamLocal),
  'upstream.address': (record) => filled(record.addresses.upstream),
  'upstream.port': (record) => portOf(record.addresses.upstream),
  'upstream.local_address': (record) => filled(record.addresses.upstreamLocal),
  'upstream.transport_failure_reason': (record) => filled(record.transportFailure),
  'upstream.uri_san_peer_certificate': (record) => filled(record.destination?.principal),
  'xds.route_name': (record) => filled(record.routeName),
  'xds.cluster_name': (record) => filled(clusterNameOf(record)),
  'response.flags': (record) => flagBits(record.flags),
};

const OF_REQUEST: Readonly<Record<NameOfRequest, (record: RequestRecord) => Value>> = {
  'request.path': (record) => (record.sent ?? record.request).path,
  'request.url_path': (record) => (record.sent ?? record.request).path.replace(/\?.*$/s, ''),
  'request.query': (record) => /\?(.*)$/s.exec((record.sent ?? record.request).path)?.[1] ?? '',
  'request.host': (record) => (record.sent ?? record.request).authority,
  'request.scheme': (record) => record.request.scheme,
  'request.method': (record) => record.request.method,
  'request.protocol': ({ request }) => protocolOf(request),
  'request.id': (record) => filled(record.begun.requestId),
  'request.referer': (record) => fieldValue(record.request.fields, 'referer'),
  'request.useragent': (record) => fieldValue(record.request.fields, 'user-agent'),
  'request.duration': (record) => record.durationMs,
  'request.size': (record) => record.requestBodyBytes,
  'request.total_size': (record) => record.requestBodyBytes + record.requestHeaderBytes,
  'response.code': (record) => (record.status === 0 ? undefined : record.status),
  'response.code_details': (record) => filled(record.details),
  'response.grpc_status': (record) => grpcStatusOf(record),
  'response.size': (record) => record.responseBodyBytes,
  'response.total_size': (record) => record.responseBodyBytes + record.responseHeaderBytes,
  'response.backend_latency': (record) => record.upstreamMs,
  'connection.termination_details': (record) => filled(record.terminationDetails),
  'upstream.request_attempt_count': (record) => record.attempts,
};

const OF_PARTY: Readonly<Record<NameOfParty, (party: Party) => string>> = {
  name: (party) => party.instance,
  workload: (party) => party.workload,
  type: (party) => party.workloadType,
  namespace: (party) => party.namespace,
  service: (party) => party.canonicalService,
  revision: (party) => party.canonicalRevision,
  app: (party) => party.canonicalService,
  version: (party) => party.canonicalRevision,
  cluster: (party) => party.cluster,
  principal: (party) => party.principal,
};

/** Those of {@link AnyRecord}; what only a request has is missing of a connection. */
export function recordAttributes(local: LocalNames): Attributes<AnyRecord> {
  return (path) => attributeOf(path, local);
}

function attributeOf(path: readonly string[], local: LocalNames): Read | undefined {
  const [root = '', second = '', third] = path;
  const name = path.join('.');
  if (path.length === 2) {
    const any = own(ANY, name);
    if (any) return any;
    const ofRequest = own(OF_REQUEST, name);
    if (ofRequest) return (record) => (isRequest(record) ? ofRequest(record) : undefined);
  }
  if (path.length === 3 && third !== undefined) {
    if (name.startsWith('request.headers.')) return requestField(third.toLowerCase());
    if (name.startsWith('response.headers.')) return responseField(third.toLowerCase());
    if (name.startsWith('response.trailers.')) return trailerField(third.toLowerCase());
    if (root === 'filter_state' && second === 'downstream_peer') return partyField(third, (r) => r.source);
    if (root === 'filter_state' && second === 'upstream_peer') return partyField(third, (r) => r.destination);
  }
  return root === 'node' ? nodeField(path.slice(1), local) : undefined;
}

function requestField(name: string): Read {
  return (record) => {
    if (!isRequest(record)) return undefined;
    const { authority, path, fields } = record.sent ?? record.request;
    if (name === ':authority') return authority;
    if (name === ':path') return path;
    if (name === ':method') return record.request.method;
    return name === ':scheme' ? record.request.scheme : fieldValue(fields, name);
  };
}

function responseField(name: string): Read {
  return (record) => (isRequest(record) ? fieldValue(record.responseFields, name) : undefined);
}

function trailerField(name: string): Read {
  return (record) => (isRequest(record) && record.trailers ? fieldValue(record.trailers, name) : undefined);
}

function partyField(name: string, partyOf: (record: AnyRecord) => Party | undefined): Read | undefined {
  const read = own(OF_PARTY, name);
  return read && ((record) => filled(read(partyOf(record) ?? UNKNOWN_PARTY)));
}

function nodeField(path: readonly string[], local: LocalNames): Read | undefined {
  const [name = '', key] = path;
  const { id, cluster, metadata } = local;
  if (path.length === 1) {
    const value = name === 'id' ? id : name === 'cluster' ? cluster : undefined;
    return value === undefined ? undefined : () => value;
  }
  if (path.length !== 2 || name !== 'metadata' || key === undefined) return undefined;
  const value = Object.hasOwn(metadata, key) ? metadata[key] : undefined;
  return () => value;
}

export function isRequest(record: AnyRecord): record is RequestRecord {
  return 'request' in record;
}

function filled(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

function portOf(address: string): number | undefined {
  return parseHostPort(address)?.port;
}

function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
