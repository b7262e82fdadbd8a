import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { listTables } from './nf-tables.ts';
import { TestNamespaces, type TestNetns } from './testing/namespaces.ts';

let namespaces: TestNamespaces;
let netns: TestNetns;

beforeEach(() => {
  namespaces = new TestNamespaces();
  netns = namespaces.create();
});
afterEach(() => namespaces[Symbol.dispose]());

test('tables are listed as nft names them', () => {
  expect(listTables(netns.fd)).toEqual([]);
  for (const table of ['inet istio-ambient-nat', 'ip nat', 'ip6 nat', 'bridge b'])
    netns.run('nft', 'add', 'table', ...table.split(' '));
  netns.run('nft', 'delete', 'table', 'ip', 'nat');
  expect(new Set(listTables(netns.fd))).toEqual(
    new Set([
      { family: 'inet', name: 'istio-ambient-nat' },
      { family: 'ip6', name: 'nat' },
      { family: 'bridge', name: 'b' },
    ]),
  );
});

test('what iptables keeps in nftables counts', () => {
  netns.run('iptables-nft', '-t', 'nat', '-N', 'SOME');
  expect(listTables(netns.fd)).toEqual([{ family: 'ip', name: 'nat' }]);
});

test('more than one answer of the kernel holds are all listed', () => {
  const names = Array.from({ length: 500 }, (_, index) => `table-${String(index).padStart(3, '0')}`);
  netns.run('sh', '-c', `printf '${names.map((name) => `add table inet ${name}\\n`).join('')}' | nft -f -`);
  expect(
    listTables(netns.fd)
      .map(({ name }) => name)
      .toSorted(),
  ).toEqual(names);
});
