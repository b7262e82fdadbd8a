import { describe, expect, test } from '@jest/globals';
import {
  createWaypointResource,
  encodeWaypointResource,
  type HttpRule,
  type PolicyTarget,
  type TrafficPolicy,
  WAYPOINT_RESOURCE_KINDS,
  type WaypointResourceKind,
  type WaypointResources,
} from '@ambit/api/waypoint';
import type { ServiceKey } from '@ambit/model/address';
import { type Rejection, ResourceStore } from './store.ts';

type Parts<Kind extends WaypointResourceKind> = Parameters<typeof createWaypointResource<Kind>>[1];

const CART: ServiceKey = 'shop/cart.shop.svc.cluster.local';
const SELF = { namespace: 'shop', gatewayName: 'waypoint' };

function parent(service: ServiceKey, port = 0) {
  const [namespace = '', hostname = ''] = service.split('/');
  return { namespace, hostname, port };
}

function origin(kind: string, key: string, createdMs = 1) {
  const [namespace = '', name = ''] = key.split('/').slice(-2);
  return { kind, namespace, name, createdMs: BigInt(createdMs) };
}

function upsert<Kind extends WaypointResourceKind>(kind: Kind, name: string, parts: Parts<Kind>) {
  return {
    name,
    bytes: encodeWaypointResource(kind, createWaypointResource(kind, parts) as WaypointResources[Kind]),
  };
}

function apply<Kind extends WaypointResourceKind>(
  store: ResourceStore,
  kind: Kind,
  name: string,
  parts: Parts<Kind>,
): readonly Rejection[] {
  return store.apply(kind, [upsert(kind, name, parts)], []);
}

function route(
  service: ServiceKey,
  rules: readonly Partial<HttpRule>[] = [{}],
  port = 0,
): Parts<'HttpRoute'> {
  return {
    origin: origin('HTTPRoute', 'shop/r'),
    parents: [parent(service, port)],
    rules: rules as readonly HttpRule[],
  };
}

const ALL: PolicyTarget = { kind: { $case: 'allWaypoints', value: true } };
const GATEWAY: PolicyTarget = { kind: { $case: 'gateway', value: 'shop/waypoint' } };
const OTHER_GATEWAY: PolicyTarget = { kind: { $case: 'gateway', value: 'shop/other' } };
const target = (service: ServiceKey): PolicyTarget => ({
  kind: { $case: 'service', value: parent(service) },
});

test('a policy of as many services as can be named binds these, and nobody else', () => {
  const store = new ResourceStore(SELF);
  const targets = Array.from(
    { length: 4_096 },
    (_, i): PolicyTarget => ({
      kind: { $case: 'service', value: parent(`shop/h${i}.example.com`) },
    }),
  );
  const rejections = apply(store, 'AuthorizationPolicy', 'shop/p', {
    origin: origin('AuthorizationPolicy', 'shop/p'),
    targets,
  });
  expect(rejections).toEqual([]);
  expect(store.servicePort('shop/h7.example.com', 443).authorization.allow).toHaveLength(1);
  expect(store.servicePort(CART, 80).authorization.allow).toEqual([]);
});

