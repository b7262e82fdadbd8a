/**
 * What is outside the mesh: which addresses may be asked that somebody else has named, and which names clients may bring for
 * a wildcard of a ServiceEntry. Pure.
 */
import { bytesOfIp, type Cidr, cidrContains, formatIp, parseCidr, parseIp } from '@ambit/core/ip';

const blocks = (...texts: readonly string[]): readonly Cidr[] =>
  texts.flatMap((text) => parseCidr(text) ?? []);
/** Unspecified, loopback, link-local, multicast; and where clouds tell their machines of themselves beside that. */
const OUT_OF_BOUNDS = blocks(
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/4',
  '::/127',
  'fe80::/10',
  'ff00::/8',
  'fd00:ec2::254/128', // Amazon
  'fd20:ce::254/128', // Google
  '168.63.129.16/32', // Azure
  '100.100.100.200/32', // Alibaba
  '192.0.0.192/32', // Oracle
);
/** An address of IPv4 is at their end: NAT64's well-known prefix (RFC 6052), and IPv4-compatible addresses. */
const CARRYING_IPV4 = blocks('64:ff9b::/96', '::/96');

/** Nowhere that this pod or its node alone can reach. */
export function mayBeAsked(ip: string): boolean {
  const canonical = parseIp(ip);
  if (canonical === undefined || isOutOfBounds(canonical)) return false;
  const bytes = CARRYING_IPV4.some((range) => cidrContains(range, canonical)) && bytesOfIp(canonical);
  return !bytes || !isOutOfBounds(formatIp(bytes.subarray(12)) ?? '');
}

function isOutOfBounds(ip: string): boolean {
  return OUT_OF_BOUNDS.some((range) => cidrContains(range, ip));
}

const MAX_NAME_LENGTH = 253;
const NAME = /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/**
 * The name to look up of a client that asked for `host`, with or without a port; `undefined` if it is none below the
 * wildcard (`*.example.com`, `*-eu.example.com`, or `*`).
 */
export function nameBelow(wildcard: string, host: string): string | undefined {
  const name = host
    .replace(/:[0-9]{1,5}$/, '')
    .replace(/\.$/, '')
    .toLowerCase();
  const end = wildcard.slice(1).toLowerCase();
  const isBelow = name.length > end.length && name.length <= MAX_NAME_LENGTH && name.endsWith(end);
  return isBelow && NAME.test(name) && parseIp(name) === undefined ? name : undefined;
}
