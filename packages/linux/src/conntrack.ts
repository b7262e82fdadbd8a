/**
 * What a namespace's connection tracking remembers, forgotten: ctnetlink (linux/netfilter/nfnetlink_conntrack.h).
 *
 * The kernel keeps what it tracked for minutes, TCP that was not seen to end for days, also when nothing in the namespace
 * needs tracking any more; and goes by it once something does.
 */
import { memory } from './libc.ts';
import { askNetlink, NETLINK_NETFILTER, NLM_F_ACK } from './netlink.ts';

const CTNETLINK_DELETE = (1 << 8) | 2;
const NFGENMSG_BYTES = 4;
const ATTRIBUTE_BYTES = 8;
const CTA_MARK = 8;
const CTA_MARK_MASK = 21;

/**
 * Forgets every connection whose mark is `mark` in the bits of `mask`.
 *
 * @throws {@link LinuxError} EPERM without CAP_NET_ADMIN, EINVAL or EOPNOTSUPP if the kernel has no ctnetlink.
 */
export function forgetTracked(netnsFd: number, mark: number, mask: number): void {
  const { bytes, view } = memory(NFGENMSG_BYTES + 2 * ATTRIBUTE_BYTES);
  for (const [index, [type, value]] of [
    [CTA_MARK, mark],
    [CTA_MARK_MASK, mask],
  ].entries()) {
    const at = NFGENMSG_BYTES + index * ATTRIBUTE_BYTES;
    view.setUint16(at, ATTRIBUTE_BYTES, true);
    view.setUint16(at + 2, type ?? 0, true);
    view.setUint32(at + 4, value ?? 0, false);
  }
  const common = { netnsFd, protocol: NETLINK_NETFILTER, flags: NLM_F_ACK, payload: bytes };
  askNetlink(
    { ...common, type: CTNETLINK_DELETE, purpose: 'forgetting tracked connections' },
    1,
    () => undefined,
  );
}