describe('routes', () => {
  test('a changed route of a thousand costs the tables of its own parents', () => {
    const store = new ResourceStore(SELF);
    const services = Array.from({ length: 200 }, (_, i): ServiceKey => `shop/s${i}`);
    const routes = Array.from({ length: 1_000 }, (_, i) =>
      upsert('HttpRoute', `HTTPRoute/shop/r${i}`, route(services[i % 200] ?? CART)),
    );
    store.apply('HttpRoute', routes, []);
    const before = services.map((service) => store.servicePort(service, 80).http);
    const touched: unknown[] = [];
    using _ = store.changes.subscribe((change) => touched.push(change.services));
    apply(store, 'HttpRoute', 'HTTPRoute/shop/r7', route(services[7] ?? CART, []));
    const after = services.map((service) => store.servicePort(service, 80).http);
    expect(after.flatMap((table, i) => (table === before[i] ? [] : [i]))).toEqual([7]);
    expect(after[7]?.routes.length).toBe(5);
    expect(touched).toEqual([new Set(['shop/s7'])]);
  });

  test('a route that changes its parents leaves the old and comes to the new', () => {
    const store = new ResourceStore(SELF);
    apply(store, 'HttpRoute', 'HTTPRoute/shop/r', route('shop/a'));
    store.servicePort('shop/a', 80);
    apply(store, 'HttpRoute', 'HTTPRoute/shop/r', route('shop/b'));
    expect(store.servicePort('shop/a', 80).http.producer).toBeUndefined();
    expect(store.servicePort('shop/b', 80).http.producer).toBeDefined();
    store.apply('HttpRoute', [], ['HTTPRoute/shop/r']);
    expect(store.servicePort('shop/b', 80).http.producer).toBeUndefined();
  });

  test('a policy that changes does not cost a table, and what nothing touched stays the same object', () => {
    const store = new ResourceStore(SELF);
    apply(store, 'HttpRoute', 'HTTPRoute/shop/r', route(CART));
    const cart = store.servicePort(CART, 80);
    const other = store.servicePort('shop/other', 80);
    apply(store, 'AuthorizationPolicy', 'shop/p', {
      origin: origin('AuthorizationPolicy', 'shop/p'),
      targets: [target(CART)],
    });
    expect(store.servicePort(CART, 80)).not.toBe(cart);
    expect(store.servicePort(CART, 80).http).toBe(cart.http);
    expect(store.servicePort('shop/other', 80)).toBe(other);
  });

  test('streams come from the oldest on, for their port', () => {
    const store = new ResourceStore(SELF);
    const stream = (name: string, createdMs: number, port: number) =>
      upsert('StreamRoute', `TCPRoute/shop/${name}`, {
        origin: origin('TCPRoute', `shop/${name}`, createdMs),
        parents: [parent(CART, port)],
      });
    store.apply('StreamRoute', [stream('new', 9, 0), stream('old', 1, 0), stream('elsewhere', 1, 81)], []);
    expect(store.servicePort(CART, 80).streams.map(({ name }) => name)).toEqual([
      'TCPRoute/shop/old',
      'TCPRoute/shop/new',
    ]);
  });
});

describe('policies', () => {
  const policy = (key: string, targets: readonly PolicyTarget[], parts: Parts<'AuthorizationPolicy'> = {}) =>
    upsert('AuthorizationPolicy', key, { origin: origin('AuthorizationPolicy', key), targets, ...parts });

  test('bind by service, by this waypoint, by all of them', () => {
    const store = new ResourceStore(SELF);
    store.apply(
      'AuthorizationPolicy',
      [
        policy('shop/service', [target(CART)]),
        policy('shop/gateway', [GATEWAY]),
        policy('shop/other-gateway', [OTHER_GATEWAY]),
        policy('istio-system/all', [ALL]),
        policy('shop/other-service', [target('shop/other')]),
        policy('shop/both', [target(CART), GATEWAY]),
      ],
      [],
    );
    const keys = (config: ReturnType<ResourceStore['servicePort']>) =>
      config.authorization.allow.map(({ key }) => key);
    expect(keys(store.servicePort(CART, 80))).toEqual([
      'istio-system/all',
      'shop/both',
      'shop/gateway',
      'shop/service',
    ]);
    expect(keys(store.workloads())).toEqual(['istio-system/all', 'shop/both', 'shop/gateway']);
  });

  test('one for the waypoint changes everything that is bound', () => {
    const store = new ResourceStore(SELF);
    const before = [store.servicePort(CART, 80), store.workloads()];
    store.apply('AuthorizationPolicy', [policy('shop/p', [GATEWAY])], []);
    expect(store.changes.value.services).toBe('all');
    expect([store.servicePort(CART, 80), store.workloads()].map((config, i) => config === before[i])).toEqual(
      [false, false],
    );
  });

  test('telemetry: of the service, the waypoint, all, and the oldest of its namespace and the root namespace', () => {
    const store = new ResourceStore(SELF);
    apply(store, 'MeshSettings', 'default', { rootNamespace: 'root' });
    const telemetry = (key: string, targets: readonly PolicyTarget[], createdMs = 1) =>
      upsert('Telemetry', key, { origin: origin('Telemetry', key, createdMs), targets });
    store.apply(
      'Telemetry',
      [
        telemetry('root/mesh', []),
        telemetry('shop/another', [], 2),
        telemetry('shop/namespace', []),
        telemetry('other/namespace', []),
        telemetry('root/all', [ALL]),
        telemetry('shop/gateway', [GATEWAY]),
        telemetry('shop/cart', [target(CART)]),
      ],
      [],
    );
    expect(store.servicePort(CART, 80).telemetry.map(({ key }) => key)).toEqual([
      'shop/cart',
      'shop/gateway',
      'root/all',
      'shop/namespace',
      'root/mesh',
    ]);
    const far = store.servicePort('other/away.other.svc.cluster.local', 80).telemetry;
    expect(far.map(({ key }) => key)).toEqual([
      'shop/gateway',
      'root/all',
      'other/namespace',
      'shop/namespace',
      'root/mesh',
    ]);
  });
});

