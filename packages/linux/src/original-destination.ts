/** Where a redirected connection was going before netfilter sent it here. */
import type { Endpoint } from '@ambit/core/ip';
import { HOST_LITTLE_ENDIAN, libc, memory } from './libc.ts';
import { addressBuffer, readAddress } from './socket-address.ts';

const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
/** The same number in both families. */
const SO_ORIGINAL_DST = 80;

const address = addressBuffer();
const size = memory(4);

/**
 * The original destination of an accepted connection, canonical.
 *
 * `undefined` when connection tracking knows nothing about it; then nothing was redirected and the socket's local
 * address is the destination. A connection that was tracked but not redirected answers its local address.
 */
export function originalDestination(fd: number): Endpoint | undefined {
  return ask(fd, IPPROTO_IP) ?? ask(fd, IPPROTO_IPV6);
}

function ask(fd: number, level: number): Endpoint | undefined {
  size.view.setUint32(0, address.bytes.length, HOST_LITTLE_ENDIAN);
  const result = libc.getsockopt(fd, level, SO_ORIGINAL_DST, address.bytes, size.bytes);
  return result === -1 ? undefined : readAddress(address);
}
