/**
 * The last of a pod's redirection: what conntrack remembers of the connections that it has seen.
 *
 * Without the tables nothing looks at it any more, and nothing brings it to its end. Should the pod come into the mesh again
 * meanwhile, another connection between the same addresses and ports would be taken for one of them. One that began in clear
 * would lose its packets, or have them come from another port, DNS answers too; one that begins then would not be
 * redirected, and the guards would drop it.
 */
import { forgetMarked, forgetOpenTcp, forgetRedirectedUdp } from '@ambit/linux/conntrack';
import { LinuxError } from '@ambit/linux/errors';
import { DNS_CAPTURE_PORT, MARK_MASK, RETURN_MARK } from './constants.ts';

/** A kernel without ctnetlink. */
const CANNOT: ReadonlySet<string> = new Set(['EINVAL', 'EOPNOTSUPP', 'EPROTONOSUPPORT']);

/** Why some are remembered still: there are more than are looked at, the kernel forgets none on demand, or it failed this time. */
export type Unforgotten = 'too-many' | 'unsupported' | 'failed';

/**
 * Those that went through ztunnel, which bear its mark, and those that went on in clear as the pod left. What others in the
 * pod translate stays. Where not all can be forgotten, the rest end by themselves: `undefined` when nothing is left.
 */
export function forgetConnections(netnsFd: number): Unforgotten | undefined {
  return told(() => {
    forgetMarked(netnsFd, RETURN_MARK, MARK_MASK);
    return forgetOpenTcp(netnsFd);
  });
}

/**
 * DNS over UDP that leads to ztunnel's port, before the tables go: with them goes the zone that keeps queries from there, a
 * little earlier than translation, which outlives ours where the pod's own rules translate.
 *
 * What fails is told and no more: the tables must go, and these entries end by themselves once nobody asks from their port.
 */
export function forgetQueries(netnsFd: number): Unforgotten | undefined {
  try {
    return told(() => forgetRedirectedUdp(netnsFd, DNS_CAPTURE_PORT));
  } catch {
    return 'failed';
  }
}

/**
 * @param forget - Whether all were looked at.
 * @returns why some are remembered still; `undefined` if none is.
 * @throws {@link LinuxError} of a failure that may pass.
 */
function told(forget: () => boolean): Unforgotten | undefined {
  try {
    return forget() ? undefined : 'too-many';
  } catch (error) {
    if (error instanceof LinuxError && CANNOT.has(error.errnoName)) return 'unsupported';
    throw error;
  }
}
