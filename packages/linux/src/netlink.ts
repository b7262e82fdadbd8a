/**
 * Netlink questions to the kernel, asked and answered within one synchronous call: it answers at once, from memory.
 * The socket lives in the namespace that is asked about and is closed before the function returns.
 */
import { LimitError } from '@ambit/core/errors';
import { EAGAIN, EINTR } from './errno.ts';
import { LinuxError } from './errors.ts';
import { check, lastErrno, libc, memory } from './libc.ts';
import { MAX_DUMP_READINGS, NETLINK_READ_BYTES } from './limits.ts';
import { enterNetns, leaveNetns } from './netns.ts';

export const NETLINK_ROUTE = 0;
export const NETLINK_SOCK_DIAG = 4;
export const NETLINK_NETFILTER = 12;
export const NLM_F_ACK = 0x4;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NLM_F_REQUEST = 0x1;
const NLM_F_DUMP = 0x300;
const NLM_F_DUMP_INTR = 0x10;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const MSG_DONTWAIT = 0x40;
const HEADER_BYTES = 16;
/** Their answers have room in what the kernel keeps for a socket. */
const ORDERS_AT_A_TIME = 64;

/** Whom to ask, and in words what for. */
interface NetlinkAsked {
  readonly netnsFd: number;
  readonly protocol: number;
  /** For errors. */
  readonly purpose: string;
}

export interface NetlinkOrders extends NetlinkAsked {
  readonly type: number;
  /** Besides the request for an acknowledgement. Default: none. */
  readonly flags?: number;
  readonly payloads: readonly Uint8Array[];
}

export interface NetlinkDump extends NetlinkAsked {
  readonly type: number;
  readonly payload: Uint8Array;
}

export interface Dumped<T> {
  readonly found: readonly T[];
  /** Otherwise there were more answers than are read. */
  readonly isAll: boolean;
}

/**
 * Asks for all there is of something. What changes while the kernel tells it may be missing, or told twice: then it is asked
 * again, {@link MAX_DUMP_READINGS} times in all.
 *
 * @param maxMessages - So many answers are read.
 * @param read - What an answer says; `undefined` leaves it out. Its memory is the next one's: nothing may point into it.
 * @throws {@link LinuxError} with what the kernel answered; EINTR if it changed during every reading.
 */
export function dumpNetlink<T>(
  request: NetlinkDump,
  maxMessages: number,
  read: (payload: DataView) => T | undefined,
): Dumped<T> {
  const text = encode({ ...request, flags: NLM_F_DUMP });
  for (let n = 0; n < MAX_DUMP_READINGS; n++) {
    const fd = openNetlink(request);
    try {
      check(libc.send(fd, text, text.length, 0), 'send', request.purpose);
      const dumped = readDump(fd, request.purpose, maxMessages, read);
      if (dumped) return dumped;
    } finally {
      libc.close(fd);
    }
  }
  const why = `${request.purpose}: it changed during each of ${MAX_DUMP_READINGS} readings`;
  throw new LinuxError('netlink', EINTR, why);
}

/**
 * {@link dumpNetlink} where a part is of no use.
 *
 * @throws {@link LimitError} if there are more answers than `maxMessages`.
 */
export function dumpAllNetlink<T>(
  request: NetlinkDump,
  maxMessages: number,
  read: (payload: DataView) => T | undefined,
): readonly T[] {
  const { found, isAll } = dumpNetlink(request, maxMessages, read);
  if (!isAll) throw new LimitError(request.purpose, maxMessages, 'answers');
  return found;
}

/**
 * Has the kernel do one thing after the other, many with each system call; it stops at none.
 *
 * @param mayFail - Errors of single orders that do not matter.
 * @throws {@link LinuxError} with the first other one that the kernel answered. What is behind it in the same batch is done.
 */
export function orderNetlink(
  { payloads, type, flags = 0, ...asked }: NetlinkOrders,
  mayFail: (errno: number) => boolean,
): void {
  const batches = function* () {
    for (let from = 0; from < payloads.length; from += ORDERS_AT_A_TIME) {
      const batch = payloads.slice(from, from + ORDERS_AT_A_TIME);
      yield {
        text: Buffer.concat(
          batch.map((payload) => padded(encode({ type, flags: flags | NLM_F_ACK, payload }))),
        ),
        orders: batch.length,
      };
    }
  };
  orderInBatches(asked, batches(), mayFail);
}

export interface OrderBatch {
  /** Messages as the kernel reads them in one system call. */
  readonly text: Uint8Array;
  /** How many of them ask for an acknowledgement. */
  readonly orders: number;
}

/**
 * Sends one batch after the other, up to one that has a problem.
 *
 * @param mayFail - Errors of single orders that do not matter.
 * @throws {@link LinuxError} with the first other one that the kernel answered; EAGAIN if there are orders that it did not
 * answer.
 */