describe('destinations', () => {
  const lb = (simple: number): TrafficPolicy => createTraffic({ loadBalancer: { simple } as never });
  function createTraffic(parts: Partial<TrafficPolicy>): TrafficPolicy {
    const made = createWaypointResource('DestinationPolicy', { policy: parts as TrafficPolicy }).policy;
    if (made === undefined) throw new Error('no policy');
    return made;
  }
  const [LEAST, ROUND, RANDOM] = [lb(1), lb(2), lb(3)];
  const rule = (key: string, hostname: string, parts: Parts<'DestinationPolicy'> = {}, createdMs = 1) =>
    upsert('DestinationPolicy', `DestinationRule/${key}`, {
      origin: origin('DestinationRule', key, createdMs),
      hostname,
      ...parts,
    });
  const HOST = 'cart.shop.svc.cluster.local';
  const filled = (...rules: readonly ReturnType<typeof rule>[]) => {
    const store = new ResourceStore({ namespace: 'way', gatewayName: 'waypoint' });
    store.apply('DestinationPolicy', rules, []);
    return store;
  };
  const simple = (store: ResourceStore, port = 80, subset = '') =>
    store.destination(CART, port, subset).loadBalancer?.simple;

  const cases: Record<string, [rules: readonly ReturnType<typeof rule>[], want: string | undefined]> = {
    'nobody says anything': [[], undefined],
    'the service’s namespace': [[rule('shop/a', HOST, { policy: RANDOM })], 'random'],
    'the waypoint’s namespace comes first': [
      [rule('shop/a', HOST, { policy: RANDOM }), rule('way/b', HOST, { policy: ROUND })],
      'round-robin',
    ],
    'though its hostname is less specific': [
      [rule('shop/a', HOST, { policy: RANDOM }), rule('way/b', '*.cluster.local', { policy: ROUND })],
      'round-robin',
    ],
    'the root namespace comes last': [
      [rule('istio-system/a', HOST, { policy: RANDOM }), rule('shop/b', '*', { policy: ROUND })],
      'round-robin',
    ],
    'another namespace does not count': [[rule('other/a', HOST, { policy: RANDOM })], undefined],
    'the most specific hostname': [
      [
        rule('shop/a', '*.local', { policy: RANDOM }),
        rule('shop/b', '*.shop.svc.cluster.local', { policy: ROUND }),
      ],
      'round-robin',
    ],
    'then the oldest': [
      [rule('shop/a', HOST, { policy: RANDOM }, 2), rule('shop/b', HOST, { policy: ROUND }, 1)],
      'round-robin',
    ],
    'a service of another namespace': [
      [rule('shop/a', HOST, { policy: RANDOM, serviceNamespace: 'x' })],
      undefined,
    ],
    'a port, nothing of the rest': [
      [
        rule('shop/a', HOST, {
          policy: RANDOM,
          ports: [{ port: 80, policy: createTraffic({ proxyProtocol: 1 }) }],
        }),
      ],
      undefined,
    ],
    'another port': [
      [rule('shop/a', HOST, { policy: RANDOM, ports: [{ port: 81, policy: ROUND }] })],
      'random',
    ],
  };

  test.each(Object.entries(cases))('%s', (_, [rules, want]) => {
    expect(simple(filled(...rules))).toBe(want);
  });

  test('a subset says what it says, and the rest is the destination’s', () => {
    const subsets = [
      { name: 'v1', labels: new Map([['version', 'v1']]), workloads: ['w1'], policy: ROUND, ports: [] },
    ];
    const policy = createTraffic({ loadBalancer: { simple: 3 } as never, proxyProtocol: 2 });
    const store = filled(rule('shop/a', HOST, { policy, subsets }));
    const found = store.destination(CART, 80, 'v1');
    expect(found).toMatchObject({
      loadBalancer: { simple: 'round-robin' },
      proxyProtocol: 2,
      workloads: new Set(['w1']),
      unusable: undefined,
      from: ['DestinationRule/shop/a'],
    });
    expect(store.destination(CART, 80, '').workloads).toBeUndefined();
  });

  test('what a subset says of a port stands alone there', () => {
    const tls = { sni: 'v1.example.com', subjectAltNames: [], caCertificates: '', insecureSkipVerify: false };
    const ports = [{ port: 443, policy: { tls } as unknown as TrafficPolicy }];
    const subsets = [{ name: 'v1', labels: new Map(), workloads: [], policy: undefined, ports }];
    const store = filled(rule('shop/a', HOST, { policy: ROUND, subsets }));
    expect(store.destination(CART, 443, 'v1')).toMatchObject({
      tls: { sni: 'v1.example.com' },
      loadBalancer: undefined,
    });
    expect(simple(store, 80, 'v1')).toBe('round-robin');
    expect(store.destination(CART, 80, 'v1').tls).toBeUndefined();
  });

  test('rules for one hostname give their subsets together', () => {
    const subset = (name: string) => ({
      name,
      labels: new Map(),
      workloads: [name],
      policy: undefined,
      ports: [],
    });
    const store = filled(
      rule('shop/a', HOST, { subsets: [subset('v1')] }, 1),
      rule('shop/b', HOST, { subsets: [subset('v2')] }, 2),
    );
    expect([...(store.destination(CART, 80, 'v2').workloads ?? [])]).toEqual(['v2']);
  });

  test('a subset that nobody defines cannot be used', () => {
    expect(filled().destination(CART, 80, 'v9').unusable).toBe('no DestinationRule has a subset v9');
  });

  test('a rule that cannot be read cannot be used', () => {
    const bad = { consistentHash: { key: { $case: 'header', value: 'a b' }, algorithm: 0, tableSize: 0n } };
    const store = filled(rule('shop/a', HOST, { policy: createTraffic({ loadBalancer: bad as never }) }));
    expect(store.destination(CART, 80, '').unusable).toMatch(/^DestinationRule\/shop\/a cannot be read: /);
  });

  test('another kind fills what the rule leaves open', () => {
    const store = filled(rule('shop/a', HOST, { policy: LEAST }));
    const tls = {
      sni: 'x',
      subjectAltNames: [],
      caCertificates: '',
      insecureSkipVerify: false,
      unreadable: '',
      files: undefined,
      credential: undefined,
    };
    apply(store, 'DestinationPolicy', 'BackendTLSPolicy/shop/t', {
      origin: origin('BackendTLSPolicy', 'shop/t'),
      hostname: HOST,
      policy: createTraffic({ tls, loadBalancer: { simple: 3 } as never }),
    });
    expect(store.destination(CART, 80, '')).toMatchObject({
      loadBalancer: { simple: 'least-request' },
      tls: { sni: 'x' },
    });
  });

  test.each([
    ['the waypoint’s namespace', 'way/a', true],
    ['the root namespace', 'istio-system/a', true],
    ['the namespace of the service', 'pay/a', false],
  ])('Secrets of the waypoint are for rules of its own namespace: %s', (_, from, isPermitted) => {
    const tls = { sni: 'x', credential: { name: 'bank', mutual: true } };
    const policy = { tls } as unknown as TrafficPolicy;
    const subsets = [{ name: 'v1', labels: new Map(), workloads: [], policy, ports: [] }];
    const host = 'cart.pay.svc.cluster.local';
    const store = filled(rule(from, host, { policy, subsets }));
    for (const subset of ['', 'v1']) {
      const found = store.destination(`pay/${host}`, 80, subset).tls;
      const source = { kind: 'credential', name: 'bank', isMutual: true };
      if (isPermitted) expect(found).toMatchObject({ source, unreadable: undefined });
      else
        expect(found).toMatchObject({
          source: undefined,
          unreadable: expect.stringContaining('not of pay'),
        });
    }
  });

  test('a change is heeded by the services it concerns, and by no others', () => {
    const store = filled();
    const before = [store.destination(CART, 80, ''), store.destination('shop/x', 80, '')];
    store.apply('DestinationPolicy', [rule('shop/a', '*.shop.svc.cluster.local', { policy: RANDOM })], []);
    expect([
      store.destination(CART, 80, '') === before[0],
      store.destination('shop/x', 80, '') === before[1],
    ]).toEqual([false, true]);
    expect(store.changes.value.services).toEqual(new Set([CART]));
  });
});

