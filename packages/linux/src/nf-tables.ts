/** Which tables of nftables a namespace has, asked of the kernel without a program. */
import { LinuxError } from './errors.ts';
import { memory } from './libc.ts';
import { MAX_LISTED_TABLES } from './limits.ts';
import { attributes, dumpAllNetlink, NETLINK_NETFILTER } from './netlink.ts';

export interface NfTable {
  /** By the name that nft gives it: `inet`, `ip`, `ip6`, … */
  readonly family: string;
  readonly name: string;
}

const NFT_MSG_GETTABLE = (10 << 8) | 1;
const NFGENMSG_BYTES = 4;
const NFTA_TABLE_NAME = 1;
/** All of them. */
const NFPROTO_UNSPEC = 0;
const FAMILY_NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'inet'],
  [2, 'ip'],
  [3, 'arp'],
  [5, 'netdev'],
  [7, 'bridge'],
  [10, 'ip6'],
]);
/** A kernel without nftables. */
const CANNOT: ReadonlySet<string> = new Set(['EINVAL', 'EOPNOTSUPP', 'EPROTONOSUPPORT']);

/**
 * Empty on a kernel without nftables.
 *
 * @throws {@link LinuxError} EPERM without CAP_NET_ADMIN.
 */
export function listTables(netnsFd: number): readonly NfTable[] {
  const { bytes } = memory(NFGENMSG_BYTES);
  bytes[0] = NFPROTO_UNSPEC;
  const request = {
    netnsFd,
    protocol: NETLINK_NETFILTER,
    type: NFT_MSG_GETTABLE,
    payload: bytes,
    purpose: 'listing tables of nftables',
  };
  try {
    return dumpAllNetlink(request, MAX_LISTED_TABLES, (answer) => {
      const family = answer.getUint8(0);
      return { family: FAMILY_NAMES.get(family) ?? `family ${family}`, name: nameIn(answer) };
    });
  } catch (error) {
    if (error instanceof LinuxError && CANNOT.has(error.errnoName)) return [];
    throw error;
  }
}

/** It ends with a zero byte. */
function nameIn(answer: DataView): string {
  const all = [...attributes(answer, NFGENMSG_BYTES)];
  const value = all.find(({ type }) => type === NFTA_TABLE_NAME)?.value;
  if (!value) return '';
  return Buffer.from(value.buffer, value.byteOffset, Math.max(0, value.byteLength - 1)).toString('utf8');
}
