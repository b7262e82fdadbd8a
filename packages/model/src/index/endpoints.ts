/**
 * What workloads offer to services. All of it is kept, with or without the service and whatever the health, and
 * filtered when it is read; so neither order of arrival nor a changed health policy loses an endpoint.
 */
import type { ServiceKey } from '../address.ts';
import type { EndpointPorts, Service, ServiceEndpoint } from '../service.ts';

export class EndpointIndex {
  readonly #byService = new Map<ServiceKey, Map<string, EndpointPorts>>();

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
    return this.#byService.keys();
  }

  *offered(service: ServiceKey): Generator<ServiceEndpoint> {
    for (const [workloadUid, { ports, status }] of this.#byService.get(service) ?? []) {
      yield { workloadUid, ports, status };
    }
  }

  *accepted(service: Service): Generator<ServiceEndpoint> {
    for (const endpoint of this.offered(service.key)) if (accepts(service, endpoint)) yield endpoint;
  }

  acceptedOf(service: Service, workloadUid: string): ServiceEndpoint | undefined {
    const found = this.#byService.get(service.key)?.get(workloadUid);
    return found && accepts(service, found)
      ? { workloadUid, ports: found.ports, status: found.status }
      : undefined;
  }
}

function accepts(service: Service, { status }: EndpointPorts): boolean {
  return status === 'Healthy' || service.loadBalancer?.healthPolicy === 'AllowAll';
}
