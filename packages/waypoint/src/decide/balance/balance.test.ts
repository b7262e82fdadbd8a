import { describe, expect, test } from '@jest/globals';
import type { Place } from '@ambit/model/load-balance';
import type { ConsistentHash, LoadBalancer, LocalityPreference } from '../../resources/destination-policy.ts';
import { connection, request } from '../testing/requests.ts';
import { type BalancedEndpoint, Balancer } from './balancer.ts';
import { hashOf } from './hash-key.ts';
import { hashText } from './hash-text.ts';
import { type LevelOptions, levelsOf } from './levels.ts';

interface Endpoint extends BalancedEndpoint {
  readonly uid: string;
  isHealthy: boolean;
  activeRequests: number;
}

function endpoint(key: string, parts: Partial<Endpoint> = {}): Endpoint {
  return {
    key,
    weight: 1,
    locality: { region: 'r', zone: 'z', subzone: '' },
    uid: '',
    network: '',
    node: 'n',
    clusterId: 'c',
    sinceMs: 0,
    isHealthy: true,
    activeRequests: 0,
    ...parts,
  };
}

function inZone(key: string, place: string, parts: Partial<Endpoint> = {}): Endpoint {
  const [region = '', zone = '', subzone = ''] = place.split('/');
  return endpoint(key, { uid: key, locality: { region, zone, subzone }, ...parts });
}

