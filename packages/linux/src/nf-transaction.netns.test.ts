import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { addToInetSets, makeTables, readInetTables } from './nf-transaction.ts';
import { TestNamespaces, type TestNetns } from './testing/namespaces.ts';

const RULES = `table inet first {
  chain target { counter accept comment "as nft notes it"; }
  chain hooked {
    type nat hook output priority -100; policy accept;
    meta mark & 0xfff != 0x539 tcp flags & (fin | syn | rst | ack) == syn counter redirect to :15001
    ip daddr != 127.0.0.1 oifname "lo" counter jump target
  }
}
table inet second {
  chain marks {
    type route hook output priority -150; policy drop;
    udp dport 53 ct zone set 1
    ct mark & 0xfff == 0x111 meta mark set ct mark
    ip6 daddr ::1 ct mark set ct mark & 0xfffff000 | 0x111
  }
}
`;

let namespaces: TestNamespaces;
let from: TestNetns;
let to: TestNetns;

const listed = (netns: TestNetns) => netns.run('nft', 'list', 'ruleset');

function copied() {
  const tables = readInetTables(from.fd, ['first', 'second']);
  if (!tables) throw new Error('not read');
  return tables;
}

beforeEach(() => {
  namespaces = new TestNamespaces();
  from = namespaces.create();
  to = namespaces.create();
  from.nft(RULES);
});
afterEach(() => namespaces[Symbol.dispose]());

test('tables are in another namespace what they are in theirs', () => {
  from.nft('table inet other { chain c { counter accept; }; }');
  makeTables(to.fd, copied());
  from.run('nft', 'delete', 'table', 'inet', 'other');
  expect(listed(to)).toBe(listed(from));
  expect(listed(to)).toContain('redirect to :15001');
});

test('one that is there already is an error, and nothing is made', () => {
  to.nft('table inet second { }');
  const before = listed(to);
  expect(() => makeTables(to.fd, copied())).toThrow(expect.objectContaining({ errnoName: 'EEXIST' }));
  expect(listed(to)).toBe(before);
});

test.each([
  ['are not there', ['first', 'third'], ''],
  ['have sets', ['first', 'second'], 'add rule inet first target tcp dport { 1, 2 } accept'],
])('tables that %s are not read', (_, names, more) => {
  if (more !== '') from.nft(more);
  expect(readInetTables(from.fd, names)).toBeUndefined();
});

describe('sets', () => {
  const element = (set: string, comment: string, ...key: number[]) => ({
    set,
    key: Uint8Array.from(key),
    comment,
  });

  beforeEach(() => {
    to.nft('table inet t { set v4 { type ipv4_addr; }; set v6 { type ipv6_addr; }; }');
  });

  test('get elements with comments, as if nft had added them', () => {
    const want = namespaces.create();
    want.nft('table inet t { set v4 { type ipv4_addr; }; set v6 { type ipv6_addr; }; }');
    want.nft(
      'add element inet t v4 { 10.0.0.1 comment "one", 10.0.0.2 comment "two" }\n' +
        'add element inet t v6 { fd00::1 comment "three" }\n',
    );
    addToInetSets(to.fd, 't', [
      element('v4', 'one', 10, 0, 0, 1),
      element('v6', 'three', 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
      element('v4', 'two', 10, 0, 0, 2),
    ]);
    expect(listed(to)).toBe(listed(want));
  });

  test.each([
    ['first', ['none', 'v4']],
    ['last', ['v4', 'none']],
  ])('get nothing where one is not there, be it the %s', (_, sets) => {
    const before = listed(to);
    const elements = sets.map((set) => element(set, 'x', 1, 2, 3, 4));
    expect(() => addToInetSets(to.fd, 't', elements)).toThrow(
      expect.objectContaining({
        errnoName: 'ENOENT',
        message: expect.stringContaining(`table t: ${sets.join(', ')}`),
      }),
    );
    expect(listed(to)).toBe(before);
  });
});