describe('what cannot be read', () => {
  const NONSENSE = Uint8Array.of(0xff, 0xff, 0xff);

  test('a route: refused where it would have applied, and told', () => {
    const store = new ResourceStore(SELF);
    const bad = {
      ...route(CART),
      parents: [parent(CART)],
      rules: [{ matches: [{ path: { kind: { $case: 'regex', value: '(' }, ignoreCase: false } }] }] as never,
    };
    const rejections = apply(store, 'HttpRoute', 'HTTPRoute/shop/r', bad);
    expect(rejections).toEqual([
      { kind: 'HttpRoute', name: 'HTTPRoute/shop/r', problem: expect.stringContaining('path: regex (') },
    ]);
    expect(store.servicePort(CART, 80).http.producer?.kind).toBe('unreadable');
  });

  test('a rule: it alone', () => {
    const store = new ResourceStore(SELF);
    const rules = [{ backends: [{ weight: 1 }] as never }, {}];
    expect(apply(store, 'HttpRoute', 'HTTPRoute/shop/r', route(CART, rules))).toEqual([]);
    const [bad, good] = store.servicePort(CART, 80).http.routes[0]?.rules ?? [];
    expect([bad?.unreadable, good?.unreadable]).toEqual(['backends: one without a target', undefined]);
  });

  test('bytes that are no route: those it had as parents are refused', () => {
    const store = new ResourceStore(SELF);
    apply(store, 'HttpRoute', 'HTTPRoute/shop/r', route(CART));
    expect(store.apply('HttpRoute', [{ name: 'HTTPRoute/shop/r', bytes: NONSENSE }], []).length).toBe(1);
    expect(store.servicePort(CART, 80).http.producer?.kind).toBe('unreadable');
  });

  test('bytes that are no policy: it denies what it was attached to, or everything', () => {
    const store = new ResourceStore(SELF);
    apply(store, 'AuthorizationPolicy', 'shop/p', {
      origin: origin('AuthorizationPolicy', 'shop/p'),
      targets: [target(CART)],
    });
    const broken = (name: string) => store.apply('AuthorizationPolicy', [{ name, bytes: NONSENSE }], []);
    broken('shop/p');
    const denies = (service: ServiceKey) =>
      store.servicePort(service, 80).authorization.unreadable.map(({ key }) => key);
    expect([denies(CART), denies('shop/other')]).toEqual([['shop/p'], []]);
    broken('shop/q');
    expect([denies(CART), denies('shop/other')]).toEqual([['shop/p', 'shop/q'], ['shop/q']]);
    store.apply('AuthorizationPolicy', [], ['shop/p', 'shop/q']);
    expect([denies(CART), denies('shop/other')]).toEqual([[], []]);
  });

  test('a policy that says nothing of its targets: as one that cannot be read', () => {
    const store = new ResourceStore(SELF);
    apply(store, 'AuthorizationPolicy', 'shop/p', {
      origin: origin('AuthorizationPolicy', 'shop/p'),
      targets: [target(CART)],
    });
    const denies = (service: ServiceKey) =>
      store.servicePort(service, 80).authorization.unreadable.map(({ key }) => key);
    const empty = (name: string) => ({ name, bytes: new Uint8Array(0) });
    expect(store.apply('AuthorizationPolicy', [empty('shop/p'), empty('shop/q')], [])).toHaveLength(2);
    expect([denies(CART), denies('shop/other')]).toEqual([['shop/p', 'shop/q'], ['shop/q']]);
    expect(store.apply('RequestAuthentication', [empty('shop/r')], [])).toHaveLength(1);
    expect(
      store.servicePort(CART, 80).authentication.map(({ unreadable }) => unreadable !== undefined),
    ).toEqual([true]);
  });

  test('settings: the last readable ones stay', () => {
    const store = new ResourceStore(SELF);
    apply(store, 'MeshSettings', 'default', { trustDomain: 'td' });
    expect(apply(store, 'MeshSettings', 'default', { pathNormalization: 'WHAT' })).toHaveLength(1);
    expect(store.settings.trustDomain).toBe('td');
  });
});

test('is complete once every kind has come, and settings with them', () => {
  const store = new ResourceStore(SELF);
  const seen = WAYPOINT_RESOURCE_KINDS.map((kind) => {
    store.apply(kind, [], []);
    return store.complete;
  });
  expect(seen.some(Boolean)).toBe(false);
  apply(store, 'MeshSettings', 'default', {});
  expect(store.complete).toBe(true);
  expect(store.version).toBe(WAYPOINT_RESOURCE_KINDS.length + 1);
});
