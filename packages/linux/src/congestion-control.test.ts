import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { congestionControl, trySetCongestionControl, withinMachine } from './congestion-control.ts';
import { closeFd } from './descriptors.ts';
import { tcpSocket } from './sockets.ts';

const available = readFileSync('/proc/sys/net/ipv4/tcp_available_congestion_control', 'utf8')
  .trim()
  .split(' ');
const inherited = readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'utf8').trim();

let fd: number;
beforeEach(() => {
  fd = tcpSocket({ family: 4 });
});
afterEach(() => closeFd(fd));

test('a socket has its namespace’s default', () => {
  expect(congestionControl(fd)).toBe(inherited);
});

test('a socket is given another one', () => {
  expect(available).toContain('reno');
  expect(trySetCongestionControl(fd, 'reno')).toBe(true);
  expect(congestionControl(fd)).toBe('reno');
  const made = tcpSocket({ family: 6, congestionControl: 'reno' });
  expect(congestionControl(made)).toBe('reno');
  closeFd(made);
});

test.each(['', 'no such thing', 'a name that is longer than any'])(
  'a socket keeps what it has when it is given "%s"',
  (name) => {
    expect(trySetCongestionControl(fd, 'reno')).toBe(true);
    expect(trySetCongestionControl(fd, name)).toBe(false);
    expect(congestionControl(fd)).toBe('reno');
  },
);

test('a socket that is made with one that the kernel has not keeps the default', () => {
  const made = tcpSocket({ family: 4, congestionControl: 'no such thing' });
  expect(congestionControl(made)).toBe(inherited);
  closeFd(made);
});

test('what is no socket is said to have none', () => {
  expect(congestionControl(-1)).toBe('');
});

test('only what paces is replaced within a machine', () => {
  const replaced = ['bbr', 'bbr3', 'cubic', 'reno', 'dctcp'].map((name) => [name, withinMachine(name)]);
  expect(Object.fromEntries(replaced)).toEqual({ bbr: 'reno', bbr3: 'reno' });
});
