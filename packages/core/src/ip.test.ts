import { describe, expect, test } from '@jest/globals';
import {
  bytesOfIp,
  cidrContains,
  formatCidr,
  formatHostPort,
  formatIp,
  parseCidr,
  parseHostPort,
  parseIp,
} from './ip.ts';

describe('parseIp gives one text for one address', () => {
  const cases: Record<string, string | undefined> = {
    '10.0.0.1': '10.0.0.1',
    '::ffff:10.0.0.1': '10.0.0.1',
    '::FFFF:0a00:0001': '10.0.0.1',
    'FD00:0:0:0:0:0:0:1': 'fd00::1',
    '::': '::',
    '1:0:0:2:0:0:0:3': '1:0:0:2::3',
    '1:0:2:3:4:5:6:7': '1:0:2:3:4:5:6:7',
    'fe80::1%eth0': undefined,
    '010.0.0.1': undefined,
    'shop.local': undefined,
    '': undefined,
  };
  test.each(Object.entries(cases))('%s', (text, want) => expect(parseIp(text)).toBe(want));
});

test('bytes and text are two forms of the same address', () => {
  for (const ip of [
    '0.0.0.0',
    '255.1.2.3',
    '::1',
    'fd16:9254:7127:1337:ffff:ffff:ffff:ffff',
    '64:ff9b::102:304',
  ]) {
    expect(formatIp(bytesOfIp(ip) ?? new Uint8Array())).toBe(ip);
  }
  expect(formatIp(new Uint8Array(5))).toBeUndefined();
});

describe('parseHostPort', () => {
  const cases: Record<string, { ip: string; port: number } | undefined> = {
    '10.0.0.1:80': { ip: '10.0.0.1', port: 80 },
    '[fd00::1]:15008': { ip: 'fd00::1', port: 15008 },
    '[10.0.0.1]:80': undefined,
    'fd00::1:80': undefined,
    '10.0.0.1': undefined,
    '10.0.0.1:65536': undefined,
    'shop:80': undefined,
  };
  test.each(Object.entries(cases))('%s', (text, want) => expect(parseHostPort(text)).toEqual(want));
  test('and back', () => expect(formatHostPort('fd00::1', 80)).toBe('[fd00::1]:80'));
});

describe('cidrContains', () => {
  const cases: [cidr: string, ip: string, want: boolean][] = [
    ['10.0.0.0/8', '10.255.0.1', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['10.1.2.128/25', '10.1.2.127', false],
    ['10.1.2.128/25', '10.1.2.200', true],
    ['0.0.0.0/0', '1.2.3.4', true],
    ['0.0.0.0/0', '::1', false],
    ['fd00::/9', 'fd7f::1', true],
    ['fd00::/9', 'fd80::1', false],
    ['::ffff:10.0.0.0/104', '10.9.9.9', true],
  ];
  test.each(cases)('%s has %s: %s', (cidr, ip, want) => {
    const block = parseCidr(cidr);
    expect(block && cidrContains(block, ip)).toBe(want);
  });
  test.each(['10.0.0.0/33', 'fd00::/129', '10.0.0.0/x', '10.0.0.0/8/8', ''])('%s is no block', (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });
  test('a bare address is a block of one', () =>
    expect(formatCidr(parseCidr('10.0.0.1') ?? { bytes: new Uint8Array(), length: 0 })).toBe('10.0.0.1/32'));
});
