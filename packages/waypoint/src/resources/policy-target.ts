/** What a policy is attached to, and which of a waypoint's traffic that is. */
import type { ServiceKey } from '@ambit/model/address';

export type PolicyTarget =
  /** A Service or ServiceEntry, by one of its hostnames. */
  | { readonly kind: 'service'; readonly service: ServiceKey }
  /** A waypoint, by `namespace/name` of its Gateway. */
  | { readonly kind: 'gateway'; readonly gateway: string }
  | { readonly kind: 'all-waypoints' };
