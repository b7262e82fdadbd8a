/**
 * Unix sockets of type SOCK_SEQPACKET: whole messages, each with at most one descriptor.
 *
 * Reading is pulled: nothing is read before somebody asks, so the kernel's buffer is the only queue. A message that is
 * longer than the limit, or that brings more descriptors than one, is an error, and what it brought is closed.
 */
import { lstatSync, mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { MeshError } from '@ambit/core/errors';
import { EAGAIN, EINTR, EINVAL } from './errno.ts';
import { LinuxError } from './errors.ts';
import { check, lastErrno, libc, memory } from './libc.ts';
import { MAX_MESSAGE_BYTES, MAX_SOCKET_PATH_BYTES, SEQPACKET_BACKLOG } from './limits.ts';
import { messageHeader } from './message-header.ts';
import { Readiness } from './readiness.ts';
import { AF_UNIX } from './socket-address.ts';

const SOCK_SEQPACKET = 5;
const NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;

/** The peer sent what no peer of ours sends: too long a message, or too many descriptors. */
export class OversizedMessageError extends MeshError {
  readonly code = 'OVERSIZED_MESSAGE';
  readonly side = 'downstream';

  constructor(what: 'bytes' | 'descriptors', limit: number) {
    super(`message with more than ${limit} ${what === 'bytes' ? 'bytes' : 'descriptor'}`);
  }
}

export interface ReceivedMessage {
  /** A copy; never empty. */
  readonly bytes: Uint8Array;
  /** Close-on-exec; the receiver owns it. */
  readonly fd: number | undefined;
}

// One message is sent or received at a time and copied at once, so one header serves every connection of the thread.
const outgoing = messageHeader(MAX_MESSAGE_BYTES);
const incoming = messageHeader(MAX_MESSAGE_BYTES);

export class SeqpacketConnection implements Disposable {
  readonly #fd: number;
  readonly #readiness: Readiness;

  /** Takes `fd` over. */
  constructor(fd: number) {
    this.#fd = fd;
    this.#readiness = new Readiness(fd);
  }

  get closed(): boolean {
    return this.#readiness.closed;
  }

  /**
   * Sends one message at once; `fd` is duplicated for the peer and stays the caller's.
   *
   * @throws {@link LinuxError} EPIPE if the peer is gone, EAGAIN if it has not read for long, EBADF after `close`.
   */
  send(bytes: Uint8Array, fd?: number): void {
    if (bytes.length === 0 || bytes.length > MAX_MESSAGE_BYTES)
      throw new LinuxError('sendmsg', EINVAL, `message of ${bytes.length} bytes`);
    outgoing.bytes.set(bytes);
    outgoing.prepareSend(bytes.length, fd);
    const own = this.closed ? -1 : this.#fd;
    for (;;) {
      if (libc.sendmsg(own, outgoing.header, MSG_NOSIGNAL) !== -1) return;
      const errno = lastErrno();
      if (errno !== EINTR) throw new LinuxError('sendmsg', errno);
    }
  }

  /**
   * The next message; `undefined` once the peer has closed or `close` was called. One caller at a time.
   *
   * @throws {@link OversizedMessageError} The connection is still usable, the message is lost.
   * @throws {@link LinuxError} ECONNRESET if the peer went away with messages unread.
   */
  async receive(): Promise<ReceivedMessage | undefined> {
    while (!this.closed) {
      const message = this.#take();
      if (message !== 'nothing yet') return message;
      await this.#readiness.readable();
    }
    return undefined;
  }

  /** Idempotent. A pending `receive` ends with `undefined`. */
  close(): void {
    this.#readiness.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #take(): ReceivedMessage | undefined | 'nothing yet' {
    incoming.prepareReceive();
    const size = libc.recvmsg(this.#fd, incoming.header, MSG_CMSG_CLOEXEC);
    if (size === -1) {
      const errno = lastErrno();
      if (errno === EAGAIN || errno === EINTR) return 'nothing yet';
      throw new LinuxError('recvmsg', errno);
    }
    const { fd, cut, fdsCut } = incoming.received();
    if (size > 0 && !cut && !fdsCut) return { bytes: incoming.bytes.slice(0, size), fd };
    if (fd !== undefined) libc.close(fd);
    if (cut) throw new OversizedMessageError('bytes', MAX_MESSAGE_BYTES);
    if (fdsCut) throw new OversizedMessageError('descriptors', 1);
    return undefined;
  }
}

/**
 * Connects at once, for a Unix socket never waits.
 *
 * @throws {@link LinuxError} ENOENT or ECONNREFUSED if nobody listens there, EAGAIN if too many wait for accept.
 */
export function connectSeqpacket(path: string): SeqpacketConnection {
  const fd = check(libc.socket(AF_UNIX, SOCK_SEQPACKET | NONBLOCK_CLOEXEC, 0), 'socket', path);
  try {
    const address = unixAddress(path);
    check(libc.connect(fd, address, address.length), 'connect', path);
  } catch (error) {
    libc.close(fd);
    throw error;
  }
  return new SeqpacketConnection(fd);
}

/** A listening socket at a path, whose file it removes again if it is still its own. */
export class SeqpacketListener implements Disposable {
  readonly #path: string;
  readonly #fd: number;
  readonly #inode: bigint;
  readonly #readiness: Readiness;

  /**
   * Replaces a file that is left at `path`; makes its directory if missing.
   *
   * @throws {@link LinuxError} when the path is too long or cannot be bound.
   */
  constructor(path: string) {
    this.#path = path;
    const address = unixAddress(path);
    mkdirSync(dirname(path), { recursive: true });
    rmSync(path, { force: true });
    const fd = check(libc.socket(AF_UNIX, SOCK_SEQPACKET | NONBLOCK_CLOEXEC, 0), 'socket', path);
    try {
      check(libc.bind(fd, address, address.length), 'bind', path);
      check(libc.listen(fd, SEQPACKET_BACKLOG), 'listen', path);
      this.#inode = lstatSync(path, { bigint: true }).ino;
    } catch (error) {
      libc.close(fd);
      throw error;
    }
    this.#fd = fd;
    this.#readiness = new Readiness(fd);
  }

  /**
   * The next connection; `undefined` once closed. One caller at a time.
   *
   * @throws {@link LinuxError} EMFILE and the like; the connection waits on, so try again later, not at once.
   */
  async accept(): Promise<SeqpacketConnection | undefined> {
    while (!this.#readiness.closed) {
      const fd = libc.accept4(this.#fd, undefined, undefined, NONBLOCK_CLOEXEC);
      if (fd !== -1) return new SeqpacketConnection(fd);
      const errno = lastErrno();
      if (errno !== EAGAIN && errno !== EINTR) throw new LinuxError('accept', errno, this.#path);
      await this.#readiness.readable();
    }
    return undefined;
  }

  /** Idempotent. A pending `accept` ends with `undefined`. */
  close(): void {
    if (this.#readiness.closed) return;
    this.#readiness.close();
    const left = lstatSync(this.#path, { bigint: true, throwIfNoEntry: false });
    if (left?.ino === this.#inode) rmSync(this.#path, { force: true });
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Two connected ends. */
export function seqpacketPair(): readonly [SeqpacketConnection, SeqpacketConnection] {
  const { bytes, view } = memory(8);
  check(libc.socketpair(AF_UNIX, SOCK_SEQPACKET | NONBLOCK_CLOEXEC, 0, bytes), 'socketpair');
  return [new SeqpacketConnection(view.getInt32(0, true)), new SeqpacketConnection(view.getInt32(4, true))];
}

function unixAddress(path: string): Uint8Array {
  const text = Buffer.from(path);
  if (text.length === 0 || text.length > MAX_SOCKET_PATH_BYTES || text.includes(0))
    throw new LinuxError(
      'bind',
      EINVAL,
      `socket path ${JSON.stringify(path)}: at most ${MAX_SOCKET_PATH_BYTES} bytes`,
    );
  const { bytes, view } = memory(2 + text.length + 1);
  view.setUint16(0, AF_UNIX, true);
  bytes.set(text, 2);
  return bytes;
}
