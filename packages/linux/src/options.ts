/** Socket options by meaning. Values come from preallocated memory: these run for every proxied connection. */
import { LinuxError } from './errors.ts';
import { EPERM } from './errno.ts';
import { check, HOST_LITTLE_ENDIAN, lastErrno, libc, memory } from './libc.ts';

const SOL_SOCKET = 1;
const IPPROTO_IP = 0;
const IPPROTO_TCP = 6;
const IPPROTO_IPV6 = 41;
const SO_REUSEADDR = 2;
const SO_KEEPALIVE = 9;
const SO_REUSEPORT = 15;
const SO_MARK = 36;
const IP_TRANSPARENT = 19;
const IP_BIND_ADDRESS_NO_PORT = 24;
const IP_LOCAL_PORT_RANGE = 51;
const IPV6_V6ONLY = 26;
const IPV6_TRANSPARENT = 75;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_USER_TIMEOUT = 18;

/** How the kernel finds out that a silent peer is gone. */
export interface KeepAlive {
  /** Whole seconds of silence before the first probe. */
  readonly idleSeconds: number;
  /** Whole seconds between probes. */
  readonly intervalSeconds: number;
  /** Unanswered probes before the connection fails. */
  readonly probes: number;
  /** How long sent bytes may stay unacknowledged; the kernel's own rule when left out. */
  readonly userTimeoutMs?: number;
}

const value = memory(4);

function setInt(fd: number, level: number, option: number, int: number): number {
  value.view.setInt32(0, int, HOST_LITTLE_ENDIAN);
  return libc.setsockopt(fd, level, option, value.bytes, 4);
}

function must(fd: number, level: number, option: number, int: number, name: string): void {
  if (setInt(fd, level, option, int) === -1)
    throw new LinuxError('setsockopt', lastErrno(), `${name} ${int}`);
}

/** Packets of this socket carry `mark`. @throws {@link LinuxError} EPERM without CAP_NET_ADMIN. */
export function setMark(fd: number, mark: number): void {
  must(fd, SOL_SOCKET, SO_MARK, mark, 'SO_MARK');
}

export function setReuseAddress(fd: number): void {
  must(fd, SOL_SOCKET, SO_REUSEADDR, 1, 'SO_REUSEADDR');
}

export function setReusePort(fd: number): void {
  must(fd, SOL_SOCKET, SO_REUSEPORT, 1, 'SO_REUSEPORT');
}

export function setV6Only(fd: number, only: boolean): void {
  must(fd, IPPROTO_IPV6, IPV6_V6ONLY, only ? 1 : 0, 'IPV6_V6ONLY');
}

/** The local port is chosen at connect, so that it need be unique only for that destination. */
export function setBindAddressNoPort(fd: number): void {
  must(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1, 'IP_BIND_ADDRESS_NO_PORT');
}

/**
 * The port chosen at connect lies between `from` and `to`. The kernel looks through its range in one fixed order, which
 * takes milliseconds once thousands of connections to one destination have just ended; a small range bounds that.
 *
 * Best effort: kernels before 6.3 know no such thing, and a range outside the namespace's own counts for nothing.
 */
export function tryLocalPortRange(fd: number, from: number, to: number): void {
  setInt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, (to << 16) | from);
}

export function setNoDelay(fd: number): void {
  must(fd, IPPROTO_TCP, TCP_NODELAY, 1, 'TCP_NODELAY');
}

/** The socket may use addresses that are not this machine's. @returns false without the capability for it. */
export function trySetTransparent(fd: number, family: 4 | 6): boolean {
  // An IPv6 socket that speaks to IPv4 peers needs both, and keeps one flag for the two.
  const result =
    family === 4 ? setInt(fd, IPPROTO_IP, IP_TRANSPARENT, 1) : setInt(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1);
  if (result !== -1) return true;
  const errno = lastErrno();
  if (errno === EPERM) return false;
  throw new LinuxError('setsockopt', errno, 'IP_TRANSPARENT');
}

export function setTransparent(fd: number, family: 4 | 6): void {
  if (!trySetTransparent(fd, family)) throw new LinuxError('setsockopt', EPERM, 'IP_TRANSPARENT');
}

/** Turns keepalive on. On a listening socket, accepted connections inherit it. */
export function keepAlive(
  fd: number,
  { idleSeconds, intervalSeconds, probes, userTimeoutMs }: KeepAlive,
): void {
  must(fd, SOL_SOCKET, SO_KEEPALIVE, 1, 'SO_KEEPALIVE');
  must(fd, IPPROTO_TCP, TCP_KEEPIDLE, idleSeconds, 'TCP_KEEPIDLE');
  must(fd, IPPROTO_TCP, TCP_KEEPINTVL, intervalSeconds, 'TCP_KEEPINTVL');
  must(fd, IPPROTO_TCP, TCP_KEEPCNT, probes, 'TCP_KEEPCNT');
  if (userTimeoutMs !== undefined) must(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, userTimeoutMs, 'TCP_USER_TIMEOUT');
}

const size = memory(4);

/** An integer option's value, for tests and dumps. */
export function intOption(fd: number, level: number, option: number): number {
  size.view.setUint32(0, 4, HOST_LITTLE_ENDIAN);
  check(
    libc.getsockopt(fd, level, option, value.bytes, size.bytes),
    'getsockopt',
    `level ${level} option ${option}`,
  );
  return value.view.getInt32(0, HOST_LITTLE_ENDIAN);
}
