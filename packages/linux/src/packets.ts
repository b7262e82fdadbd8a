/** Frames as they cross an interface of some network namespace, both ways. Needs CAP_NET_RAW there. */
import { EAGAIN, EINTR, ENETDOWN, ENODEV } from './errno.ts';
import { LinuxError } from './errors.ts';
import { check, lastErrno, libc, memory } from './libc.ts';
import { MAX_FRAME_BYTES } from './limits.ts';
import { enterNetns, leaveNetns } from './netns.ts';
import { Readiness } from './readiness.ts';

const AF_PACKET = 17;
const SOCK_RAW = 3;
const NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
/** ETH_P_ALL in network byte order. */
const EVERY_PROTOCOL = 0x0300;
const ADDRESS_BYTES = 20;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const RECEIVE_BUFFER_BYTES = 8 * 1024 * 1024;

const frame = memory(MAX_FRAME_BYTES);

export interface PacketSocketOptions {
  readonly netnsFd: number;
  readonly interfaceName: string;
}

export class PacketSocket implements Disposable {
  readonly #fd: number;
  readonly #readiness: Readiness;

  /** @throws {@link LinuxError} ENODEV if there is no such interface, EPERM without the capability. */
  constructor({ netnsFd, interfaceName }: PacketSocketOptions) {
    this.#fd = openPacketSocket(netnsFd, interfaceName);
    this.#readiness = new Readiness(this.#fd);
  }

  /**
   * The next frame, from its Ethernet header on; `undefined` once closed or when the interface is gone. Frames that nobody
   * takes are kept in the kernel, up to some megabytes. One caller at a time.
   */
  async receive(): Promise<Uint8Array | undefined> {
    while (!this.#readiness.closed) {
      const size = libc.recv(this.#fd, frame.bytes, frame.bytes.length, 0);
      if (size > 0) return frame.bytes.slice(0, size);
      const errno = lastErrno();
      if (errno === ENETDOWN) return undefined;
      if (errno !== EAGAIN && errno !== EINTR) throw new LinuxError('recv', errno, 'frames');
      await this.#readiness.readable();
    }
    return undefined;
  }

  close(): void {
    this.#readiness.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function openPacketSocket(netnsFd: number, interfaceName: string): number {
  const previous = enterNetns(netnsFd);
  try {
    const index = libc.if_nametoindex(interfaceName);
    if (index === 0) throw new LinuxError('if_nametoindex', ENODEV, interfaceName);
    const fd = check(libc.socket(AF_PACKET, SOCK_RAW | NONBLOCK_CLOEXEC, 0), 'socket', interfaceName);
    try {
      const { bytes, view } = memory(ADDRESS_BYTES);
      view.setUint32(0, RECEIVE_BUFFER_BYTES, true);
      // Without the privilege to go over the machine's limit, its limit has to do.
      libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes, 4);
      view.setUint16(0, AF_PACKET, true);
      view.setUint16(2, EVERY_PROTOCOL, true);
      view.setInt32(4, index, true);
      check(libc.bind(fd, bytes, bytes.length), 'bind', interfaceName);
      return fd;
    } catch (error) {
      libc.close(fd);
      throw error;
    }
  } finally {
    leaveNetns(previous);
  }
}
