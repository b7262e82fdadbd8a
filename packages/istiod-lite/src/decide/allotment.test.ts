import { describe, expect, test } from '@jest/globals';
import { type Family, familyOf, parseCidr } from '@ambit/core/ip';
import type { ServiceEntry } from '@ambit/kube/resources/networking';
import { checkedEntry } from '../translate/service-entry.ts';
import { AddressPool } from './address-pool.ts';
import { allotment, allotmentPatch, claimedAddresses } from './allotment.ts';

const pool = (cidr: string) => new AddressPool(parseCidr(cidr) ?? { bytes: new Uint8Array(4), length: 32 });
const nobody = () => false;

describe('AddressPool', () => {
  test('in order from the first after the network, and not the same twice', () => {
    const v4 = pool('240.240.0.0/16');
    expect([v4.take(nobody), v4.take(nobody), v4.take((ip) => ip === '240.240.0.3')]).toEqual([
      '240.240.0.1',
      '240.240.0.2',
      '240.240.0.4',
    ]);
    const v6 = pool('2001:2::5/48');
    expect([v6.take(nobody), v6.take(nobody)]).toEqual(['2001:2::1', '2001:2::2']);
  });

  test('then what has become free, that which was free for longest first', () => {
    const small = pool('10.0.0.0/29');
    const taken = new Set(['10.0.0.2']);
    const isTaken = (ip: string) => taken.has(ip);
    const take = () => {
      const ip = small.take(isTaken);
      if (ip !== undefined) taken.add(ip);
      return ip;
    };
    const release = (ip: string) => {
      taken.delete(ip);
      small.release(ip);
    };
    expect([take(), take()]).toEqual(['10.0.0.1', '10.0.0.3']);
    release('10.0.0.3');
    // What it has not come to yet, and what is not its own, it need not remember.
    for (const ip of ['10.0.0.5', '10.0.0.0', '10.0.1.1', '::1']) release(ip);
    expect(Array.from({ length: 4 }, take)).toEqual(['10.0.0.4', '10.0.0.5', '10.0.0.6', '10.0.0.7']);
    for (const ip of ['10.0.0.5', '10.0.0.2', '10.0.0.5']) release(ip);
    taken.add('10.0.0.3');
    expect(Array.from({ length: 3 }, take)).toEqual(['10.0.0.2', '10.0.0.5', undefined]);
  });

  test('a block that is full is not searched again', () => {
    const v4 = pool('240.240.0.0/16');
    let looks = 0;
    const isTaken = () => {
      looks += 1;
      return true;
    };
    expect([v4.take(isTaken), looks]).toEqual([undefined, 65_535]);
    v4.release('240.240.9.9');
    expect([v4.take(isTaken), v4.take(isTaken), looks]).toEqual([undefined, undefined, 65_536]);
    v4.release('240.240.9.9');
    expect(v4.take(nobody)).toBe('240.240.9.9');
  });

  test('what nobody heard of is the next', () => {
    const v4 = pool('10.0.0.0/24');
    v4.take(nobody);
    const second = v4.take(nobody) ?? '';
    v4.take(nobody);
    v4.giveBack(second);
    v4.giveBack('10.0.0.99');
    expect([v4.take(nobody), v4.take(nobody)]).toEqual([second, '10.0.0.4']);
  });
});

/** `name` in namespace `a`, unless it says another. */
function entry(
  name: string,
  spec: ServiceEntry['spec'],
  more: {
    allotted?: Record<string, readonly string[]>;
    age?: string;
    labels?: Record<string, string>;
    namespace?: string;
  } = {},
) {
  const addresses = Object.entries(more.allotted ?? {}).flatMap(([host, ips]) =>
    ips.map((value) => ({ host, value })),
  );
  return checkedEntry({
    metadata: {
      namespace: more.namespace ?? 'a',
      name,
      creationTimestamp: more.age ?? '2026-01-01',
      ...(more.labels && { labels: more.labels }),
    },
    ...(spec && { spec }),
    status: { addresses },
  });
}
type Entry = ReturnType<typeof entry>;

const DNS = { hosts: ['a.com', 'b.com'], resolution: 'DNS' } as const;

