/** Whether a ServiceEntry names addresses that were allotted to hosts of somebody else. Pure. */
import { parseIp } from '@ambit/core/ip';
import type { ServiceEntry } from '@ambit/kube/resources/networking';
import type { World } from './world.ts';

/**
 * Why the entry is refused. Clients that remember the address of another namespace's host would be led to whoever names
 * it; the author of one namespace has no say in that. Whose the address is, is not told.
 */
export function* addressesOfOthers({ metadata, spec = {} }: ServiceEntry, world: World): Iterable<string> {
  for (const [i, address] of (spec.addresses ?? []).entries()) {
    const ip = parseIp(address.replace(/\/(32|128)$/, ''));
    if (ip !== undefined && world.isAllottedOutside(metadata.namespace ?? '', ip))
      yield `spec.addresses[${i}]: ${address} is allotted to a host of another namespace`;
  }
}
