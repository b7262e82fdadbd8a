/** The route and the rule of routing that bring marked packets back to ztunnel, in a pod's namespace. */
import { readFileSync } from 'node:fs';
import { codeOf } from '@ambit/core/errors';
import type { Family } from '@ambit/core/ip';
import { type MarkedRoute, routeMarkedToSelf, unrouteMarked } from '@ambit/linux/marked-routes';
import { runInNetns } from '@ambit/linux/netns';
import { MARK_MASK, RETURN_MARK, RETURN_RULE_PRIORITY, RETURN_TABLE } from './constants.ts';

const RETURN: MarkedRoute = {
  mark: RETURN_MARK,
  mask: MARK_MASK,
  priority: RETURN_RULE_PRIORITY,
  table: RETURN_TABLE,
};

/** Safe to repeat. @throws LinuxError */
export function applyRoutes(netnsFd: number, families: readonly Family[]): void {
  for (const family of usable(netnsFd, families)) routeMarkedToSelf(netnsFd, family, RETURN);
}

/** Safe to repeat, and without either: what is not there is no error. @throws LinuxError */
export function removeRoutes(netnsFd: number, families: readonly Family[]): void {
  for (const family of usable(netnsFd, families)) unrouteMarked(netnsFd, family, RETURN);
}

/** IPv6 is often off inside a pod although the node has it; then its loopback has no addresses and takes no routes. */
function usable(netnsFd: number, families: readonly Family[]): readonly Family[] {
  return families.filter((family) => family === 4 || !ipv6Disabled(netnsFd));
}

function ipv6Disabled(netnsFd: number): boolean {
  try {
    return (
      runInNetns(netnsFd, () => readFileSync('/proc/sys/net/ipv6/conf/lo/disable_ipv6', 'utf8')).trim() ===
      '1'
    );
  } catch (error) {
    // A kernel without IPv6 has no such file. Whatever else it is, the attempt to use it will say.
    return codeOf(error) === 'ENOENT';
  }
}
