/**
 * The last of a pod's redirection: what conntrack remembers of the connections that went through ztunnel.
 *
 * Without the tables nothing looks at it any more, and nothing brings it to its end. Should the pod come into the mesh again
 * meanwhile, a connection that began in clear between the same addresses and ports would be taken for one of them: its
 * packets, DNS answers too, would be dropped or come from another port.
 */
import { forgetTracked } from '@ambit/linux/conntrack';
import { LinuxError } from '@ambit/linux/errors';
import { MARK_MASK, RETURN_MARK } from './constants.ts';

/** A kernel without ctnetlink. */
const CANNOT: ReadonlySet<string> = new Set(['EINVAL', 'EOPNOTSUPP', 'EPROTONOSUPPORT']);

/** Every one of them bears the mark since ztunnel's first packet to the pod's program. Where the kernel cannot, they end by themselves. */
export function forgetRedirected(netnsFd: number): void {
  try {
    forgetTracked(netnsFd, RETURN_MARK, MARK_MASK);
  } catch (error) {
    if (!(error instanceof LinuxError && CANNOT.has(error.errnoName))) throw error;
  }
}
