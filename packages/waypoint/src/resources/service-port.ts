/** A service, or one port of it, as routes, backends and policies name it. */
import type { ServiceKey } from '@ambit/model/address';

export interface ServicePort {
  readonly service: ServiceKey;
  /** The service's port, never the endpoint's. 0: every port. */
  readonly port: number;
}
