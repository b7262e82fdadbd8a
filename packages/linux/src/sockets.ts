/**
 * TCP and UDP sockets in any network namespace, as file descriptors that Node then adopts: `server.listen({fd})`,
 * `new net.Socket({fd})`, `dgram.bind({fd})`.
 *
 * A socket belongs for ever to the namespace it was made in, so only these few synchronous calls happen there. A
 * function that throws has closed what it opened. The fds are non-blocking and close-on-exec; the caller owns them.
 */
import { familyOf, formatHostPort } from '@ambit/core/ip';
import { EAGAIN, EINPROGRESS, EINTR } from './errno.ts';
import { LinuxError } from './errors.ts';
import { check, lastErrno, libc } from './libc.ts';
import { congestionControl, trySetCongestionControl, withinMachine } from './congestion-control.ts';
import { enterNetns, leaveNetns, NETNS_CURRENT } from './netns.ts';
import {
  type KeepAlive,
  keepAlive,
  setBindAddressNoPort,
  setMark,
  setNoDelay,
  setReuseAddress,
  setReusePort,
  setTransparent,
  setV6Only,
  tryLocalPortRange,
  trySetTransparent,
} from './options.ts';
import { AF_INET, AF_INET6, addressBuffer, writeAddress } from './socket-address.ts';

export { type KeepAlive, keepAlive, NETNS_CURRENT, setNoDelay };

const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const MSG_DONTWAIT = 0x40;
const DEFAULT_BACKLOG = 128;
/** RFC 863: whoever is there says nothing. */
const DISCARD_PORT = 9;

const address = addressBuffer();

export interface ListenOptions {
  /** Where the socket lives. Default: the namespace this thread is in. */
  readonly netnsFd?: number;
  readonly ip: string;
  /** 0: the kernel chooses. */
  readonly port: number;
  /** Connections that wait for accept. Default 128. Node sets it anew when it adopts the fd. */
  readonly backlog?: number;
  readonly mark?: number;
  /** Whether connections may be accepted for, and made from, foreign addresses. Default 'never'. */
  readonly transparent?: 'never' | 'try' | 'must';
  /** Several sockets share the port; the kernel spreads connections over them. Default false. */
  readonly reusePort?: boolean;
  /** For an IPv6 `ip`: refuse IPv4 peers. Default false. */
  readonly v6only?: boolean;
  /** Inherited by accepted connections, at no cost per connection. */
  readonly keepalive?: KeepAlive;
  /** Inherited by accepted connections. Default false. */
  readonly noDelay?: boolean;
  /** Accepted connections have the congestion control of those that do not leave the machine. Default false. */
  readonly withinMachine?: boolean;
}

export interface ListeningSocket {
  readonly fd: number;
  /** Whether foreign addresses work: never true for 'never', always for 'must'. */
  readonly transparent: boolean;
  /** The namespace's own, and another one for connections that do not leave the machine, if they should have one. */
  readonly congestionControl: { readonly own: string; readonly withinMachine: string | undefined };
}

/**
 * A bound, listening TCP socket.
 *
 * @throws {@link LinuxError} EADDRINUSE if the port is taken, EPERM for a mark or 'must' without the capability.
 */
export function listenTcp(options: ListenOptions): ListeningSocket {
  const family = familyOf(options.ip);
  const { transparent: wish = 'never' } = options;
  return inNetns(options.netnsFd, family, SOCK_STREAM, (fd) => {
    setReuseAddress(fd);
    if (options.reusePort) setReusePort(fd);
    if (options.mark !== undefined) setMark(fd, options.mark);
    if (options.keepalive) keepAlive(fd, options.keepalive);
    if (options.noDelay) setNoDelay(fd);
    if (family === 6) setV6Only(fd, options.v6only ?? false);
    if (wish === 'must') setTransparent(fd, family);
    const transparent = wish === 'must' || (wish === 'try' && trySetTransparent(fd, family));
    const own = congestionControl(fd);
    const control = { own, withinMachine: withinMachine(own) };
    // Before the first connection: BBR that has begun leaves its timers behind.
    if (options.withinMachine && control.withinMachine !== undefined) {
      trySetCongestionControl(fd, control.withinMachine);
    }
    bind(fd, options.ip, options.port, family);
    check(
      libc.listen(fd, options.backlog ?? DEFAULT_BACKLOG),
      'listen',
      formatHostPort(options.ip, options.port),
    );
    return { fd, transparent, congestionControl: control };
  });
}

/** The next connection that waits for the listener to take it, as an fd that the caller owns; `undefined`: none does. */
export function acceptWaiting(listenerFd: number): number | undefined {
  const fd = libc.accept4(listenerFd, undefined, undefined, NONBLOCK_CLOEXEC);
  return fd === -1 ? undefined : fd;
}

export interface TcpSocketOptions {
  readonly netnsFd?: number;
  readonly family: 4 | 6;
  readonly mark?: number;
  /**
   * The source address. With `transparent` it may be anybody's: the original client's. Port 0: chosen at connect; another
   * is shared with connections to elsewhere.
   */
  readonly bind?: { readonly ip: string; readonly port: number; readonly transparent: boolean };
  readonly keepalive?: KeepAlive;
  /** Where the local port is chosen from, on kernels that can; see {@link tryLocalPortRange}. Default: anywhere. */
  readonly localPorts?: { readonly from: number; readonly to: number };
  /** By the kernel's name, if it has that. Default: the namespace's. */
  readonly congestionControl?: string;
}

