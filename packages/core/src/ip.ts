/**
 * IP addresses as canonical text, and blocks of them.
 *
 * Text is the form that everything meets in (sockets, keys, logs), so two equal addresses are equal strings: IPv4
 * dotted, IPv6 lower-case and compressed (RFC 5952), and an IPv4-mapped IPv6 address is its IPv4 address.
 */
import { isIPv4, isIPv6 } from 'node:net';

const DOT = 0x2e;
const ZERO = 0x30;

export type Family = 4 | 6;

/** `ip:port`, IPv6 in brackets. */
export type HostPort = `${string}:${number}`;

export interface Endpoint {
  /** Canonical text. */
  readonly ip: string;
  readonly port: number;
}

export function familyOf(ip: string): Family {
  return ip.includes(':') ? 6 : 4;
}

/** Canonical text of an address as people or the kernel write it; `undefined` if it is none. Zones are refused. */
export function parseIp(text: string): string | undefined {
  if (isIPv4(text)) return text;
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const bytes = bytesOfIpv6(text);
  return bytes && formatIp(bytes);
}

/** Canonical text of 4 or 16 network-order bytes; `undefined` for any other length. */
export function formatIp(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) return undefined;
  if (isMapped(bytes)) return bytes.subarray(12).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  const zeros = longestZeroRun(groups);
  const hex = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  return zeros.length < 2 ? hex(0, 8) : `${hex(0, zeros.start)}::${hex(zeros.start + zeros.length, 8)}`;
}

/** Network-order bytes of a canonical address: 4 or 16 of them. */
export function bytesOfIp(ip: string): Uint8Array | undefined {
  if (isIPv4(ip)) return bytesOfIpv4(ip);
  return isIPv6(ip) && !ip.includes('%') ? bytesOfIpv6(ip) : undefined;
}

/** Read digit by digit: every connection's addresses come by here. */
function bytesOfIpv4(ip: string): Uint8Array {
  const bytes = new Uint8Array(4);
  let at = 0;
  let byte = 0;
  for (let i = 0; i < ip.length; i++) {
    const char = ip.charCodeAt(i);
    if (char !== DOT) {
      byte = byte * 10 + char - ZERO;
      continue;
    }
    bytes[at++] = byte;
    byte = 0;
  }
  bytes[at] = byte;
  return bytes;
}

/** `10.0.0.1:80`, `[fd00::1]:80`. */
export function formatHostPort(ip: string, port: number): HostPort {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** The opposite of {@link formatHostPort}; `undefined` for a name, a missing or an impossible port. */
export function parseHostPort(text: string): Endpoint | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(text);
  if (!match) return undefined;
  const bracketed = match[1];
  if (bracketed !== undefined && !bracketed.includes(':')) return undefined;
  const ip = parseIp(bracketed ?? match[2] ?? '');
  const port = Number(match[3]);
  return ip === undefined || port > 65_535 ? undefined : { ip, port };
}

export function isLoopback(ip: string): boolean {
  return ip === '::1' || ip.startsWith('127.');
}

/** A block of addresses. `bytes` beyond `length` bits do not matter. */
export interface Cidr {
  readonly bytes: Uint8Array;
  /** Prefix length in bits: 0–32 or 0–128. */
  readonly length: number;
}

/** A block from bytes; an IPv4-mapped one becomes IPv4. `undefined` when the two do not fit. */
export function cidrOf(bytes: Uint8Array, length: number): Cidr | undefined {
  if (bytes.length === 16 && isMapped(bytes) && length >= 96) return cidrOf(bytes.slice(12), length - 96);
  if (bytes.length !== 4 && bytes.length !== 16) return undefined;
  return length < 0 || length > bytes.length * 8 || !Number.isInteger(length) ? undefined : { bytes, length };
}

/** `10.0.0.0/8`, `fd00::/8`, or a bare address, which is a block of one. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = '', prefix, ...rest] = text.split('/');
  const bytes = bytesOfIp(address);
  if (!bytes || rest.length > 0 || (prefix !== undefined && !/^[0-9]{1,3}$/.test(prefix))) return undefined;
  return cidrOf(bytes, prefix === undefined ? bytes.length * 8 : Number(prefix));
}

export function formatCidr(cidr: Cidr): string {
  return `${formatIp(cidr.bytes) ?? ''}/${cidr.length}`;
}

/** Whether the canonical address `ip` lies in `cidr`. Different families never match. */
export function cidrContains(cidr: Cidr, ip: string): boolean {
  const bytes = bytesOfIp(ip);
  return bytes !== undefined && cidrContainsBytes(cidr, bytes);
}

/** The same for an address that was taken apart already, by {@link bytesOfIp}. */
export function cidrContainsBytes(cidr: Cidr, bytes: Uint8Array): boolean {
  if (bytes.length !== cidr.bytes.length) return false;
  const whole = cidr.length >> 3;
  for (let i = 0; i < whole; i++) if (bytes[i] !== cidr.bytes[i]) return false;
  const bits = cidr.length & 7;
  if (bits === 0) return true;
  const mask = (0xff << (8 - bits)) & 0xff;
  return ((bytes[whole] ?? 0) & mask) === ((cidr.bytes[whole] ?? 0) & mask);
}

function isMapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

function bytesOfIpv6(text: string): Uint8Array | undefined {
  const lastColon = text.lastIndexOf(':');
  const tail = text.slice(lastColon + 1);
  let rest = text;
  if (tail.includes('.')) {
    const [a = 0, b = 0, c = 0, d = 0] = tail.split('.').map(Number);
    rest = `${text.slice(0, lastColon)}:${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [left = '', right] = rest.split('::');
  const groups = (part: string) =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const head = groups(left);
  const end = right === undefined ? [] : groups(right);
  const missing = 8 - head.length - end.length;
  if (right === undefined ? missing !== 0 : missing < 0) return undefined;
  const bytes = new Uint8Array(16);
  [...head, ...Array<number>(missing).fill(0), ...end].forEach((group, i) => {
    bytes[2 * i] = group >> 8;
    bytes[2 * i + 1] = group & 0xff;
  });
  return bytes;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  groups.forEach((group, i) => {
    if (group !== 0) start = i + 1;
    else if (i + 1 - start > best.length) best = { start, length: i + 1 - start };
  });
  return best;
}
