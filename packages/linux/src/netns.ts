/**
 * Network namespaces: opening, making, and doing one thing inside.
 *
 * Membership is per thread. `runInNetns` is synchronous for that reason: an `await` inside would let other work of the
 * thread run in the wrong namespace. It always returns to where it came from, or ends the process: a proxy that is left
 * behind in a pod's namespace would open its next sockets there.
 */
import { closeSync, constants, fstatSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { LinuxError } from './errors.ts';
import { EINVAL } from './errno.ts';
import { check, lastErrno, libc } from './libc.ts';

const CLONE_NEWNET = 0x40000000;
const NS_GET_NSTYPE = 0xb703;
const MS_BIND = 4096;
const MNT_DETACH = 2;
const THREAD_NETNS = '/proc/thread-self/ns/net';

/** Stands for "the namespace this thread is in". */
export const NETNS_CURRENT = -1;

/** A namespace held open. Its identity is `(dev, ino)`: two fds of one namespace share it. */
export interface Netns extends Disposable {
  readonly fd: number;
  readonly dev: bigint;
  readonly ino: bigint;
  /** Idempotent. The namespace itself lives on while anybody is in it, holds it or has it pinned. */
  close(): void;
}

/** @throws the file system's error if `path` cannot be opened; {@link LinuxError} `setns` if it is not a namespace. */
export function openNetns(path: string): Netns {
  return netnsOfFd(openSync(path, constants.O_RDONLY));
}

/**
 * Takes over an fd, for instance one that another process sent.
 *
 * @throws {@link LinuxError} EINVAL, with `fd` closed, if it is not a network namespace.
 */
export function netnsOfFd(fd: number): Netns {
  let open = true;
  const close = () => {
    if (open) closeSync(fd);
    open = false;
  };
  try {
    const type = libc.ioctl(fd, NS_GET_NSTYPE, 0);
    if (type !== CLONE_NEWNET) throw new LinuxError('setns', EINVAL, `fd ${fd} is not a network namespace`);
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return { fd, dev, ino, close, [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Runs `run` with this thread inside the namespace, and comes back whatever happens. */
export function runInNetns<T>(netnsFd: number, run: () => T): T {
  const previous = enterNetns(netnsFd);
  try {
    const result = run();
    if (result instanceof Promise)
      throw new TypeError('runInNetns: what runs inside must not be asynchronous');
    return result;
  } finally {
    leaveNetns(previous);
  }
}

/**
 * Makes a network namespace with nothing in it and pins it at `pinPath`, as `ip netns` and container runtimes do. The
 * directory of `pinPath` must be shared with nobody who should not see it; it is made if missing.
 */
export function createNetns(pinPath: string): Netns {
  mkdirSync(dirname(pinPath), { recursive: true });
  writeFileSync(pinPath, '', { flag: 'wx', mode: 0o444 });
  const previous = rememberCurrent();
  try {
    check(libc.unshare(CLONE_NEWNET), 'unshare', 'a new network namespace');
    current = undefined;
    try {
      check(libc.mount(THREAD_NETNS, pinPath, 'none', MS_BIND, undefined), 'mount', pinPath);
    } finally {
      leaveNetns(previous);
    }
    return openNetns(pinPath);
  } catch (error) {
    rmSync(pinPath, { force: true });
    throw error;
  }
}

/** Makes a network namespace with nothing in it that no path leads to: it ends with its last process, socket and fd. */
export function createUnnamedNetns(): Netns {
  const previous = rememberCurrent();
  check(libc.unshare(CLONE_NEWNET), 'unshare', 'a new network namespace');
  current = undefined;
  try {
    return openNetns(THREAD_NETNS);
  } finally {
    leaveNetns(previous);
  }
}

/** Takes the pin away; the namespace ends with its last process, socket and fd. Nothing pinned there is no error. */
export function removeNetns(pinPath: string): void {
  libc.umount2(pinPath, MNT_DETACH);
  rmSync(pinPath, { force: true });
}

/** The fd of the namespace this thread came from; `undefined` until asked for the first time. */
let current: number | undefined;

function rememberCurrent(): number {
  current ??= openSync(THREAD_NETNS, constants.O_RDONLY);
  return current;
}

/** For this package's hot paths: {@link runInNetns} without the closure. `leaveNetns` must follow, in a `finally`. */
export function enterNetns(netnsFd: number): number {
  const previous = rememberCurrent();
  if (netnsFd === NETNS_CURRENT || netnsFd === previous) return previous;
  if (libc.setns(netnsFd, CLONE_NEWNET) === -1)
    throw new LinuxError('setns', lastErrno(), `namespace fd ${netnsFd}`);
  current = netnsFd;
  return previous;
}

export function leaveNetns(previous: number): void {
  if (current === previous) return;
  if (libc.setns(previous, CLONE_NEWNET) === -1) libc.abort();
  current = previous;
}
