/**
 * The C functions that this project calls: declared once per thread, called from this package alone.
 *
 * Every type is anonymous and every pointer is `void *` to memory that stays where it is (see `memory`), so loading
 * this module twice in one process is harmless. A call that fails returns -1; ask `lastErrno` before anything else.
 */
import koffi, { type KoffiFunc } from 'koffi';
import { LinuxError } from './errors.ts';

const library = koffi.load(null);

type Native = (...args: never[]) => number;

function declare<T extends Native>(
  name: string,
  result: string,
  parameters: readonly string[],
): KoffiFunc<T> {
  return library.func(name, result, [...parameters]) as KoffiFunc<T>;
}

type Pointer = Uint8Array | bigint | undefined;

export const libc = {
  mallopt: declare<(parameter: number, value: number) => number>('mallopt', 'int', ['int', 'int']),
  malloc_trim: declare<(keepBytes: number) => number>('malloc_trim', 'int', ['ulong']),
  setns: declare<(fd: number, type: number) => number>('setns', 'int', ['int', 'int']),
  unshare: declare<(flags: number) => number>('unshare', 'int', ['int']),
  mount: declare<(from: string, to: string, type: string, flags: number, data: Pointer) => number>(
    'mount',
    'int',
    ['str', 'str', 'str', 'ulong', 'void *'],
  ),
  umount2: declare<(path: string, flags: number) => number>('umount2', 'int', ['str', 'int']),
  socket: declare<(family: number, type: number, protocol: number) => number>('socket', 'int', [
    'int',
    'int',
    'int',
  ]),
  setsockopt: declare<(fd: number, level: number, name: number, value: Pointer, size: number) => number>(
    'setsockopt',
    'int',
    ['int', 'int', 'int', 'void *', 'uint32'],
  ),
  getsockopt: declare<(fd: number, level: number, name: number, value: Pointer, size: Pointer) => number>(
    'getsockopt',
    'int',
    ['int', 'int', 'int', 'void *', 'void *'],
  ),
  bind: declare<(fd: number, address: Pointer, size: number) => number>('bind', 'int', [
    'int',
    'void *',
    'uint32',
  ]),
  listen: declare<(fd: number, backlog: number) => number>('listen', 'int', ['int', 'int']),
  connect: declare<(fd: number, address: Pointer, size: number) => number>('connect', 'int', [
    'int',
    'void *',
    'uint32',
  ]),
  socketpair: declare<(family: number, type: number, protocol: number, fds: Pointer) => number>(
    'socketpair',
    'int',
    ['int', 'int', 'int', 'void *'],
  ),
  accept4: declare<(fd: number, address: Pointer, size: Pointer, flags: number) => number>('accept4', 'int', [
    'int',
    'void *',
    'void *',
    'int',
  ]),
  sendmsg: declare<(fd: number, message: Pointer, flags: number) => number>('sendmsg', 'long', [
    'int',
    'void *',
    'int',
  ]),
  recvmsg: declare<(fd: number, message: Pointer, flags: number) => number>('recvmsg', 'long', [
    'int',
    'void *',
    'int',
  ]),
  send: declare<(fd: number, bytes: Pointer, size: number, flags: number) => number>('send', 'long', [
    'int',
    'void *',
    'ulong',
    'int',
  ]),
  recv: declare<(fd: number, bytes: Pointer, size: number, flags: number) => number>('recv', 'long', [
    'int',
    'void *',
    'ulong',
    'int',
  ]),
  /** Variadic in C, as `fcntl`; with one integer argument the convention is the same on x64 and arm64. */
  ioctl: declare<(fd: number, request: number, argument: number) => number>('ioctl', 'int', [
    'int',
    'ulong',
    'ulong',
  ]),
  if_nametoindex: declare<(name: string) => number>('if_nametoindex', 'uint', ['str']),
  fcntl: declare<(fd: number, command: number, argument: number) => number>('fcntl', 'int', [
    'int',
    'int',
    'ulong',
  ]),
  close: declare<(fd: number) => number>('close', 'int', ['int']),
  abort: declare<() => number>('abort', 'void', []),
} as const;

/** Why the call before this one, on this thread, returned -1. */
export function lastErrno(): number {
  return koffi.errno();
}

/** @throws {@link LinuxError} if `result` says that `call` failed. */
export function check(result: number, call: string, context?: string): number {
  if (result === -1) throw new LinuxError(call, lastErrno(), context);
  return result;
}

/** Memory that the kernel may read and write: zeroed, and never moved by the garbage collector. */
export function memory(sizeBytes: number): { readonly bytes: Uint8Array; readonly view: DataView } {
  const buffer = new ArrayBuffer(sizeBytes);
  return { bytes: new Uint8Array(buffer), view: new DataView(buffer) };
}

/** Where `bytes` lie, to be stored in a struct. The caller keeps `bytes` alive while the kernel may look. */
export function addressOf(bytes: Uint8Array): bigint {
  return koffi.address(bytes);
}

/** Byte order of this machine, which `setsockopt` and every struct speak. Linux on x64 and arm64 is little-endian. */
export const HOST_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
