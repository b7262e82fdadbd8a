/** Which service is meant when several share a VIP, an address block or a hostname. */
import { type Cidr, cidrContains } from '@ambit/core/ip';
import type { Service } from './service.ts';

/** Whether a client of `clientNamespace` may use the service at all; an unknown client may. */
export function isVisible(service: Service, clientNamespace: string | undefined): boolean {
  return (
    service.visibility === 'Public' || clientNamespace === undefined || service.namespace === clientNamespace
  );
}

/**
 * The client's own namespace first, then the last canonical one, then the preferred namespace, then the first.
 *
 * @param candidates - In order of arrival.
 */
export function chooseService(
  candidates: readonly Service[],
  clientNamespace: string | undefined,
  preferredNamespace?: string,
): Service | undefined {
  const visible = candidates.filter((service) => isVisible(service, clientNamespace));
  return (
    visible.findLast((service) => service.namespace === clientNamespace) ??
    visible.findLast((service) => service.canonical) ??
    visible.find((service) => service.namespace === preferredNamespace) ??
    visible[0]
  );
}

/** A service and one of its address blocks. */
export interface CidrCandidate {
  readonly cidr: Cidr;
  readonly service: Service;
}

/** The client's own namespace outranks a longer prefix, which outranks being canonical. */
export function chooseByCidr(
  candidates: readonly CidrCandidate[],
  ip: string,
  clientNamespace: string | undefined,
): Service | undefined {
  const rank = ({ cidr, service }: CidrCandidate): number =>
    (service.namespace === clientNamespace ? 1024 : 0) + cidr.length * 2 + (service.canonical ? 1 : 0);
  let best: CidrCandidate | undefined;
  for (const candidate of candidates) {
    if (!isVisible(candidate.service, clientNamespace) || !cidrContains(candidate.cidr, ip)) continue;
    if (best === undefined || rank(candidate) >= rank(best)) best = candidate;
  }
  return best?.service;
}
