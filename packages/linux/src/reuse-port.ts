/**
 * Which of several sockets that share a port gets a connection: told by the client's port, so that a client may choose.
 *
 * The kernel chooses by a hash of both ends, so that of two connections to two sockets both go to one of them every other
 * time. Where each is a tunnel, and carries all that one thread has for another, a thread idles then. Here half of the
 * client's port, modulo the number of sockets, says which: a client that wants two connections to be served apart gives
 * them ports that differ in that (see {@link portsServedBy}); one that does not care is served by chance, as ever.
 *
 * A classic BPF program on the group of sockets does that (`man 7 socket`, SO_ATTACH_REUSEPORT_CBPF); it needs no
 * privilege. It names a socket by its place in the group, where sockets stand in the order in which they began to listen;
 * when one closes, the last one takes its place. If the place is empty, or what came is no TCP straight in IPv4 or IPv6,
 * the hash decides. So a program that is older than the group, or belongs to another process that shares the port, can pick
 * a socket that was not meant, and never none.
 */
import { addressOf, HOST_LITTLE_ENDIAN, libc, memory } from './libc.ts';

const SOL_SOCKET = 1;
const SO_ATTACH_REUSEPORT_CBPF = 51;

/** `linux/bpf_common.h` and `linux/filter.h`. */
const LOAD_BYTE = 0x30;
const LOAD_HALF = 0x28;
const LOAD_HALF_AT_X = 0x48;
/** `4 * (byte & 0xf)`: what the first octet of an IPv4 header says of its length. */
const LOAD_X_HEADER_LENGTH = 0xb1;
const SHIFT_RIGHT = 0x74;
const MODULO = 0x94;
const JUMP_IF_EQUAL = 0x15;
const JUMP = 0x05;
const RETURN = 0x06;
const RETURN_RESULT = 0x16;

/** For TCP the program's packet begins behind the TCP header; from here on offsets count from the IP header. */
const FROM_IP_HEADER = -0x10_0000;
const IPV6_NEXT_HEADER = 6;
const IPV6_HEADER_BYTES = 40;
const IPPROTO_TCP = 6;
/** More than there are sockets: the hash decides. */
const NONE = 0xffff_ffff;

/** `struct sock_filter`, and `struct sock_fprog`: how many of them, and where they lie. */
const INSTRUCTION_BYTES = 8;
const PROGRAM_HEADER_BYTES = 16;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, operand: number];

/** Half of the client's port, modulo `sockets`; jumps count from the next instruction. */
function program(sockets: number): readonly Instruction[] {
  return [
    [LOAD_BYTE, 0, 0, FROM_IP_HEADER],
    [SHIFT_RIGHT, 0, 0, 4],
    [JUMP_IF_EQUAL, 0, 3, 4],
    [LOAD_X_HEADER_LENGTH, 0, 0, FROM_IP_HEADER],
    [LOAD_HALF_AT_X, 0, 0, FROM_IP_HEADER],
    [JUMP, 0, 0, 4],
    [JUMP_IF_EQUAL, 0, 6, 6],
    [LOAD_BYTE, 0, 0, FROM_IP_HEADER + IPV6_NEXT_HEADER],
    [JUMP_IF_EQUAL, 0, 4, IPPROTO_TCP],
    [LOAD_HALF, 0, 0, FROM_IP_HEADER + IPV6_HEADER_BYTES],
    [SHIFT_RIGHT, 0, 0, 1],
    [MODULO, 0, 0, sockets],
    [RETURN_RESULT, 0, 0, 0],
    [RETURN, 0, 0, NONE],
  ];
}

/**
 * Lets the client's port choose among `sockets` sockets: those that share the port of `fd`, which listens with
 * SO_REUSEPORT. The last call counts for all of them. Best effort.
 *
 * @returns false if the kernel refuses; then its hash decides, as without the call.
 */
export function tryServeByClientPort(fd: number, sockets: number): boolean {
  const instructions = program(sockets);
  const { bytes, view } = memory(instructions.length * INSTRUCTION_BYTES);
  for (const [index, [code, ifTrue, ifFalse, operand]] of instructions.entries()) {
    const at = index * INSTRUCTION_BYTES;
    view.setUint16(at, code, HOST_LITTLE_ENDIAN);
    view.setUint8(at + 2, ifTrue);
    view.setUint8(at + 3, ifFalse);
    view.setUint32(at + 4, operand, HOST_LITTLE_ENDIAN);
  }
  const { bytes: header, view: headerView } = memory(PROGRAM_HEADER_BYTES);
  headerView.setUint16(0, instructions.length, HOST_LITTLE_ENDIAN);
  headerView.setBigUint64(8, addressOf(bytes), HOST_LITTLE_ENDIAN);
  return libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, header, header.length) === 0;
}

/** Ports at which a client is served by the socket in place `place` of `sockets`: the two of block number `block`. */
export function portsServedBy(
  place: number,
  sockets: number,
  block: number,
): { readonly from: number; readonly to: number } {
  const from = (block * sockets + place) * 2;
  return { from, to: from + 1 };
}
