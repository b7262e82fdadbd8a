/** The TCP connections of a network namespace: which there are, and cutting one of them. */
import { formatIp, type Endpoint, type Family } from '@ambit/core/ip';
import { ENOENT } from './errno.ts';
import { LinuxError } from './errors.ts';
import { memory } from './libc.ts';
import { MAX_LISTED_CONNECTIONS } from './limits.ts';
import { attributes, dumpNetlink, NETLINK_SOCK_DIAG, orderNetlink } from './netlink.ts';
import { AF_INET, AF_INET6 } from './socket-address.ts';

const SOCK_DIAG_BY_FAMILY = 20;
const SOCK_DESTROY = 21;
const IPPROTO_TCP = 6;
const REQUEST_BYTES = 56;
const ID_BYTES = 48;
const ANSWER_BYTES = 72;
const INET_DIAG_MARK = 15;

/** Numbers of the kernel's TCP states. */
export const TCP_STATES = {
  established: 1,
  synSent: 2,
  synReceived: 3,
  finWait1: 4,
  finWait2: 5,
  closeWait: 8,
  lastAck: 9,
  listen: 10,
  closing: 11,
} as const;
export type TcpState = keyof typeof TCP_STATES;

/** What carries, or may still carry, bytes of an application. */
export const OPEN_STATES: readonly TcpState[] = [
  'established',
  'synSent',
  'synReceived',
  'finWait1',
  'finWait2',
  'closeWait',
];

export interface TcpConnection {
  readonly state: TcpState;
  /** Canonical: an IPv4 connection of an IPv6 socket is IPv4. */
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** SO_MARK of the socket; 0 for none. `undefined` without CAP_NET_ADMIN. */
  readonly mark: number | undefined;
  /** User id of the socket's owner. */
  readonly uid: number;
  /** Names the socket for {@link destroyTcpConnection}. */
  readonly handle: SocketHandle;
}

/** The kernel's own name of a socket; it never means another one, even when the addresses are used again. */
export interface SocketHandle {
  readonly family: Family;
  readonly id: Uint8Array;
}

export interface TcpListing {
  readonly connections: readonly TcpConnection[];
  /** Otherwise there are more, and which of them are missing nobody knows. */
  readonly isAll: boolean;
}

/**
 * @param maxConnections - Default: {@link MAX_LISTED_CONNECTIONS}.
 * @throws {@link LinuxError} when the kernel has no socket diagnostics.
 */
export function listTcpConnections(
  netnsFd: number,
  states: readonly TcpState[] = OPEN_STATES,
  maxConnections: number = MAX_LISTED_CONNECTIONS,
): TcpListing {
  const mask = states.reduce((bits, state) => bits | (1 << TCP_STATES[state]), 0);
  const connections: TcpConnection[] = [];
  for (const family of [4, 6] as const) {
    const request = {
      netnsFd,
      protocol: NETLINK_SOCK_DIAG,
      type: SOCK_DIAG_BY_FAMILY,
      payload: encodeRequest(family, mask),
      purpose: 'listing TCP connections',
    };
    const { found, isAll } = dumpNetlink(request, maxConnections - connections.length, (answer) =>
      decodeConnection(answer, family),
    );
    for (const connection of found) connections.push(connection);
    if (!isAll) return { connections, isAll };
  }
  return { connections, isAll: true };
}

/**
 * Resets the connection at both ends.
 *
 * @returns false if it is gone already.
 * @throws {@link LinuxError} EPERM without CAP_NET_ADMIN, EOPNOTSUPP if the kernel cannot.
 */
export function destroyTcpConnection(netnsFd: number, { family, id }: SocketHandle): boolean {
  const payloads = [encodeRequest(family, 0xffff_ffff, id)];
  const purpose = 'destroying a TCP connection';
  try {
    orderNetlink(
      { netnsFd, protocol: NETLINK_SOCK_DIAG, type: SOCK_DESTROY, payloads, purpose },
      () => false,
    );
    return true;
  } catch (error) {
    if (error instanceof LinuxError && error.errno === ENOENT) return false;
    throw error;
  }
}

function encodeRequest(family: Family, states: number, id?: Uint8Array): Uint8Array {
  const { bytes, view } = memory(REQUEST_BYTES);
  bytes[0] = family === 4 ? AF_INET : AF_INET6;
  bytes[1] = IPPROTO_TCP;
  view.setUint32(4, states, true);
  if (id) bytes.set(id, 8);
  return bytes;
}

const STATE_NAMES: ReadonlyMap<number, TcpState> = new Map(
  Object.entries(TCP_STATES).map(([name, number]) => [number, name as TcpState]),
);

function decodeConnection(answer: DataView, family: Family): TcpConnection | undefined {
  if (answer.byteLength < ANSWER_BYTES) return undefined;
  const state = STATE_NAMES.get(answer.getUint8(1));
  const local = endpoint(answer, family, 8, 4);
  const remote = endpoint(answer, family, 24, 6);
  if (!state || !local || !remote) return undefined;
  const mark = [...attributes(answer, ANSWER_BYTES)].find(({ type }) => type === INET_DIAG_MARK);
  return {
    state,
    local,
    remote,
    mark: mark?.value.getUint32(0, true),
    uid: answer.getUint32(64, true),
    handle: { family, id: new Uint8Array(answer.buffer, answer.byteOffset + 4, ID_BYTES).slice() },
  };
}

function endpoint(answer: DataView, family: Family, ipAt: number, portAt: number): Endpoint | undefined {
  const bytes = new Uint8Array(answer.buffer, answer.byteOffset + ipAt, family === 4 ? 4 : 16);
  const ip = formatIp(bytes);
  return ip === undefined ? undefined : { ip, port: answer.getUint16(portAt) };
}
