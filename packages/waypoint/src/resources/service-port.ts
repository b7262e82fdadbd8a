/** A service, or one port of it, as routes, backends and policies name it. */
import type { ServiceKey } from '@ambit/model/address';

export interface ServicePort {
  readonly service: ServiceKey;
  /** The service's port, never the endpoint's. 0: every port, and of a backend the one that the request came to. */
  readonly port: number;
}

/** A backend of a rule: one without a port has that of the request. */
export function atPort(to: ServicePort, port: number): ServicePort {
  return to.port === 0 ? { ...to, port } : to;
}
