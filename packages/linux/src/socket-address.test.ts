import { describe, expect, test } from '@jest/globals';
import { addressBuffer, readAddress, writeAddress } from './socket-address.ts';

describe('socket addresses', () => {
  test.each([
    { ip: '10.1.2.3', port: 80, family: 4, size: 16 },
    { ip: 'fd00::1', port: 65_535, family: 6, size: 28 },
    { ip: '10.1.2.3', port: 0, family: 6, size: 28 },
  ] as const)('$ip port $port as family $family comes back', ({ ip, port, family, size }) => {
    const buffer = addressBuffer();
    buffer.bytes.fill(0xee);
    expect(writeAddress(buffer, ip, port, family)).toBe(size);
    expect(readAddress(buffer)).toEqual({ ip, port });
  });

  test.each([
    { ip: 'fd00::1', port: 1, family: 4 },
    { ip: 'example.com', port: 1, family: 4 },
    { ip: '10.0.0.1', port: 65_536, family: 4 },
  ] as const)('$ip port $port as family $family is refused', ({ ip, port, family }) => {
    expect(() => writeAddress(addressBuffer(), ip, port, family)).toThrow('EINVAL');
  });

  test('another address family is nothing', () => {
    const buffer = addressBuffer();
    buffer.view.setUint16(0, 1, true);
    expect(readAddress(buffer)).toBeUndefined();
  });
});
