import { describe, expect, test } from '@jest/globals';
import type { ConnectionView } from '../decide/request-view.ts';
import { proxyPreamble } from './proxy-preamble.ts';

const client = (sourceIp: string, ip: string): ConnectionView => ({
  identity: undefined,
  sourceIp,
  destination: { ip, port: 80 },
  sni: undefined,
});

describe('an endpoint that asks for the PROXY protocol is told', () => {
  const cases: Record<string, { version: 1 | 2; about: ConnectionView | undefined; want: string }> = {
    'whose connection it is, but not from which port': {
      version: 1,
      about: client('10.0.0.1', '10.9.0.1'),
      want: Buffer.from('PROXY TCP4 10.0.0.1 10.9.0.1 0 80\r\n').toString('hex'),
    },
    'so in IPv6': {
      version: 1,
      about: client('fd00::1', 'fd09::1'),
      want: Buffer.from('PROXY TCP6 fd00::1 fd09::1 0 80\r\n').toString('hex'),
    },
    'nothing where the families differ': {
      version: 1,
      about: client('fd00::1', '10.9.0.1'),
      want: Buffer.from('PROXY UNKNOWN\r\n').toString('hex'),
    },
    'nothing of a connection that is the waypoint’s own': {
      version: 1,
      about: undefined,
      want: Buffer.from('PROXY UNKNOWN\r\n').toString('hex'),
    },
    'in octets: signature, PROXY, TCP over IPv4, twelve octets': {
      version: 2,
      about: client('10.0.0.1', '10.9.0.1'),
      want: `0d0a0d0a000d0a515549540a${'2111000c'}${'0a000001'}${'0a090001'}${'0000'}${'0050'}`,
    },
    'in octets that a connection is the waypoint’s own: LOCAL, and nothing behind it': {
      version: 2,
      about: undefined,
      want: '0d0a0d0a000d0a515549540a20000000',
    },
  };
  test.each(Object.entries(cases))('%s', (_, { version, about, want }) => {
    expect(Buffer.from(proxyPreamble(version, about)).toString('hex')).toBe(want);
  });
});
