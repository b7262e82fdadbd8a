/**
 * What workloads offer to services. All of it is kept, with or without the service and whatever the health, and
 * filtered when it is read; so neither order of arrival nor a changed health policy loses an endpoint.
 */
import type { ServiceKey } from '../address.ts';
import type { EndpointPorts, Service, ServiceEndpoint } from '../service.ts';
import type { Workload } from '../workload.ts';
import type { Rolls } from './rolls.ts';

export class EndpointIndex {
  /** But for what workloads in rolls offer. */
  readonly #byService = new Map<ServiceKey, Map<string, EndpointPorts>>();
  readonly #rolls: Rolls;

  constructor(rolls: Rolls) {
    this.#rolls = rolls;
  }

  insert(service: ServiceKey, workloadUid: string, ports: EndpointPorts): void {
    const offers = this.#byService.get(service) ?? new Map<string, EndpointPorts>();
    this.#byService.set(service, offers);
    offers.set(workloadUid, ports);
  }

  remove(service: ServiceKey, workloadUid: string): void {
    const offers = this.#byService.get(service);
    offers?.delete(workloadUid);
    if (offers?.size === 0) this.#byService.delete(service);
  }

  keys(): Iterable<ServiceKey> {
    return new Set([...this.#rolls.services(), ...this.#byService.keys()]);
  }

  /** @param keep - Whether what is decoded for it is kept. */
  *offered(service: ServiceKey, keep: boolean): Generator<ServiceEndpoint> {
    for (const workload of this.#rolls.membersOf(service, keep)) {
      const offer = offerOf(workload, service);
      if (offer) yield offer;
    }
    for (const [workloadUid, { ports, status }] of this.#byService.get(service) ?? []) {
      yield { workloadUid, ports, status };
    }
  }

  *accepted(service: Service, keep: boolean): Generator<ServiceEndpoint> {
    for (const endpoint of this.offered(service.key, keep)) if (accepts(service, endpoint)) yield endpoint;
  }

  acceptedOf(service: Service, workloadUid: string): ServiceEndpoint | undefined {
    const found = this.#byService.get(service.key)?.get(workloadUid);
    const rolled = found ? undefined : this.#rolls.get(workloadUid);
    const offer = found ? { workloadUid, ...found } : rolled && offerOf(rolled, service.key);
    return offer && accepts(service, offer) ? offer : undefined;
  }
}

function offerOf(workload: Workload, service: ServiceKey): ServiceEndpoint | undefined {
  const member = workload.services.find((one) => one.service === service);
  return member && { workloadUid: workload.uid, ports: member.ports, status: workload.status };
}

function accepts(service: Service, { status }: EndpointPorts): boolean {
  return status === 'Healthy' || service.loadBalancer?.healthPolicy === 'AllowAll';
}
