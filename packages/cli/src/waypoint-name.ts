/** What to call a waypoint: the service that its address belongs to, since nobody knows it by its IP. */
import type { ConfigDump } from './config-dump.ts';

/** @param destination - `ns/host`, `network/ip`, or empty for none. */
export function waypointName({ services }: Pick<ConfigDump, 'services'>, destination: string): string {
  if (destination === '') return '';
  const found = services.find(
    ({ namespace, hostname, vips }) =>
      `${namespace}/${hostname}` === destination || vips.includes(destination),
  );
  return found ? `${found.namespace}/${found.name}` : destination;
}
