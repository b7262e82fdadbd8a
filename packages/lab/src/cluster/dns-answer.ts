/**
 * What the cluster's DNS says to pods outside the mesh: Services of `cluster.local`, and nothing else exists. Pure.
 *
 * `service.namespace.svc.cluster.local` is the ClusterIP, or the ready pods of a headless Service.
 */
import { familyOf } from '@ambit/core/ip';
import type { EndpointSlice, Service } from '@ambit/kube/resources/core';
import { SERVICE_LABEL } from './slices.ts';

export const CLUSTER_DOMAIN = 'cluster.local';

export type DnsResult =
  | { readonly kind: 'addresses'; readonly ips: readonly string[] }
  /** The name exists, and has nothing of the type asked for. */
  | { readonly kind: 'empty' }
  | { readonly kind: 'no-such-name' };

export interface DnsState {
  readonly service: (namespace: string, name: string) => Service | undefined;
  readonly slices: () => Iterable<EndpointSlice>;
}

export function answerFor(state: DnsState, question: string, type: string): DnsResult {
  const suffix = `.svc.${CLUSTER_DOMAIN}`;
  const name = question.toLowerCase().replace(/\.$/, '');
  if (!name.endsWith(suffix)) return { kind: 'no-such-name' };
  const [serviceName = '', namespace = '', ...rest] = name.slice(0, -suffix.length).split('.');
  const service = rest.length === 0 ? state.service(namespace, serviceName) : undefined;
  if (!service) return { kind: 'no-such-name' };
  const family = type === 'A' ? 4 : type === 'AAAA' ? 6 : undefined;
  const ips = addressesOf(state, service).filter((ip) => familyOf(ip) === family);
  return ips.length > 0 ? { kind: 'addresses', ips } : { kind: 'empty' };
}

function addressesOf(state: DnsState, { metadata, spec }: Service): readonly string[] {
  const { clusterIP = 'None', clusterIPs = [clusterIP] } = spec ?? {};
  if (clusterIP !== 'None') return clusterIPs;
  return [...state.slices()]
    .filter(
      (slice) =>
        slice.metadata.namespace === metadata.namespace &&
        slice.metadata.labels?.[SERVICE_LABEL] === metadata.name,
    )
    .flatMap((slice) => slice.endpoints ?? [])
    .filter((endpoint) => endpoint.conditions?.ready !== false)
    .flatMap((endpoint) => endpoint.addresses);
}
