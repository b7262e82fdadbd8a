/**
 * Congestion control of TCP sockets, by the kernel's names for it (`man 7 tcp`, TCP_CONGESTION), and which one is wanted
 * where there is no network between two ends.
 */
import { HOST_LITTLE_ENDIAN, libc, memory } from './libc.ts';

const IPPROTO_TCP = 6;
const TCP_CONGESTION = 13;
/** TCP_CA_NAME_MAX, of which the last octet ends the name. */
const NAME_BYTES = 16;

const name = memory(NAME_BYTES);
const size = memory(4);

/** What the socket has: its namespace's default, or what it was given. Empty if the kernel does not say. */
export function congestionControl(fd: number): string {
  size.view.setUint32(0, NAME_BYTES, HOST_LITTLE_ENDIAN);
  if (libc.getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.bytes, size.bytes) === -1) return '';
  const text = Buffer.from(name.bytes).toString('latin1');
  const end = text.indexOf('\0');
  return end === -1 ? text : text.slice(0, end);
}

/**
 * Gives the socket another one; connections that it accepts inherit it. Once BBR has begun on a connection its timers stay,
 * whatever it is given later.
 *
 * @returns false if the kernel has none of that name, or does not allow it; then the socket is as it was.
 */
export function trySetCongestionControl(fd: number, wanted: string): boolean {
  if (wanted.length >= NAME_BYTES) return false;
  name.bytes.fill(0);
  for (let i = 0; i < wanted.length; i++) name.view.setUint8(i, wanted.charCodeAt(i));
  return libc.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.bytes, wanted.length) === 0;
}

/**
 * What connections that do not leave the machine should have, where the default is `inherited`; `undefined`: the same.
 *
 * BBR sends at the pace that it takes the path to have, and sets a timer for each piece. Within a machine there is no path to
 * measure: pacing holds data back that the other end could take at once, and costs more than sending it. Reno, which every
 * kernel has and anybody may use, sends as fast as it is acknowledged. The others do not pace.
 */
export function withinMachine(inherited: string): string | undefined {
  return inherited.startsWith('bbr') ? 'reno' : undefined;
}
