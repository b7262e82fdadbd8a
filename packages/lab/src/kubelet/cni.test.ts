import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { parseNetworkList, readNetworkList } from './cni.ts';

const folder = mkdtempSync(join(tmpdir(), 'ambit-cni-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('the first list by name counts', () => {
  expect(() => readNetworkList(folder)).toThrow('no CNI configuration');
  writeFileSync(join(folder, '20-b.conflist'), '{"name":"b","plugins":[{"type":"x"}]}');
  writeFileSync(
    join(folder, '10-a.conflist'),
    '{"name":"a","cniVersion":"1.0.0","plugins":[{"type":"x"},{"type":"y"}]}',
  );
  writeFileSync(join(folder, '00-readme.txt'), 'not a configuration');
  expect(readNetworkList(folder)).toEqual({
    name: 'a',
    cniVersion: '1.0.0',
    plugins: [{ type: 'x' }, { type: 'y' }],
  });
});

test('a single configuration is a list of one', () => {
  const list = parseNetworkList('x.conf', '{"name":"n","cniVersion":"0.4.0","type":"bridge"}');
  expect(list.plugins).toMatchObject([{ type: 'bridge' }]);
});

test.each([
  { text: '{', problem: 'is not JSON' },
  { text: '{}', problem: 'has no name' },
  { text: '[]', problem: 'has no name' },
  { text: '{"name":"n"}', problem: 'plugin without a type' },
  { text: '{"name":"n","plugins":[{}]}', problem: 'plugin without a type' },
])('$text is refused: $problem', ({ text, problem }) => {
  expect(() => parseNetworkList('x.conf', text)).toThrow(problem);
});
