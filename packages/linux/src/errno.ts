/** Names of error numbers, from the C library's own table on this machine. */
import { constants } from 'node:os';

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.errno).map(([name, number]) => [number, name]),
);

export const {
  EPERM,
  ENOENT,
  EINTR,
  EAGAIN,
  EACCES,
  EINPROGRESS,
  ENOPROTOOPT,
  EPIPE,
  ECONNRESET,
  EEXIST,
  EINVAL,
  ETIMEDOUT,
} = constants.errno;

export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}