describe('allotment', () => {
  const cases: Record<
    string,
    { of: Entry; others?: readonly Entry[]; off?: boolean; want: readonly string[] | undefined }
  > = {
    'one of each family for each host': {
      of: entry('x', DNS),
      want: ['a.com new4-1', 'a.com new6-1', 'b.com new4-2', 'b.com new6-2'],
    },
    'what there is stays': {
      of: entry('x', DNS, { allotted: { 'a.com': ['240.240.0.1', '2001:2::1'], 'b.com': ['240.240.0.2'] } }),
      want: undefined,
    },
    'a host more': {
      of: entry('x', DNS, { allotted: { 'b.com': ['2001:2::7', '240.240.0.7'] } }),
      want: ['a.com new4-1', 'a.com new6-1', 'b.com 240.240.0.7', 'b.com 2001:2::7'],
    },
    'a host less': {
      of: entry(
        'x',
        { ...DNS, hosts: ['a.com'] },
        { allotted: { 'a.com': ['240.240.0.1'], 'b.com': ['240.240.0.2'] } },
      ),
      want: ['a.com 240.240.0.1'],
    },
    'the same host twice': {
      of: entry('x', { ...DNS, hosts: ['a.com', 'a.com'] }),
      want: ['a.com new4-1', 'a.com new6-1'],
    },
    'no wildcards': {
      of: entry('x', { hosts: ['*.a.com', 'b.com'], resolution: 'STATIC' }),
      want: ['b.com new4-1', 'b.com new6-1'],
    },
    'but those that a waypoint resolves': {
      of: entry('x', { hosts: ['*.a.com'], resolution: 'DYNAMIC_DNS' }),
      want: ['*.a.com new4-1', '*.a.com new6-1'],
    },
    'none where connections pass through': { of: entry('x', { hosts: ['a.com'] }), want: undefined },
    'none any more where they pass through': {
      of: entry('x', { hosts: ['a.com'] }, { allotted: { 'a.com': ['240.240.0.1'] } }),
      want: [],
    },
    'none any more where addresses are named': {
      of: entry('x', { ...DNS, addresses: ['192.0.2.1'] }, { allotted: { 'a.com': ['240.240.0.1'] } }),
      want: [],
    },
    'none for who does not want any': {
      of: entry('x', DNS, { labels: { 'networking.istio.io/enable-autoallocate-ip': 'false' } }),
      want: undefined,
    },
    'none where it is switched off': { of: entry('x', DNS), off: true, want: undefined },
    'the older entry keeps what two have': {
      of: entry(
        'x',
        { ...DNS, hosts: ['a.com'] },
        { allotted: { 'a.com': ['240.240.0.1'] }, age: '2026-01-01' },
      ),
      others: [entry('y', DNS, { allotted: { 'b.com': ['240.240.0.1'] }, age: '2026-01-02' })],
      want: undefined,
    },
    'and the younger one gets another of that family': {
      of: entry(
        'y',
        { ...DNS, hosts: ['b.com'] },
        { allotted: { 'b.com': ['240.240.0.1', '2001:2::9'] }, age: '2026-01-02' },
      ),
      others: [entry('x', DNS, { allotted: { 'a.com': ['240.240.0.1'] }, age: '2026-01-01' })],
      want: ['b.com new4-1', 'b.com 2001:2::9'],
    },
    'of one age, the name decides': {
      of: entry('y', { ...DNS, hosts: ['b.com'] }, { allotted: { 'b.com': ['240.240.0.1'] } }),
      others: [entry('x', DNS, { allotted: { 'a.com': ['240.240.0.1'] } })],
      want: ['b.com new4-1'],
    },
    'who names an address has it in its own namespace, however young': {
      of: entry(
        'x',
        { ...DNS, hosts: ['a.com'] },
        { allotted: { 'a.com': ['240.240.0.1'] }, age: '2026-01-01' },
      ),
      others: [entry('y', { hosts: ['b.com'], addresses: ['240.240.0.1'] }, { age: '2026-01-02' })],
      want: ['a.com new4-1'],
    },
    'who names an address of another namespace does not get it': {
      of: entry(
        'x',
        { ...DNS, hosts: ['a.com'] },
        { allotted: { 'a.com': ['240.240.0.1'] }, age: '2026-01-01' },
      ),
      others: [
        entry(
          'y',
          { hosts: ['b.com'], addresses: ['240.240.0.1'] },
          { age: '2026-01-02', namespace: 'thieves' },
        ),
      ],
      want: undefined,
    },
    'unless it was there first': {
      of: entry(
        'x',
        { ...DNS, hosts: ['a.com'] },
        { allotted: { 'a.com': ['240.240.0.1'] }, age: '2026-01-02' },
      ),
      others: [
        entry(
          'y',
          { hosts: ['b.com'], addresses: ['240.240.0.1'] },
          { age: '2026-01-01', namespace: 'others' },
        ),
      ],
      want: ['a.com new4-1'],
    },
    'two hosts of one entry do not share': {
      of: entry('x', DNS, { allotted: { 'a.com': ['240.240.0.1'], 'b.com': ['240.240.0.1'] } }),
      want: ['a.com 240.240.0.1', 'b.com new4-1'],
    },
  };
  test.each(Object.entries(cases))('%s', (_, { of, others = [], off = false, want }) => {
    const counts = { 4: 0, 6: 0 };
    const take = (family: Family) => {
      counts[family] += 1;
      return `${family === 6 ? '::' : ''}new${family}-${counts[family]}`;
    };
    const found = allotment(of, {
      settings: { ipAutoallocate: !off },
      claimants: (ip) => [of, ...others].filter((each) => claimedAddresses(each).includes(ip)),
      take,
    });
    const text = found?.map(({ host = '', value = '' }) => `${host} ${value.replace('::new', 'new')}`);
    expect(text).toEqual(want);
  });

  test('the family that has addresses left', () => {
    const found = allotment(entry('x', { ...DNS, hosts: ['a.com'] }), {
      settings: { ipAutoallocate: true },
      claimants: () => [],
      take: (family) => (family === 4 ? undefined : '2001:2::1'),
    });
    expect(found?.map(({ value = '' }) => familyOf(value))).toEqual([6]);
  });
});

describe('allotmentPatch', () => {
  const addresses = [{ host: 'a.com', value: '240.240.0.1' }];
  test.each([
    ['no status', undefined, ['test /status null', 'add /status']],
    [
      'a status without addresses',
      { conditions: [] },
      ['test /status/addresses null', 'add /status/addresses'],
    ],
    ['addresses', { addresses: [] }, ['test /status/addresses []', 'replace /status/addresses']],
  ] as const)('%s', (_, status, want) => {
    const text = allotmentPatch(status, addresses).map(({ op, path, value }) =>
      op === 'test' ? `${op} ${path} ${JSON.stringify(value)}` : `${op} ${path}`,
    );
    expect(text).toEqual(want);
  });
});
