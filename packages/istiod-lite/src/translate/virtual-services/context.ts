/** What the parts of a VirtualService are translated with, and how they name services. */
import type { ServicePort } from '@ambit/api/waypoint';
import type { Destination } from '@ambit/kube/resources/networking';
import { fullHost } from '../hosts.ts';
import { type Catalog, serviceKey, serviceNamed } from '../routes/catalog.ts';

export interface VirtualServiceContext {
  /** Of the object that says it: short names are of this one. */
  readonly namespace: string;
  readonly domain: string;
  readonly catalog: Catalog;
  /** Is told of every service that anything is sent to. */
  readonly uses: Set<string>;
}

/** Port 0: that of the request. `undefined`: there is no such service. */
export function destinationOf(
  { host, port }: Destination,
  { namespace, domain, catalog, uses }: VirtualServiceContext,
): ServicePort | undefined {
  const service = serviceNamed(catalog, fullHost(host, namespace, domain), namespace);
  if (!service) return undefined;
  uses.add(serviceKey(service));
  const only = service.ports.length === 1 ? service.ports[0]?.number : undefined;
  return {
    namespace: service.namespace,
    hostname: service.hostname,
    port: port?.number ?? only ?? 0,
  };
}
