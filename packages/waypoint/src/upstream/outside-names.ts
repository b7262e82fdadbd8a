/**
 * Names that clients bring, asked of the name servers themselves: whoever has the process's resolver look up what clients
 * like keeps its few threads from everybody else, and its search list would lead names below a wildcard into the cluster.
 */
import { NODATA, NOTFOUND } from 'node:dns';
import { Resolver } from 'node:dns/promises';
import type { Lookup } from '@ambit/core/names';
import { OUTSIDE_ADDRESSES, OUTSIDE_LOOKUP_TIMEOUT_MS, OUTSIDE_LOOKUP_TRIES } from '../limits.ts';

/** Of IPv4, and of IPv6 where a name has none: what not every pod can reach is not tried first. */
export function outsideLookup(servers?: readonly string[]): Lookup {
  const resolver = new Resolver({ timeout: OUTSIDE_LOOKUP_TIMEOUT_MS, tries: OUTSIDE_LOOKUP_TRIES });
  if (servers) resolver.setServers(servers);
  return async (name) => {
    const found = await resolver.resolve4(name).catch(noneIfThereIsNone);
    const ips = found.length > 0 ? found : await resolver.resolve6(name).catch(noneIfThereIsNone);
    return ips.slice(0, OUTSIDE_ADDRESSES);
  };
}

function noneIfThereIsNone(error: unknown): readonly string[] {
  const { code } = error as NodeJS.ErrnoException;
  if (code === NODATA || code === NOTFOUND) return [];
  throw error;
}
