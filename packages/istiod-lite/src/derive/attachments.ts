/** Which waypoints serve a service: its own, and its canary. */
import type { Collection } from '@ambit/collections/collection';
import { DerivedCollection } from '@ambit/collections/derived';
import { JoinedCollection } from '@ambit/collections/join';
import { hostnameOf } from '../translate/service.ts';
import { type Waypoint, waypointKey } from '../translate/waypoint.ts';
import type { WaypointBinding } from '../translate/waypoint-binding.ts';
import { type GraphContext, sameContent } from './context.ts';
import type { Services } from './services.ts';
import type { Waypoints } from './waypoints.ts';

/** By `namespace/hostname`: `namespace/name` of each waypoint, sorted; absent where there is none. */
export type Attachments = Collection<string, readonly string[]>;

export function deriveAttachments(
  { inputs, settings, scheduler }: GraphContext,
  { entries }: Services,
  waypoints: Waypoints,
): Attachments {
  const ofServices = new DerivedCollection({
    name: 'waypoints by service',
    scheduler,
    from: inputs.services,
    inputs: [waypoints.ofServices],
    compute: (service, key, fetch): Entries => {
      const binding = fetch.get(waypoints.ofServices, key);
      return entriesOf(`${service.metadata.namespace ?? ''}/${hostnameOf(service, settings)}`, binding);
    },
    equals: sameContent,
  });
  const ofEntries = new DerivedCollection({
    name: 'waypoints by host of service entries',
    scheduler,
    from: entries.infos,
    inputs: [waypoints.ofServiceEntries],
    compute: ({ entry, key }, _, fetch): Entries =>
      entriesOf(key, fetch.get(waypoints.ofServiceEntries, entry)),
    equals: sameContent,
  });
  return new JoinedCollection({ name: 'waypoints by service of both kinds', from: [ofServices, ofEntries] });
}

type Entries = readonly (readonly [string, readonly string[]])[];

function entriesOf(service: string, binding: WaypointBinding | undefined): Entries {
  const both = [binding?.waypoint, binding?.canary].filter((each): each is Waypoint => each !== undefined);
  return both.length === 0 ? [] : [[service, both.map(waypointKey).sort()]];
}
