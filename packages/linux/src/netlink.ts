/**
 * Netlink questions to the kernel, asked and answered within one synchronous call: it answers at once, from memory.
 * The socket lives in the namespace that is asked about and is closed before the function returns.
 */
import { LimitError } from '@ambit/core/errors';
import { EINTR } from './errno.ts';
import { LinuxError } from './errors.ts';
import { check, lastErrno, libc, memory } from './libc.ts';
import { NETLINK_READ_BYTES } from './limits.ts';
import { enterNetns, leaveNetns } from './netns.ts';

export const NETLINK_ROUTE = 0;
export const NETLINK_SOCK_DIAG = 4;
export const NETLINK_NETFILTER = 12;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NLM_F_REQUEST = 0x1;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const HEADER_BYTES = 16;

export interface NetlinkRequest {
  readonly netnsFd: number;
  readonly protocol: number;
  readonly type: number;
  readonly flags: number;
  readonly payload: Uint8Array;
  /** In words, for errors. */
  readonly purpose: string;
}

/**
 * Sends one request and calls `message` with each answer's payload until the kernel says that this was all.
 *
 * @param maxMessages - More answers than this are an error, not a longer list.
 * @throws {@link LinuxError} with what the kernel answered.
 */
export function askNetlink(
  request: NetlinkRequest,
  maxMessages: number,
  message: (payload: DataView) => void,
): void {
  const fd = open(request);
  try {
    const text = encode(request);
    check(libc.send(fd, text, text.length, 0), 'send', request.purpose);
    readAll(fd, request.purpose, maxMessages, message);
  } finally {
    libc.close(fd);
  }
}

function open({ netnsFd, protocol, purpose }: NetlinkRequest): number {
  const previous = enterNetns(netnsFd);
  try {
    return check(libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, protocol), 'socket', purpose);
  } finally {
    leaveNetns(previous);
  }
}

function encode({ type, flags, payload }: NetlinkRequest): Uint8Array {
  const { bytes, view } = memory(HEADER_BYTES + payload.length);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags | NLM_F_REQUEST, true);
  view.setUint32(8, 1, true);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

function readAll(
  fd: number,
  purpose: string,
  maxMessages: number,
  message: (payload: DataView) => void,
): void {
  const buffer = memory(NETLINK_READ_BYTES);
  let count = 0;
  for (;;) {
    const size = libc.recv(fd, buffer.bytes, buffer.bytes.length, 0);
    if (size === -1 && lastErrno() === EINTR) continue;
    check(size, 'recv', purpose);
    for (const { type, payload } of messages(buffer.view, size)) {
      if (type === NLMSG_DONE) return;
      if (type === NLMSG_ERROR) {
        const errno = -payload.getInt32(0, true);
        if (errno !== 0) throw new LinuxError('netlink', errno, purpose);
        return;
      }
      if (++count > maxMessages) throw new LimitError(purpose, maxMessages, 'answers');
      message(payload);
    }
  }
}

function* messages(
  view: DataView,
  size: number,
): Generator<{ readonly type: number; readonly payload: DataView }> {
  for (let at = 0; at + HEADER_BYTES <= size; ) {
    const length = view.getUint32(at, true);
    if (length < HEADER_BYTES || at + length > size) return;
    const payload = new DataView(view.buffer, at + HEADER_BYTES, length - HEADER_BYTES);
    yield { type: view.getUint16(at + 4, true), payload };
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
