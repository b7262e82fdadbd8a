/**
 * Who a connection is between, as metrics and access logs tell it. Pure.
 *
 * What mesh state knows of a workload wins; for a source that mesh state does not know, the peer's certificate and baggage
 * stand in. A principal comes from a certificate and from nowhere else.
 */
import type { Baggage } from '@ambit/hbone/baggage';
import type { Service } from '@ambit/model/service';
import { parseIdentity, type Workload } from '@ambit/model/workload';

/** Why a connection ended, in Istio's letters; `-` is well. */
export type ResponseFlag =
  | '-'
  | 'DENY'
  | 'CONNECT'
  | 'TLS_FAILURE'
  | 'H2_HANDSHAKE_FAILURE'
  | 'NETWORK_POLICY'
  | 'IDENTITY_ERROR'
  | 'CERT_REVOKED';

/** One end. Empty text: not known. */
export interface Party {
  readonly workload: string;
  /** The instance's own name; access logs tell it, metrics do not. */
  readonly instance: string;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
  readonly namespace: string;
  /** `spiffe://…` that this end proved. */
  readonly principal: string;
  readonly cluster: string;
  /** `undefined` when mesh state does not know the workload. */
  readonly locality: { readonly region: string; readonly zone: string } | undefined;
}

export interface Traffic {
  readonly reporter: 'source' | 'destination';
  readonly source: Party;
  readonly destination: Party;
  /** The service that the client addressed, as far as this end can tell. */
  readonly service: Pick<Service, 'hostname' | 'namespace' | 'name'> | undefined;
  readonly mutualTls: boolean;
}

export const UNKNOWN_PARTY: Party = {
  workload: '',
  instance: '',
  canonicalService: '',
  canonicalRevision: '',
  namespace: '',
  principal: '',
  cluster: '',
  locality: undefined,
};

export function partyOf(workload: Workload, principal: string | undefined): Party {
  return {
    workload: workload.workloadName,
    instance: workload.name,
    canonicalService: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    namespace: workload.namespace,
    principal: principal ?? '',
    cluster: workload.clusterId,
    locality: workload.locality,
  };
}

/** A peer that mesh state does not know: its certificate says the namespace, its baggage the rest. */
export function partyOfPeer(baggage: Baggage | undefined, principal: string | undefined): Party {
  const namespace = principal === undefined ? undefined : parseIdentity(principal)?.namespace;
  return {
    ...UNKNOWN_PARTY,
    workload: baggage?.workloadName ?? '',
    canonicalService: baggage?.service ?? '',
    canonicalRevision: baggage?.revision ?? '',
    namespace: namespace ?? baggage?.namespace ?? '',
    principal: principal ?? '',
    cluster: baggage?.cluster ?? '',
  };
}

/** In the order of the samples; Istio's names. */
export const TRAFFIC_LABELS = [
  'reporter',
  'source_workload',
  'source_canonical_service',
  'source_canonical_revision',
  'source_workload_namespace',
  'source_principal',
  'source_app',
  'source_version',
  'source_cluster',
  'destination_service',
  'destination_service_namespace',
  'destination_service_name',
  'destination_workload',
  'destination_canonical_service',
  'destination_canonical_revision',
  'destination_workload_namespace',
  'destination_principal',
  'destination_app',
  'destination_version',
  'destination_cluster',
  'request_protocol',
  'response_flags',
  'connection_security_policy',
  'source_region',
  'source_zone',
  'destination_region',
  'destination_zone',
] as const;

/** Values for {@link TRAFFIC_LABELS}; an empty one leaves its label out. */
export function labelsOf(traffic: Traffic, flag: ResponseFlag): string[] {
  const { reporter, source, destination, service, mutualTls } = traffic;
  return [
    reporter,
    ...sideLabels(source),
    known(service?.hostname),
    known(service?.namespace),
    known(service?.name),
    ...sideLabels(destination),
    'tcp',
    flag,
    mutualTls ? 'mutual_tls' : 'unknown',
    ...localityLabels(source),
    ...localityLabels(destination),
  ];
}

function sideLabels(party: Party): string[] {
  const service = known(party.canonicalService);
  const revision = known(party.canonicalRevision);
  const identity = [known(party.namespace), known(party.principal)];
  return [known(party.workload), service, revision, ...identity, service, revision, known(party.cluster)];
}

function localityLabels({ locality }: Party): [string, string] {
  return locality ? [known(locality.region), known(locality.zone)] : ['', ''];
}

function known(value: string | undefined): string {
  return value === undefined || value === '' ? 'unknown' : value;
}
