/**
 * Policy routing of marked packets to the namespace itself: an `ip rule` that sends them to a table, and in that table a
 * route that takes every address for a local one. What `ip` would do, without a program for each.
 */
import type { Family } from '@ambit/core/ip';
import { EEXIST, ENOENT, ESRCH } from './errno.ts';
import { memory } from './libc.ts';
import { NETLINK_ROUTE, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, orderNetlink } from './netlink.ts';
import { AF_INET, AF_INET6 } from './socket-address.ts';

/** `fwmark MARK/MASK pref PRIORITY lookup TABLE`. */
export interface MarkedRoute {
  readonly mark: number;
  readonly mask: number;
  readonly priority: number;
  /** 1 to 252: those that have a number of one byte, and are not the kernel's own. */
  readonly table: number;
}

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
/** Of `struct rtmsg` and of `struct fib_rule_hdr` alike. */
const HEADER_BYTES = 12;
const ATTRIBUTE_BYTES = 8;
const RTPROT_BOOT = 3;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_HOST = 254;
const RTN_LOCAL = 2;
const RTA_OIF = 4;
/** In every namespace. */
const LOOPBACK_INDEX = 1;
const FR_ACT_TO_TBL = 1;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_FWMASK = 16;

/**
 * Marked packets reach sockets of this namespace from now on, whatever their destination. Safe to repeat.
 *
 * @throws {@link LinuxError} EPERM without CAP_NET_ADMIN; for IPv6 EINVAL or ENODEV, among others, where that is off.
 */
export function routeMarkedToSelf(netnsFd: number, family: Family, route: MarkedRoute): void {
  // The route comes first: with the rule alone, marked packets would find no way at all.
  orderNetlink(
    {
      netnsFd,
      protocol: NETLINK_ROUTE,
      type: RTM_NEWROUTE,
      flags: NLM_F_CREATE | NLM_F_REPLACE,
      payloads: [encodeRoute(family, route)],
      purpose: 'adding a local route',
    },
    () => false,
  );
  orderNetlink(
    {
      netnsFd,
      protocol: NETLINK_ROUTE,
      type: RTM_NEWRULE,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      payloads: [encodeRule(family, route)],
      purpose: 'adding a routing rule',
    },
    (errno) => errno === EEXIST,
  );
}

/** Undoes {@link routeMarkedToSelf}. What is not there is no error. */
export function unrouteMarked(netnsFd: number, family: Family, route: MarkedRoute): void {
  for (const [type, payload, purpose] of [
    [RTM_DELRULE, encodeRule(family, route), 'removing a routing rule'],
    [RTM_DELROUTE, encodeRoute(family, route), 'removing a local route'],
  ] as const) {
    orderNetlink(
      { netnsFd, protocol: NETLINK_ROUTE, type, payloads: [payload], purpose },
      (errno) => errno === ENOENT || errno === ESRCH,
    );
  }
}

/** `local default dev lo`: IPv6 knows no scopes. */
function encodeRoute(family: Family, { table }: MarkedRoute): Uint8Array {
  const scope = family === 4 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  return encode(
    [familyNumber(family), 0, 0, 0, table, RTPROT_BOOT, scope, RTN_LOCAL],
    [[RTA_OIF, LOOPBACK_INDEX]],
  );
}

/** Of nobody's making (`proto unspec`), as `ip` makes them too: a rule of another maker is another rule. */
function encodeRule(family: Family, { mark, mask, priority, table }: MarkedRoute): Uint8Array {
  return encode(
    [familyNumber(family), 0, 0, 0, table, 0, 0, FR_ACT_TO_TBL],
    [
      [FRA_PRIORITY, priority],
      [FRA_FWMARK, mark],
      [FRA_FWMASK, mask],
    ],
  );
}

type Attribute = readonly [type: number, value: number];

/** Eight numbers of a byte each, four bytes of flags of which none is set, and attributes. */
function encode(head: readonly number[], attributes: readonly Attribute[]): Uint8Array {
  const { bytes, view } = memory(HEADER_BYTES + attributes.length * ATTRIBUTE_BYTES);
  bytes.set(head);
  for (const [index, [type, value]] of attributes.entries()) {
    const at = HEADER_BYTES + index * ATTRIBUTE_BYTES;
    view.setUint16(at, ATTRIBUTE_BYTES, true);
    view.setUint16(at + 2, type, true);
    view.setUint32(at + 4, value, true);
  }
  return bytes;
}

function familyNumber(family: Family): number {
  return family === 4 ? AF_INET : AF_INET6;
}