/**
 * An unconnected TCP socket, for `new net.Socket({fd})` and `connect`, or for {@link startConnect}. On the path of every new connection, so it
 * allocates nothing and makes no call that its options do not need.
 *
 * @throws {@link LinuxError} EPERM for a mark or transparency without the capability; EADDRNOTAVAIL for the source.
 */
export function tcpSocket(options: TcpSocketOptions): number {
  const { family, mark, bind: source, keepalive, localPorts, congestionControl } = options;
  const fd = openIn(options.netnsFd, family === 4 ? AF_INET : AF_INET6);
  try {
    if (mark !== undefined) setMark(fd, mark);
    if (keepalive) keepAlive(fd, keepalive);
    if (localPorts) tryLocalPortRange(fd, localPorts.from, localPorts.to);
    if (congestionControl !== undefined) trySetCongestionControl(fd, congestionControl);
    if (source) {
      if (source.transparent) setTransparent(fd, family);
      if (source.port === 0) setBindAddressNoPort(fd);
      else setReuseAddress(fd);
      bind(fd, source.ip, source.port, family);
    }
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/**
 * Begins to connect an unconnected socket. Within one machine the kernel has shaken hands, most of the time, before this
 * returns: whoever adopts the fd finds out.
 *
 * @returns 0, or what stands in the way as a negative errno; `fd` is the caller's either way.
 */
export function startConnect(fd: number, ip: string, port: number, family: 4 | 6): number {
  const size = writeAddress(address, ip, port, family);
  if (libc.connect(fd, address.bytes, size) === 0) return 0;
  const errno = lastErrno();
  return errno === EINPROGRESS || errno === EINTR ? 0 : -errno;
}

/**
 * Reads what is there already.
 *
 * @returns How many bytes that is, or a negative errno. 0: nothing, or the end; a later read finds out which.
 */
export function receiveWaiting(fd: number, into: Uint8Array): number {
  const count = libc.recv(fd, into, into.length, MSG_DONTWAIT);
  if (count >= 0) return count;
  const errno = lastErrno();
  return errno === EAGAIN || errno === EINTR ? 0 : -errno;
}

export interface UdpSocketOptions {
  readonly netnsFd?: number;
  readonly ip: string;
  /** 0: the kernel chooses. */
  readonly port: number;
  readonly mark?: number;
  readonly reusePort?: boolean;
}

/** A bound UDP socket, for `dgram.createSocket(…).bind({fd})`. IPv6 sockets take IPv6 alone. */
export function udpSocket(options: UdpSocketOptions): number {
  const family = familyOf(options.ip);
  return inNetns(options.netnsFd, family, SOCK_DGRAM, (fd) => {
    if (options.reusePort) setReusePort(fd);
    if (options.mark !== undefined) setMark(fd, options.mark);
    if (family === 6) setV6Only(fd, true);
    bind(fd, options.ip, options.port, family);
    return fd;
  });
}

/**
 * Takes a bound UDP socket out of those that share its port: it receives nothing new. What it holds can still be read, and it
 * still sends to whom it wants, from its own address. For that it is connected to a peer that is not there.
 *
 * @param ip - That it is bound to. One of no particular address (`0.0.0.0`) would not send from where it did before, and is
 * left as it is.
 */
export function retireUdp(fd: number, ip: string): void {
  const family = familyOf(ip);
  if (ip === (family === 4 ? '0.0.0.0' : '::')) return;
  const size = writeAddress(address, ip, DISCARD_PORT, family);
  check(libc.connect(fd, address.bytes, size), 'connect', formatHostPort(ip, DISCARD_PORT));
}

/** The fd behind a Node socket or server; `undefined` once it is closed. */
export function fdOf(socket: object): number | undefined {
  const { _handle: handle } = socket as { readonly _handle?: { readonly fd?: number } | null };
  const fd = handle?.fd;
  return fd === undefined || fd < 0 ? undefined : fd;
}

function openIn(netnsFd: number | undefined, domain: number): number {
  const previous = enterNetns(netnsFd ?? NETNS_CURRENT);
  try {
    return check(libc.socket(domain, SOCK_STREAM | NONBLOCK_CLOEXEC, 0), 'socket');
  } finally {
    leaveNetns(previous);
  }
}

function inNetns<T>(netnsFd: number | undefined, family: 4 | 6, type: number, prepare: (fd: number) => T): T {
  const previous = enterNetns(netnsFd ?? NETNS_CURRENT);
  try {
    const fd = check(libc.socket(family === 4 ? AF_INET : AF_INET6, type | NONBLOCK_CLOEXEC, 0), 'socket');
    try {
      return prepare(fd);
    } catch (error) {
      libc.close(fd);
      throw error;
    }
  } finally {
    leaveNetns(previous);
  }
}

function bind(fd: number, ip: string, port: number, family: 4 | 6): void {
  const size = writeAddress(address, ip, port, family);
  if (libc.bind(fd, address.bytes, size) === -1)
    throw new LinuxError('bind', lastErrno(), formatHostPort(ip, port));
}
