/** Names of error numbers, from the C library's own table on this machine. */
import { constants } from 'node:os';

/** Of two names for one number the first counts: EAGAIN, not EWOULDBLOCK. */
const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.errno)
    .map(([name, number]) => [number, name] as const)
    .reverse(),
);

export const {
  EPERM,
  ENOENT,
  ESRCH,
  EEXIST,
  EINTR,
  EAGAIN,
  EINVAL,
  ENETDOWN,
  ENODEV,
  EADDRNOTAVAIL,
  EINPROGRESS,
} = constants.errno;

export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}
