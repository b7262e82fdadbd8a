/** The error of a system call that failed: which call, and the kernel's reason by number and by name. */
import { MeshError } from '@ambit/core/errors';
import { errnoName } from './errno.ts';

/** What the kernel usually means, for those errors whose name alone helps nobody. */
const HINTS: Readonly<Record<string, string>> = {
  EPERM: 'permission denied; a capability such as CAP_SYS_ADMIN or CAP_NET_ADMIN is missing',
  EACCES: 'permission denied',
  EADDRINUSE: 'the address is taken',
  EADDRNOTAVAIL: 'no such local address here',
  EMFILE: 'this process has no file descriptor left',
  ENFILE: 'the machine has no file descriptor left',
  ENODEV: 'no such device here',
};

export class LinuxError extends MeshError {
  readonly code = 'LINUX';
  readonly side = 'internal';
  readonly errno: number;
  /** As in errno(3): `EPERM`. */
  readonly errnoName: string;
  /** The system call, as one would look it up: `setns`. */
  readonly call: string;

  /** @param context - What it was for: an address, a path. */
  constructor(call: string, errno: number, context?: string, options?: ErrorOptions) {
    const name = errnoName(errno);
    const hint = HINTS[name];
    const about = context === undefined ? '' : ` (${context})`;
    super(`${call}${about}: ${name}${hint === undefined ? '' : `, ${hint}`}`, options);
    this.call = call;
    this.errno = errno;
    this.errnoName = name;
  }
}