/** Small and seeded: the same numbers every run (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const HERE: Place = {
  locality: { region: 'r', zone: 'z', subzone: '' },
  network: '',
  node: 'n',
  clusterId: 'c',
};

function loadBalancer(parts: Partial<LoadBalancer> = {}): LoadBalancer {
  return { simple: undefined, consistentHash: undefined, locality: undefined, warmupMs: 0, ...parts };
}

interface Setup extends Partial<LoadBalancer> {
  readonly levels?: Partial<LevelOptions>;
  readonly panicPercent?: number;
}

function balancer(endpoints: readonly Endpoint[], { levels, panicPercent = 0, ...parts }: Setup = {}) {
  const options = {
    from: HERE,
    service: undefined,
    preference: undefined,
    mesh: undefined,
    detectsOutliers: false,
    ...levels,
  };
  return new Balancer(levelsOf(endpoints, options), {
    loadBalancer: loadBalancer(parts),
    panicPercent,
    random: () => 0,
  });
}

interface Asking {
  readonly hash?: number;
  readonly avoid?: readonly Endpoint[];
  readonly nowMs?: number;
  readonly random?: () => number;
}

function pick(from: Balancer<Endpoint>, asking: Asking = {}): string | undefined {
  const { hash, avoid = [], nowMs = 1e9, random = () => 0 } = asking;
  return from.pick({ hash, avoid: new Set(avoid), nowMs, random })?.key;
}

function counts(from: Balancer<Endpoint>, picks: number, asking: Asking = {}): Record<string, number> {
  const random = asking.random ?? randomFrom(7);
  const found: Record<string, number> = {};
  for (let i = 0; i < picks; i++) {
    const key = pick(from, { ...asking, random }) ?? 'none';
    found[key] = (found[key] ?? 0) + 1;
  }
  return found;
}

describe('round robin', () => {
  test('one after the other', () => {
    const from = balancer([endpoint('a'), endpoint('b'), endpoint('c')], { simple: 'round-robin' });
    expect([1, 2, 3, 4, 5, 6].map(() => pick(from)).join('')).toBe('abcabc');
  });

  test('weights come out exactly in every whole round, and mixed within it', () => {
    const from = balancer([endpoint('a', { weight: 1 }), endpoint('b', { weight: 3 })], {
      simple: 'round-robin',
    });
    const round = () => [1, 2, 3, 4].map(() => pick(from)).join('');
    for (let i = 0; i < 10; i++) expect(round().replaceAll('b', '').length).toBe(1);
    expect(counts(from, 4_000)).toEqual({ a: 1_000, b: 3_000 });
  });

  test('an endpoint of weight 0 gets nothing', () => {
    expect(
      counts(balancer([endpoint('a', { weight: 0 }), endpoint('b')], { simple: 'round-robin' }), 10),
    ).toEqual({ b: 10 });
  });
});

describe('random', () => {
  test('by weight', () => {
    const found = counts(
      balancer([endpoint('a', { weight: 1 }), endpoint('b', { weight: 9 })], { simple: 'random' }),
      10_000,
    );
    expect(found['a']).toBeGreaterThan(850);
    expect(found['a']).toBeLessThan(1_150);
  });
});

describe('least request', () => {
  test('of two that are drawn, the one with fewer requests', () => {
    const busy = endpoint('a', { activeRequests: 9 });
    const from = balancer([busy, endpoint('b', { activeRequests: 1 })]);
    const found = counts(from, 10_000);
    // Only when both draws fall on the busy one does it get the request.
    expect(found['a']).toBeGreaterThan(2_200);
    expect(found['a']).toBeLessThan(2_800);
  });

  test('as they are at the moment of the request', () => {
    const a = endpoint('a');
    const b = endpoint('b');
    const from = balancer([a, b]);
    // First draw: a; second: b; the levels and groups take a number each before.
    const draws = () => {
      const numbers = [0, 0, 0, 0.9];
      return () => numbers.shift() ?? 0;
    };
    a.activeRequests = 5;
    expect(pick(from, { random: draws() })).toBe('b');
    b.activeRequests = 6;
    expect(pick(from, { random: draws() })).toBe('a');
  });

  test('a heavy endpoint may carry more', () => {
    const heavy = endpoint('a', { weight: 10, activeRequests: 5 });
    const from = balancer([heavy, endpoint('b', { activeRequests: 1 })]);
    const found = counts(from, 1_000);
    expect(found['a']).toBeGreaterThan(900);
  });
});

describe('slow start', () => {
  test.each(['least-request', 'round-robin', 'random'] as const)(
    '%s: a new endpoint gets a tenth, and then more',
    (simple) => {
      const from = balancer([endpoint('a', { sinceMs: -1e6 }), endpoint('b', { sinceMs: 0 })], {
        simple,
        warmupMs: 10_000,
      });
      const share = (nowMs: number) => (counts(from, 10_000, { nowMs })['b'] ?? 0) / 10_000;
      const [first, middle, last] = [share(0), share(5_000), share(10_000)];
      expect(first).toBeGreaterThan(0.05);
      expect(first).toBeLessThan(0.2);
      expect(middle).toBeGreaterThan(0.25);
      expect(middle).toBeLessThan(0.42);
      expect(last).toBeGreaterThan(0.47);
    },
  );
});

describe.each(['ring-hash', 'maglev'] as const)('%s', (algorithm) => {
  const tableSize = algorithm === 'maglev' ? 65_537 : 1_024;
  const consistentHash: ConsistentHash = { key: { kind: 'source-ip' }, algorithm, tableSize };
  const keys = Array.from({ length: 20 }, (_, i) => `10.0.0.${i}:8080`);
  const requests = Array.from({ length: 20_000 }, (_, i) => hashText(`client ${i}`));
  const assigned = (endpoints: readonly Endpoint[]) => {
    const from = balancer(endpoints, { consistentHash });
    return requests.map((hash) => pick(from, { hash }));
  };

  test('the same hash goes to the same endpoint, whatever the order they came in', () => {
    const endpoints = keys.map((key) => endpoint(key));
    expect(assigned(endpoints.toReversed())).toEqual(assigned(endpoints));
  });

  test('an endpoint that goes takes its own requests with it, and hardly any other', () => {
    const before = assigned(keys.map((key) => endpoint(key)));
    const after = assigned(keys.slice(1).map((key) => endpoint(key)));
    const moved = before.filter((key, i) => key !== keys[0] && key !== after[i]).length;
    expect(moved / requests.length).toBeLessThan(algorithm === 'maglev' ? 0.02 : 1e-9);
    expect(after.every((key) => key !== keys[0])).toBe(true);
  });

  test('an endpoint that comes takes a fair share, and leaves the rest where it was', () => {
    const before = assigned(keys.slice(1).map((key) => endpoint(key)));
    const after = assigned(keys.map((key) => endpoint(key)));
    const taken = after.filter((key) => key === keys[0]).length / requests.length;
    const moved =
      before.filter((key, i) => after[i] !== keys[0] && key !== after[i]).length / requests.length;
    expect(taken).toBeGreaterThan(0.02);
    expect(taken).toBeLessThan(0.09);
    expect(moved).toBeLessThan(algorithm === 'maglev' ? 0.02 : 1e-9);
  });

  test('shares follow the weights', () => {
    const endpoints = keys.slice(0, 4).map((key, i) => endpoint(key, { weight: i + 1 }));
    const found = assigned(endpoints);
    const shares = keys.slice(0, 4).map((key) => found.filter((one) => one === key).length / requests.length);
    const tolerance = algorithm === 'maglev' ? 0.02 : 0.09;
    for (const [i, share] of shares.entries()) expect(Math.abs(share - (i + 1) / 10)).toBeLessThan(tolerance);
  });

  test('a retry goes to another one, and every retry of that hash to the same', () => {
    const endpoints = keys.map((key) => endpoint(key));
    const from = balancer(endpoints, { consistentHash });
    for (const hash of requests.slice(0, 500)) {
      const first = pick(from, { hash });
      const avoid = endpoints.filter(({ key }) => key === first);
      const second = pick(from, { hash, avoid });
      expect(second).not.toBe(first);
      expect(pick(from, { hash, avoid })).toBe(second);
    }
  });

  test('without a hash, anywhere', () => {
    const from = balancer(
      keys.map((key) => endpoint(key)),
      { consistentHash },
    );
    expect(Object.keys(counts(from, 1_000)).length).toBe(20);
  });
});

describe('where', () => {
  const PREFER_CLOSE = {
    mode: 'Failover',
    routingPreferences: ['Network', 'Region', 'Zone'],
    healthPolicy: 'OnlyHealthy',
  } as const;
  const preference = (parts: Partial<LocalityPreference>): LocalityPreference => ({
    enabled: true,
    distribute: [],
    failover: [],
    failoverPriority: [],
    ...parts,
  });
  const told = (label: string, value?: string) => ({ label, value, values: undefined });
  const near = inZone('near', 'r/z/');
  const region = inZone('region', 'r/y/');
  const far = inZone('far', 's/x/');
  const farther = inZone('farther', 't/x/');
  const all = [farther, far, region, near];
  const order = (options: Partial<LevelOptions>, endpoints: readonly Endpoint[] = all) =>
    levelsOf(endpoints, {
      from: HERE,
      service: undefined,
      preference: undefined,
      mesh: undefined,
      detectsOutliers: false,
      ...options,
    }).map(({ groups }) =>
      groups.flatMap(({ endpoints: members }) => members.map(({ key }) => key)).join(' '),
    );

  const cases: Record<string, [options: Partial<LevelOptions>, want: readonly string[]]> = {
    'nothing said: one level': [{}, ['farther far region near']],
    'the Service’s traffic distribution': [{ service: PREFER_CLOSE }, ['near', 'region', 'farther far']],
    'internalTrafficPolicy Local, to another node, has nobody': [
      {
        service: { mode: 'Strict', routingPreferences: ['Node'], healthPolicy: 'OnlyHealthy' },
        from: { ...HERE, node: 'other' },
      },
      [],
    ],
    'outlier detection alone brings failover by locality': [
      { detectsOutliers: true },
      ['near', 'region', 'farther far'],
    ],
    'failover without outlier detection does nothing': [
      { preference: preference({ failover: [{ from: 'r', to: 's' }] }) },
      ['farther far region near'],
    ],
    'failover names the next region': [
      { preference: preference({ failover: [{ from: 'r', to: 's' }] }), detectsOutliers: true },
      ['near', 'region', 'far', 'farther'],
    ],
    'locality load balancing that is off': [
      { preference: preference({ enabled: false }), detectsOutliers: true },
      ['farther far region near'],
    ],
    'shares of locality load balancing that is off': [
      {
        preference: preference({
          enabled: false,
          distribute: [{ from: '*', to: [{ locality: 's/*', weight: 100 }] }],
        }),
      },
      ['farther far region near'],
    ],
    'the mesh names the next region': [
      { mesh: preference({ failover: [{ from: 'r', to: 's' }] }), detectsOutliers: true },
      ['near', 'region', 'far', 'farther'],
    ],
    'the mesh says where all goes': [
      { mesh: preference({ distribute: [{ from: '*', to: [{ locality: 's/*', weight: 100 }] }] }) },
      ['far'],
    ],
    'the mesh has it off': [
      { mesh: preference({ enabled: false }), detectsOutliers: true },
      ['farther far region near'],
    ],
    'a DestinationRule goes before the mesh': [
      {
        mesh: preference({ enabled: false }),
        preference: preference({ failover: [{ from: 'r', to: 's' }] }),
        detectsOutliers: true,
      },
      ['near', 'region', 'far', 'farther'],
    ],
    'so does the Service’s traffic distribution': [
      { mesh: preference({ enabled: false }), service: PREFER_CLOSE },
      ['near', 'region', 'farther far'],
    ],
    'failoverPriority by labels': [
      {
        preference: preference({ failoverPriority: [told('topology.kubernetes.io/region')] }),
        detectsOutliers: true,
      },
      ['region near', 'farther far'],
    ],
    'failoverPriority by the value of a label, whatever the waypoint has there': [
      {
        preference: preference({
          failoverPriority: [
            told('topology.kubernetes.io/region', 's'),
            told('topology.kubernetes.io/zone', 'x'),
          ],
        }),
        detectsOutliers: true,
      },
      ['far', 'farther region near'],
    ],
    'failoverPriority by a label of the workloads: the first that differs decides': [
      {
        preference: preference({
          failoverPriority: [
            {
              label: 'tier',
              value: 'gold',
              values: new Map([
                ['far', 'gold'],
                ['near', 'gold'],
                ['region', 'tin'],
              ]),
            },
            told('topology.kubernetes.io/region'),
          ],
        }),
        detectsOutliers: true,
      },
      ['near', 'far', 'farther region'],
    ],
    'failoverPriority by a label that the waypoint has not: who has none comes first': [
      {
        preference: preference({
          failoverPriority: [{ label: 'tier', value: undefined, values: new Map([['far', 'gold']]) }],
        }),
        detectsOutliers: true,
      },
      ['farther region near', 'far'],
    ],
    'what a DestinationRule says stands in place of the Service’s': [
      { service: PREFER_CLOSE, preference: preference({}) },
      ['farther far region near'],
    ],
  };

  test.each(Object.entries(cases))('%s', (_, [options, want]) => {
    expect(order(options)).toEqual(want);
  });

  test('Strict keeps those of the node', () => {
    const other = endpoint('other', { node: 'm' });
    const service = { mode: 'Strict', routingPreferences: ['Node'], healthPolicy: 'OnlyHealthy' } as const;
    expect(order({ service }, [other, near])).toEqual(['near']);
  });

  test('distribute: each locality gets its share, by what it can carry where a pattern names several', () => {
    const levels = {
      preference: preference({
        distribute: [
          {
            from: 'r/z/*',
            to: [
              { locality: 'r/z/*', weight: 80 },
              { locality: 's/*', weight: 20 },
            ],
          },
        ],
      }),
    };
    const from = balancer([near, region, far, inZone('far2', 's/w/', { weight: 3 })], {
      levels,
      simple: 'random',
    });
    const found = counts(from, 20_000);
    expect(Object.keys(found).toSorted()).toEqual(['far', 'far2', 'near']);
    expect(Math.abs((found['near'] ?? 0) / 20_000 - 0.8)).toBeLessThan(0.02);
    expect(Math.abs((found['far2'] ?? 0) / 20_000 - 0.15)).toBeLessThan(0.02);
  });
});

describe('health', () => {
  const levels = { detectsOutliers: true };
  const zones = (near: number, sick: number) => [
    ...Array.from({ length: near }, (_, i) => inZone(`near${i}`, 'r/z/', { isHealthy: i >= sick })),
    inZone('far', 's/x/'),
  ];

  test('a level that is well enough carries everything', () => {
    // 8 of 10, times 1.4, is more than a whole.
    expect(counts(balancer(zones(10, 2), { levels }), 2_000)['far']).toBeUndefined();
  });

  test('what a level cannot carry goes to the next', () => {
    // 5 of 10, times 1.4: 70 % stay.
    const found = counts(balancer(zones(10, 5), { levels }), 10_000);
    expect(Math.abs((found['far'] ?? 0) / 10_000 - 0.3)).toBeLessThan(0.02);
  });

  test('a level without anybody healthy carries nothing', () => {
    expect(counts(balancer(zones(3, 3), { levels }), 100)).toEqual({ far: 100 });
  });

  test('nobody healthy at all: nobody, unless the share for panic says otherwise', () => {
    const sick = () => [endpoint('a', { isHealthy: false }), endpoint('b', { isHealthy: false })];
    expect(pick(balancer(sick()))).toBeUndefined();
    expect(pick(balancer(sick(), { panicPercent: 50 }))).toBeDefined();
  });

  test('panic asks all of them, the healthy ones too', () => {
    const endpoints = [endpoint('a'), ...[1, 2, 3].map((i) => endpoint(`sick${i}`, { isHealthy: false }))];
    expect(Object.keys(counts(balancer(endpoints, { panicPercent: 50 }), 1_000)).length).toBe(4);
    expect(counts(balancer(endpoints, { panicPercent: 25 }), 1_000)).toEqual({ a: 1_000 });
  });

  test('a change of health is heeded once it is told', () => {
    const a = endpoint('a');
    const from = balancer([a, endpoint('b')], { simple: 'round-robin' });
    counts(from, 3);
    a.isHealthy = false;
    from.healthChanged();
    expect(counts(from, 10)).toEqual({ b: 10 });
  });

  test('an empty set has nobody', () => {
    expect(pick(balancer([]))).toBeUndefined();
  });
});

describe('endpoints to avoid', () => {
  test('another one, if there is any', () => {
    const endpoints = ['a', 'b', 'c'].map((key) => endpoint(key));
    for (const simple of ['least-request', 'round-robin', 'random'] as const) {
      const found = counts(balancer(endpoints, { simple }), 300, { avoid: endpoints.slice(0, 2) });
      expect(found).toEqual({ c: 300 });
    }
  });

  test('in another level, rather than the same again', () => {
    const near = inZone('near', 'r/z/');
    const from = balancer([near, inZone('far', 's/x/')], { levels: { detectsOutliers: true } });
    expect(pick(from)).toBe('near');
    expect(pick(from, { avoid: [near] })).toBe('far');
  });

  test('the same again, if there is no other', () => {
    const only = endpoint('a');
    expect(pick(balancer([only]), { avoid: [only] })).toBe('a');
  });
});

describe('what is hashed', () => {
  const policy = (key: ConsistentHash['key']): ConsistentHash => ({
    key,
    algorithm: 'ring-hash',
    tableSize: 1_024,
  });
  const asked = request('/a?user=7', { headers: { 'x-user': 'alice', cookie: 'a=1; session="s7"; b=2' } });
  const at = (key: ConsistentHash['key']) => hashOf(policy(key), asked, connection(), () => 0.5);

  test('header, query parameter, address, cookie', () => {
    expect(at({ kind: 'header', name: 'x-user' }).hash).toBe(hashText('alice'));
    expect(at({ kind: 'query-parameter', name: 'user' }).hash).toBe(hashText('7'));
    expect(at({ kind: 'source-ip' }).hash).toBe(hashText('10.1.0.7'));
    expect(at({ kind: 'cookie', name: 'session', path: '/', ttlMs: 0 })).toEqual({
      hash: hashText('s7'),
      setCookie: undefined,
    });
  });

  test('what is missing leads anywhere', () => {
    expect(at({ kind: 'header', name: 'x-none' }).hash).toBeUndefined();
    expect(at({ kind: 'cookie', name: 'none', path: '', ttlMs: undefined })).toEqual({
      hash: undefined,
      setCookie: undefined,
    });
  });

  test('a missing cookie is made, and leads where it will lead', () => {
    const made = at({ kind: 'cookie', name: 'none', path: '/p', ttlMs: 90_500 });
    expect(made.setCookie).toBe('none="8000000080000000"; Max-Age=91; Path=/p; HttpOnly');
    expect(made.hash).toBe(hashText('8000000080000000'));
  });

  test('a cookie of the session has no age', () => {
    expect(at({ kind: 'cookie', name: 'none', path: '', ttlMs: 0 }).setCookie).toBe(
      'none="8000000080000000"; HttpOnly',
    );
  });
});
