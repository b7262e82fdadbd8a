/** Istio's labels of requests and connections, and their standard values. Pure. */
import { grpcStatusOf } from '../grpc-status.ts';
import { type AnyRecord, isRequest } from '../expression/attributes.ts';
import { type Party, UNKNOWN_PARTY } from '../party.ts';
import { isGrpc } from '../../grpc.ts';

const PARTIES_AND_SERVICE = [
  'reporter',
  'source_workload',
  'source_canonical_service',
  'source_canonical_revision',
  'source_workload_namespace',
  'source_principal',
  'source_app',
  'source_version',
  'source_cluster',
  'destination_workload',
  'destination_workload_namespace',
  'destination_principal',
  'destination_app',
  'destination_version',
  'destination_service',
  'destination_canonical_service',
  'destination_canonical_revision',
  'destination_service_name',
  'destination_service_namespace',
  'destination_cluster',
  'request_protocol',
] as const;

export const REQUEST_LABELS = [
  ...PARTIES_AND_SERVICE,
  'response_code',
  'grpc_response_status',
  'response_flags',
  'connection_security_policy',
] as const;

export const CONNECTION_LABELS = [
  ...PARTIES_AND_SERVICE,
  'response_flags',
  'connection_security_policy',
] as const;

export type LabelName = (typeof REQUEST_LABELS)[number];

const UNKNOWN = 'unknown';

/** The value of a label; '' leaves it out. */
export function standardLabel(label: LabelName, record: AnyRecord): string {
  const { source, destination = UNKNOWN_PARTY, service } = record;
  switch (label) {
    case 'reporter':
      return 'waypoint';
    case 'source_workload':
      return known(source.workload);
    case 'source_canonical_service':
      return known(source.canonicalService);
    case 'source_canonical_revision':
      return revision(source);
    case 'source_workload_namespace':
      return known(source.namespace);
    case 'source_principal':
      return known(source.principal);
    case 'source_app':
      return known(source.canonicalService);
    case 'source_version':
      return known(source.canonicalRevision);
    case 'source_cluster':
      return known(source.cluster);
    case 'destination_workload':
      return known(destination.workload);
    case 'destination_workload_namespace':
      return known(destination.namespace);
    case 'destination_principal':
      return known(destination.principal);
    case 'destination_app':
      return known(destination.canonicalService);
    case 'destination_version':
      return known(destination.canonicalRevision);
    case 'destination_service':
      return known(service?.hostname);
    case 'destination_canonical_service':
      return known(destination.canonicalService);
    case 'destination_canonical_revision':
      return revision(destination);
    case 'destination_service_name':
      return known(service?.name);
    case 'destination_service_namespace':
      return known(service?.namespace ?? destination.namespace);
    case 'destination_cluster':
      return known(destination.cluster);
    case 'request_protocol':
      return protocolOf(record);
    case 'response_code':
      return isRequest(record) ? String(record.status) : '';
    case 'grpc_response_status':
      return isRequest(record) ? String(grpcStatusOf(record) ?? '') : '';
    case 'response_flags':
      return record.flags;
    case 'connection_security_policy':
      return source.principal !== '' && destination.principal !== '' ? 'mutual_tls' : UNKNOWN;
  }
}

/** What tells series of the same two parties and service apart, besides computed labels. */
export function seriesKeyOf(record: AnyRecord): string {
  if (!isRequest(record)) return record.flags;
  const grpc = isGrpc(record.request.fields);
  return `${record.status} ${record.flags}${grpc ? ` ${grpcStatusOf(record) ?? ''}` : ''}`;
}

function protocolOf(record: AnyRecord): 'http' | 'grpc' | 'tcp' {
  if (!isRequest(record)) return 'tcp';
  return isGrpc(record.request.fields) ? 'grpc' : 'http';
}

function known(value: string | undefined): string {
  return value === undefined || value === '' ? UNKNOWN : value;
}

/** Without one it is the latest; of nobody, it is unknown. */
function revision(party: Party): string {
  if (party.canonicalRevision !== '') return party.canonicalRevision;
  return party.canonicalService === '' ? UNKNOWN : 'latest';
}
