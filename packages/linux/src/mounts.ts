/** Mounts of the calling process's mount namespace. */
import { readFileSync } from 'node:fs';
import { check, libc } from './libc.ts';

const MS_BIND = 4096;

/** Shows `from` at `to` as well; both must be files, or both folders. @throws {@link LinuxError} */
export function bindMount(from: string, to: string): void {
  check(libc.mount(from, to, 'none', MS_BIND, undefined), 'mount', to);
}

/** Whether something is mounted at `path` or below it. `path` is absolute, without symbolic links. */
export function hasMounts(
  path: string,
  mountInfo: string = readFileSync('/proc/thread-self/mountinfo', 'utf8'),
): boolean {
  return mountInfo.split('\n').some((line) => {
    // Blanks and the like are written as octal numbers.
    const at = line
      .split(' ')[4]
      ?.replace(/\\(\d{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8)));
    return at === path || at?.startsWith(`${path}/`);
  });
}
