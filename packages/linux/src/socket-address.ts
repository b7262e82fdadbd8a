/** `sockaddr_in` and `sockaddr_in6`, to and from `{ip, port}`, in memory that the caller reuses. */
import { bytesOfIp, type Endpoint, formatIp } from '@ambit/core/ip';
import { LinuxError } from './errors.ts';
import { EINVAL } from './errno.ts';
import { memory } from './libc.ts';

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
const SIZE_V4 = 16;
const SIZE_V6 = 28;

export interface AddressBuffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

export function addressBuffer(): AddressBuffer {
  return memory(SIZE_V6);
}

/**
 * Writes the address and returns how many bytes of the buffer it takes.
 *
 * @param family - 6 with an IPv4 `ip` writes the IPv4-mapped form, for a socket that is IPv6.
 */
export function writeAddress(into: AddressBuffer, ip: string, port: number, family: 4 | 6): number {
  const ipBytes = bytesOfIp(ip);
  if (!ipBytes || (family === 4 && ipBytes.length !== 4) || port < 0 || port > 65_535)
    throw new LinuxError('bind', EINVAL, `${ip} port ${port}`);
  const { bytes, view } = into;
  view.setUint16(2, port);
  if (family === 4) {
    view.setUint16(0, AF_INET, true);
    bytes.set(ipBytes, 4);
    return SIZE_V4;
  }
  view.setUint16(0, AF_INET6, true);
  bytes.fill(0, 4, SIZE_V6);
  if (ipBytes.length === 16) bytes.set(ipBytes, 8);
  else {
    bytes.fill(0xff, 18, 20);
    bytes.set(ipBytes, 20);
  }
  return SIZE_V6;
}

/** What the kernel wrote; `undefined` for any other family. IPv4-mapped becomes IPv4. */
export function readAddress(from: AddressBuffer): Endpoint | undefined {
  const { bytes, view } = from;
  const family = view.getUint16(0, true);
  const ipBytes =
    family === AF_INET ? bytes.subarray(4, 8) : family === AF_INET6 ? bytes.subarray(8, 24) : undefined;
  const ip = ipBytes && formatIp(ipBytes);
  return ip === undefined ? undefined : { ip, port: view.getUint16(2) };
}
