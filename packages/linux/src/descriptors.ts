/** Descriptors as such: a second one for the same file, and closing one that no Node object owns. */
import { check, libc } from './libc.ts';

const F_DUPFD_CLOEXEC = 1030;

/** Another close-on-exec descriptor for the same open file. @throws {@link LinuxError} EBADF, EMFILE. */
export function duplicateFd(fd: number): number {
  return check(libc.fcntl(fd, F_DUPFD_CLOEXEC, 0), 'fcntl', `descriptor ${fd}`);
}

/** Closes `fd`; one that is not open is ignored. */
export function closeFd(fd: number): void {
  libc.close(fd);
}