export function orderInBatches(
  asked: NetlinkAsked,
  batches: Iterable<OrderBatch>,
  mayFail: (errno: number) => boolean,
): void {
  const fd = openNetlink(asked);
  try {
    const buffer = memory(NETLINK_READ_BYTES);
    for (const { text, orders } of batches) {
      check(libc.send(fd, text, text.length, 0), 'send', asked.purpose);
      readAcknowledgements(fd, asked.purpose, buffer, orders, mayFail);
    }
  } finally {
    libc.close(fd);
  }
}

/** The kernel answers within `send`, so nothing is waited for: a transaction that it refuses may have one answer in all. */
function readAcknowledgements(
  fd: number,
  purpose: string,
  buffer: ReturnType<typeof memory>,
  wanted: number,
  mayFail: (errno: number) => boolean,
): void {
  let problem = 0;
  let count = 0;
  for (;;) {
    const size = libc.recv(fd, buffer.bytes, buffer.bytes.length, MSG_DONTWAIT);
    const why = size === -1 ? lastErrno() : 0;
    if (why === EINTR) continue;
    if (why === EAGAIN) break;
    check(size, 'recv', purpose);
    for (const { type, payload } of messages(buffer.view, size)) {
      if (type !== NLMSG_ERROR) continue;
      count += 1;
      const errno = -payload.getInt32(0, true);
      if (errno !== 0 && problem === 0 && !mayFail(errno)) problem = errno;
    }
  }
  if (problem === 0 && count < wanted) problem = EAGAIN;
  if (problem !== 0) throw new LinuxError('netlink', problem, purpose);
}

/** To the length at which the next message may begin. */
export function padded(message: Uint8Array): Uint8Array {
  const rest = -message.length & 3;
  return rest === 0 ? message : Buffer.concat([message, new Uint8Array(rest)]);
}

/** A socket; the caller closes it. */
function openNetlink({ netnsFd, protocol, purpose }: NetlinkAsked): number {
  const previous = enterNetns(netnsFd);
  try {
    return check(libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, protocol), 'socket', purpose);
  } finally {
    leaveNetns(previous);
  }
}

export function encode({
  type,
  flags,
  payload,
}: {
  readonly type: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}): Uint8Array {
  const { bytes, view } = memory(HEADER_BYTES + payload.length);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags | NLM_F_REQUEST, true);
  view.setUint32(8, 1, true);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/** `undefined`: it changed meanwhile. */
function readDump<T>(
  fd: number,
  purpose: string,
  maxMessages: number,
  read: (payload: DataView) => T | undefined,
): Dumped<T> | undefined {
  const buffer = memory(NETLINK_READ_BYTES);
  const found: T[] = [];
  let count = 0;
  for (;;) {
    const size = libc.recv(fd, buffer.bytes, buffer.bytes.length, 0);
    if (size === -1 && lastErrno() === EINTR) continue;
    check(size, 'recv', purpose);
    for (const { type, flags, payload } of messages(buffer.view, size)) {
      if ((flags & NLM_F_DUMP_INTR) !== 0) return undefined;
      if (type === NLMSG_DONE || type === NLMSG_ERROR) {
        // What went wrong, the kernel mostly tells at the end of a list, be it an empty one.
        const errno = payload.byteLength < 4 ? 0 : -payload.getInt32(0, true);
        if (errno > 0) throw new LinuxError('netlink', errno, purpose);
        return { found, isAll: true };
      }
      if (++count > maxMessages) return { found, isAll: false };
      const one = read(payload);
      if (one !== undefined) found.push(one);
    }
  }
}

function* messages(
  view: DataView,
  size: number,
): Generator<{ readonly type: number; readonly flags: number; readonly payload: DataView }> {
  for (let at = 0; at + HEADER_BYTES <= size; ) {
    const length = view.getUint32(at, true);
    if (length < HEADER_BYTES || at + length > size) return;
    const payload = new DataView(view.buffer, at + HEADER_BYTES, length - HEADER_BYTES);
    yield { type: view.getUint16(at + 4, true), flags: view.getUint16(at + 6, true), payload };
    at += (length + 3) & ~3;
  }
}

/** The attributes that follow a fixed part of `from` bytes: type and value. */
export function* attributes(
  payload: DataView,
  from: number,
): Generator<{ readonly type: number; readonly value: DataView }> {
  for (let at = from; at + 4 <= payload.byteLength; ) {
    const length = payload.getUint16(at, true);
    if (length < 4 || at + length > payload.byteLength) return;
    const value = new DataView(payload.buffer, payload.byteOffset + at + 4, length - 4);
    yield { type: payload.getUint16(at + 2, true) & 0x3fff, value };
    at += (length + 3) & ~3;
  }
}
