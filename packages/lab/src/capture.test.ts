import { expect, test } from '@jest/globals';
import { hostsOf } from './capture.ts';

const frame = (etherType: number, from: number, addresses: readonly number[]) => {
  const bytes = new Uint8Array(14 + 40);
  new DataView(bytes.buffer).setUint16(12, etherType);
  bytes.set(addresses, 14 + from);
  return bytes;
};

test.each([
  { what: 'IPv4', bytes: frame(0x0800, 12, [10, 0, 0, 1, 10, 0, 0, 2]), hosts: ['10.0.0.1', '10.0.0.2'] },
  {
    what: 'IPv6',
    bytes: frame(0x86dd, 8, [0xfd, ...Array<number>(15).fill(0), 0xfe]),
    hosts: ['fd00::', 'fe00::'],
  },
  { what: 'ARP', bytes: frame(0x0806, 0, []), hosts: [] },
  { what: 'a frame cut short', bytes: new Uint8Array(10), hosts: [] },
  { what: 'an IPv4 frame cut short', bytes: frame(0x0800, 12, []).subarray(0, 20), hosts: ['', ''] },
])('hosts of $what', ({ bytes, hosts }) => {
  expect(hostsOf(bytes)).toEqual(hosts);
});
