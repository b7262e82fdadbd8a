import { expect, test } from '@jest/globals';
import { compareVersions, minorsAhead, parseVersion } from './version.ts';

test.each([
  ['0.1.0', '0.1.0', 0],
  ['0.10.0', '0.9.9', 1],
  ['v1.34.4', '1.27.0', 1],
  ['1.27', '1.27.0', 0],
  ['1.30.5-gke.100', '1.27.0', 1],
  ['1.0.0-rc.1', '1.0.0', -1],
  ['1.0.0', '1.0.0-rc.1', 1],
  ['1.0.0-alpha', '1.0.0-beta', -1],
  ['1.34.4+k3s1', '1.34.4', 0],
  ['latest', '1.0.0', 0],
])('%s against %s', (a, b, sign) => expect(Math.sign(compareVersions(a, b))).toBe(sign));

test('minor versions between', () => {
  expect(minorsAhead('0.4.1', '0.1.9')).toBe(3);
  expect(minorsAhead('0.1.0', '0.2.0')).toBe(-1);
  expect(minorsAhead('1.0.0', '0.9.0')).toBeGreaterThan(1);
  expect(minorsAhead('unknown', '0.9.0')).toBeUndefined();
});

test.each(['', 'latest', '1', '1.x', '1.2.3.4', 'abc1.2.3'])('%j is no version', (text) =>
  expect(parseVersion(text)).toBeUndefined(),
);
