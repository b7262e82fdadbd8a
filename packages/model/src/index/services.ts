/** Services by key, hostname, VIP and address block. Order of arrival is kept, since it breaks ties. */
import type { ServiceKey } from '../address.ts';
import type { Service } from '../service.ts';
import { type CidrCandidate, chooseByCidr, chooseService } from '../service-choice.ts';
import { AddressMap } from './address-map.ts';

export class ServiceIndex {
  readonly byKey = new Map<ServiceKey, Service>();
  readonly #byHostname = new Map<string, readonly Service[]>();
  readonly #byVip = new AddressMap<Service>();
  readonly #byCidr = new Map<string, readonly CidrCandidate[]>();

  insert(service: Service): void {
    this.remove(service.key);
    this.byKey.set(service.key, service);
    this.#byHostname.set(comparable(service.hostname), [...this.named(service.hostname), service]);
    for (const { network, ip } of service.vips) this.#byVip.add(network, ip, service);
    for (const { network, cidr } of service.cidrVips) {
      this.#byCidr.set(network, [...(this.#byCidr.get(network) ?? []), { cidr, service }]);
    }
  }

  remove(key: ServiceKey): void {
    const service = this.byKey.get(key);
    if (!service) return;
    this.byKey.delete(key);
    const sameName = this.named(service.hostname).filter((other) => other !== service);
    const hostname = comparable(service.hostname);
    if (sameName.length > 0) this.#byHostname.set(hostname, sameName);
    else this.#byHostname.delete(hostname);
    for (const { network, ip } of service.vips) this.#byVip.remove(network, ip, service);
    for (const { network } of service.cidrVips) {
      const left = this.#byCidr.get(network)?.filter((candidate) => candidate.service !== service) ?? [];
      if (left.length > 0) this.#byCidr.set(network, left);
      else this.#byCidr.delete(network);
    }
  }

  named(hostname: string): readonly Service[] {
    return this.#byHostname.get(comparable(hostname)) ?? [];
  }

  /** An exact VIP decides, if the client sees any service there; blocks are asked only then. */
  at(network: string, ip: string, clientNamespace: string | undefined): Service | undefined {
    return (
      chooseService(this.#byVip.get(network, ip), clientNamespace) ??
      chooseByCidr(this.#byCidr.get(network) ?? [], ip, clientNamespace)
    );
  }
}

/** Names are the same whatever their case, and with a final dot: a ServiceEntry may have either. */
function comparable(hostname: string): string {
  const lower = hostname.toLowerCase();
  return lower.endsWith('.') ? lower.slice(0, -1) : lower;
}
