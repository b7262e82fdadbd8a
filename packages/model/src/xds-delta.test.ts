import { describe, expect, test } from '@jest/globals';
import {
  Action,
  AUTHORIZATION_TYPE_URL,
  createAuthorization,
  createMatch,
  encodeAuthorization,
  Scope,
} from '@ambit/api/authorization';
import {
  AppProtocol,
  ADDRESS_TYPE_URL,
  ApplicationTunnelProtocol,
  createService,
  createWorkload,
  encodeAddress,
  HealthPolicy,
  IpFamilies,
  LoadBalancingMode,
  LoadBalancingScope,
  NetworkMode,
  type Service,
  TunnelProtocol,
  Visibility,
  type Workload,
  WorkloadStatus,
  WorkloadType,
} from '@ambit/api/workload';
import { decodeAddress } from './decode/address.ts';
import { decodePolicy } from './decode/authorization.ts';
import { dumpPolicy, dumpService, dumpWorkload } from './dump.ts';
import { Interner } from './intern.ts';
import { MeshStore } from './store.ts';
import { applyXdsDelta } from './xds-delta.ts';

const ip4 = Uint8Array.of(10, 0, 0, 1);
const port = (servicePort: number, targetPort: number) =>
  ({ servicePort, targetPort, appProtocol: 0 }) as const;
const minimal = { uid: 'u', namespace: 'a', addresses: [ip4] } as const;
const workloadBytes = (fields: Partial<Workload>) =>
  encodeAddress({ type: { $case: 'workload', value: createWorkload(fields) } });
const serviceBytes = (fields: Partial<Service>) =>
  encodeAddress({ type: { $case: 'service', value: createService(fields) } });

function workloadFrom(fields: Partial<Workload>) {
  const decoded = decodeAddress(workloadBytes(fields), new Interner());
  return decoded.kind === 'workload' ? decoded.workload : decoded;
}

function serviceFrom(fields: Partial<Service>) {
  const decoded = decodeAddress(serviceBytes(fields), new Interner());
  return decoded.kind === 'service' ? decoded.service : decoded;
}

describe('a workload from the wire', () => {
  test('with everything', () => {
    const workload = workloadFrom({
      uid: 'c//Pod/a/w',
      name: 'w',
      namespace: 'a',
      addresses: [ip4, Uint8Array.of(0xfd, ...Array<number>(14).fill(0), 1)],
      network: 'east',
      tunnelProtocol: TunnelProtocol.HBONE,
      trustDomain: 'td',
      serviceAccount: 's',
      waypoint: {
        destination: { $case: 'hostname', value: { namespace: 'a', hostname: 'wp' } },
        hboneMtlsPort: 15008,
      },
      networkGateway: {
        destination: { $case: 'address', value: { network: 'west', address: ip4, length: undefined } },
        hboneMtlsPort: 15009,
      },
      node: 'n',
      canonicalName: 'app',
      canonicalRevision: 'v1',
      workloadType: WorkloadType.CRONJOB,
      workloadName: 'job',
      nativeTunnel: true,
      authorizationPolicies: ['a/p'],
      status: WorkloadStatus.UNHEALTHY,
      clusterId: 'c',
      hostname: 'h',
      services: new Map([['a/s', { ports: [port(80, 8080)] }]]),
      applicationTunnel: { protocol: ApplicationTunnelProtocol.PROXY, port: 15088 },
      locality: { region: 'r', zone: 'z', subzone: 's' },
      networkMode: NetworkMode.HOST_NETWORK,
      capacity: 0,
    });
    if (!('uid' in workload)) throw new Error(workload.kind === 'problem' ? workload.problem : workload.kind);
    expect(workload.identity).toBe('spiffe://td/ns/a/sa/s');
    expect(dumpWorkload(workload)).toEqual({
      applicationTunnel: { port: 15088, protocol: 'PROXY' },
      authorizationPolicies: ['a/p'],
      canonicalName: 'app',
      canonicalRevision: 'v1',
      capacity: 0,
      clusterId: 'c',
      hostname: 'h',
      locality: { region: 'r', subzone: 's', zone: 'z' },
      name: 'w',
      namespace: 'a',
      nativeTunnel: true,
      network: 'east',
      networkGateway: { destination: 'west/10.0.0.1', hboneMtlsPort: 15009 },
      networkMode: 'HostNetwork',
      node: 'n',
      protocol: 'HBONE',
      serviceAccount: 's',
      services: ['a/s'],
      status: 'Unhealthy',
      trustDomain: 'td',
      uid: 'c//Pod/a/w',
      waypoint: { destination: 'a/wp', hboneMtlsPort: 15008 },
      workloadIps: ['10.0.0.1', 'fd00::1'],
      workloadName: 'job',
      workloadType: 'cronjob',
    });
  });

  test('with what the control plane elides', () => {
    const workload = workloadFrom(minimal);
    expect(workload).toMatchObject({
      trustDomain: 'cluster.local',
      serviceAccount: 'default',
      clusterId: 'Kubernetes',
      capacity: 1,
      workloadType: 'deployment',
      protocol: 'TCP',
      identity: 'spiffe://cluster.local/ns/a/sa/default',
    });
  });

  test.each<[string, Partial<Workload>, string]>([
    ['no uid', { ...minimal, uid: '' }, 'uid is empty'],
    ['neither address nor hostname', { ...minimal, addresses: [] }, 'neither addresses nor a hostname'],
    [
      'an address of five bytes',
      { ...minimal, addresses: [new Uint8Array(5)] },
      'addresses: an address of 5 bytes',
    ],
    [
      'the tunnel of old',
      { ...minimal, tunnelProtocol: TunnelProtocol.LEGACY_ISTIO_MTLS },
      'tunnel_protocol: unsupported value 2',
    ],
    [
      'an unknown tunnel',
      { ...minimal, tunnelProtocol: 9 as TunnelProtocol },
      'tunnel_protocol: unsupported value 9',
    ],
    ['an unknown status', { ...minimal, status: 9 as WorkloadStatus }, 'status: unsupported value 9'],
    [
      'an unknown type',
      { ...minimal, workloadType: 9 as WorkloadType },
      'workload_type: unsupported value 9',
    ],
    [
      'an unknown network mode',
      { ...minimal, networkMode: 9 as NetworkMode },
      'network_mode: unsupported value 9',
    ],
    [
      'a service without a namespace',
      { ...minimal, services: new Map([['s', { ports: [] }]]) },
      'services: s is not namespace/hostname',
    ],
    [
      'a port beyond all ports',
      { ...minimal, services: new Map([['a/s', { ports: [port(80, 65_536)] }]]) },
      'ports: 65536 is not a port',
    ],
    [
      'a waypoint without destination',
      { ...minimal, waypoint: { destination: undefined, hboneMtlsPort: 1 } },
      'waypoint: no destination',
    ],
    ['a name without end', { ...minimal, name: 'x'.repeat(1025) }, 'name: longer than 1024 characters'],
    [
      'too many addresses',
      { ...minimal, addresses: Array<Uint8Array>(257).fill(ip4) },
      'addresses: 257 values where at most 256 are taken',
    ],
  ])('is refused with %s', (_, fields, problem) =>
    expect(workloadFrom(fields)).toEqual({ kind: 'problem', problem }),
  );

  test('shares with others what they have in common', () => {
    const interner = new Interner();
    const [one, two] = ['u1', 'u2'].map((uid) => {
      const services = new Map([['a/s', { ports: [port(80, 8080)] }]]);
      const decoded = decodeAddress(
        workloadBytes({ ...minimal, uid, services, authorizationPolicies: ['a/p'] }),
        interner,
      );
      return decoded.kind === 'workload' ? decoded.workload : undefined;
    });
    expect(one?.services).toBe(two?.services);
    expect(one?.authorizationPolicies).toBe(two?.authorizationPolicies);
    expect(one?.locality).toBe(two?.locality);
  });
});

describe('a service from the wire', () => {
  test('with everything', () => {
    const service = serviceFrom({
      name: 's',
      namespace: 'a',
      hostname: 's.a',
      addresses: [
        { network: '', address: ip4, length: undefined },
        { network: '', address: ip4, length: 32 },
        { network: 'n', address: ip4, length: 8 },
      ],
      ports: [port(80, 8080), port(443, 0)],
      subjectAltNames: ['spiffe://td/ns/a/sa/x'],
      waypoint: {
        destination: { $case: 'hostname', value: { namespace: 'a', hostname: 'wp' } },
        hboneMtlsPort: 15008,
      },
      loadBalancing: {
        routingPreference: [LoadBalancingScope.NETWORK, LoadBalancingScope.SUBZONE],
        mode: LoadBalancingMode.FAILOVER,
        healthPolicy: HealthPolicy.ALLOW_ALL,
      },
      ipFamilies: IpFamilies.IPV6_ONLY,
      canonical: true,
      weightedWaypoints: [
        {
          destination: {
            destination: { $case: 'hostname', value: { namespace: 'a', hostname: 'w2' } },
            hboneMtlsPort: 1,
          },
          weight: 7,
        },
      ],
      visibility: Visibility.NAMESPACE,
    });
    if (!('vips' in service)) throw new Error('not a service');
    expect(dumpService(service, [])).toEqual({
      canonical: true,
      cidrVips: [{ cidr: '10.0.0.1/8', network: 'n' }],
      endpoints: {},
      hostname: 's.a',
      ipFamilies: 'IPv6',
      loadBalancer: {
        healthPolicy: 'AllowAll',
        mode: 'Failover',
        routingPreferences: ['Network', 'Subzone'],
      },
      name: 's',
      namespace: 'a',
      ports: { 80: 8080, 443: 0 },
      subjectAltNames: ['spiffe://td/ns/a/sa/x'],
      vips: ['/10.0.0.1', '/10.0.0.1'],
      visibility: 'Namespace',
      waypoint: { destination: 'a/wp', hboneMtlsPort: 15008 },
      weightedWaypoints: [{ destination: { destination: 'a/w2', hboneMtlsPort: 1 }, weight: 7 }],
    });
  });

  test('tells what its ports declare to speak, and nothing of the others', () => {
    const speaking = (servicePort: number, appProtocol: AppProtocol) => ({
      servicePort,
      targetPort: 0,
      appProtocol,
    });
    const ports = [
      speaking(80, AppProtocol.HTTP11),
      speaking(81, AppProtocol.GRPC),
      speaking(82, AppProtocol.UNKNOWN),
      speaking(83, 99 as AppProtocol),
    ];
    const service = serviceFrom({ namespace: 'a', hostname: 'h', ports });
    expect('vips' in service && [...service.appProtocols]).toEqual([
      [80, 'HTTP11'],
      [81, 'GRPC'],
    ]);
  });

  test('of an unknown visibility is public', () =>
    expect(serviceFrom({ namespace: 'a', hostname: 'h', visibility: 9 as Visibility })).toMatchObject({
      visibility: 'Public',
    }));

  const balancer = {
    routingPreference: [],
    mode: LoadBalancingMode.STRICT,
    healthPolicy: HealthPolicy.ONLY_HEALTHY,
  };
  test.each<[string, Partial<Service>, string]>([
    ['no hostname', { namespace: 'a' }, 'hostname is empty'],
    [
      'a slash in its hostname',
      { namespace: 'a', hostname: 'a/b' },
      'a hostname and a namespace hold no slash',
    ],
    [
      'an address of five bytes',
      { hostname: 'h', addresses: [{ network: '', address: new Uint8Array(5), length: undefined }] },
      'addresses: an address of 5 bytes',
    ],
    [
      'a prefix beyond the address',
      { hostname: 'h', addresses: [{ network: '', address: ip4, length: 33 }] },
      'addresses: 4 bytes with a prefix of 33 bits',
    ],
    [
      'an unknown mode',
      { hostname: 'h', loadBalancing: { ...balancer, mode: 9 as LoadBalancingMode } },
      'load_balancing.mode: unsupported value 9',
    ],
    [
      'an unspecified scope',
      { hostname: 'h', loadBalancing: { ...balancer, routingPreference: [0] } },
      'routing_preference: unsupported value 0',
    ],
    ['unknown families', { hostname: 'h', ipFamilies: 9 as IpFamilies }, 'ip_families: unsupported value 9'],
    [
      'a weight without a waypoint',
      { hostname: 'h', weightedWaypoints: [{ destination: undefined, weight: 1 }] },
      'weighted_waypoints: one has no destination',
    ],
  ])('is refused with %s', (_, fields, problem) =>
    expect(serviceFrom(fields)).toEqual({ kind: 'problem', problem }),
  );
});

describe('a policy from the wire', () => {
  const exact = (value: string) => ({ matchType: { $case: 'exact', value } }) as const;
  const matchOf = (action: Action, match: Parameters<typeof createMatch>[0]) => {
    const rules = [{ clauses: [{ matches: [createMatch(match)] }] }];
    const decoded = decodePolicy(
      'a/p',
      encodeAuthorization(createAuthorization({ name: 'p', namespace: 'a', action, rules })),
    );
    return decoded.kind === 'policy' ? decoded.policy.rules[0]?.[0]?.[0] : decoded;
  };

  test('with every field', () => {
    const block = { address: ip4, length: 8 };
    const account = { namespace: 'a', serviceAccount: 's' };
    const strings = [
      exact('e'),
      { matchType: { $case: 'prefix', value: 'p' } },
      { matchType: { $case: 'suffix', value: 's' } },
      { matchType: { $case: 'presence', value: {} } },
    ] as const;
    const match = createMatch({
      namespaces: strings,
      notNamespaces: [exact('n')],
      principals: [exact('n')],
      notPrincipals: [exact('n')],
      sourceIps: [block],
      notSourceIps: [block],
      destinationIps: [block],
      notDestinationIps: [block],
      destinationPorts: [1],
      notDestinationPorts: [2],
      serviceAccounts: [account],
      notServiceAccounts: [account],
    });
    const message = createAuthorization({
      name: 'p',
      namespace: 'a',
      scope: Scope.WORKLOAD_SELECTOR,
      action: Action.DENY,
      rules: [{ clauses: [{ matches: [match] }] }],
      dryRun: true,
    });
    const decoded = decodePolicy('a/p', encodeAuthorization(message));
    if (decoded.kind !== 'policy') throw new Error(decoded.problem);
    const n = [{ Exact: 'n' }];
    expect(dumpPolicy(decoded.policy)).toEqual({
      action: 'Deny',
      dryRun: true,
      name: 'p',
      namespace: 'a',
      rules: [
        [
          [
            {
              namespaces: [{ Exact: 'e' }, { Prefix: 'p' }, { Suffix: 's' }, { Presence: [] }],
              notNamespaces: n,
              principals: n,
              notPrincipals: n,
              sourceIps: ['10.0.0.1/8'],
              notSourceIps: ['10.0.0.1/8'],
              destinationIps: ['10.0.0.1/8'],
              notDestinationIps: ['10.0.0.1/8'],
              destinationPorts: [1],
              notDestinationPorts: [2],
              serviceAccounts: [account],
              notServiceAccounts: [account],
            },
          ],
        ],
      ],
      scope: 'WorkloadSelector',
    });
  });

  const bad = { address: new Uint8Array(3), length: 8 };
  const good = { address: ip4, length: 8 };
  test('keeps of a deny what says something', () =>
    expect(matchOf(Action.DENY, { sourceIps: [bad], destinationPorts: [80] })).toEqual({
      destinationPorts: [80],
    }));
  test('never lets a broken allow match through', () => {
    expect(matchOf(Action.ALLOW, { sourceIps: [bad], destinationPorts: [80] })).toEqual({});
    expect(matchOf(Action.ALLOW, { notSourceIps: [bad, good] })).toEqual({});
    expect(matchOf(Action.ALLOW, { principals: [{ matchType: undefined }] })).toEqual({});
  });

  test.each([
    ['an unknown action', { action: 9 as Action }, 'action: unsupported value 9'],
    ['an unknown scope', { scope: 9 as Scope }, 'scope: unsupported value 9'],
  ])('is refused with %s', (_, fields, problem) =>
    expect(decodePolicy('a/p', encodeAuthorization(createAuthorization(fields)))).toMatchObject({
      kind: 'problem',
      problem,
    }),
  );
});

describe('a delta', () => {
  test('rejects a bad resource alone, and the mesh keeps the last good one', () => {
    const mesh = new MeshStore({ nodeName: '' });
    const interner = new Interner();
    const apply = (upserts: { name: string; value: Uint8Array }[], removed: string[] = []) =>
      applyXdsDelta(mesh, ADDRESS_TYPE_URL, { upserts, removed }, interner);
    expect(apply([{ name: 'u', value: workloadBytes({ ...minimal, name: 'good' }) }])).toEqual([]);
    const rejected = apply([
      { name: 'u', value: workloadBytes({ ...minimal, name: 'bad', status: 9 as WorkloadStatus }) },
      { name: 'broken', value: Uint8Array.of(10, 200) },
      { name: 'empty', value: new Uint8Array() },
      { name: 'a/s', value: serviceBytes({ namespace: 'a', hostname: 's' }) },
    ]);
    expect(rejected.map(({ name }) => name)).toEqual(['u', 'broken', 'empty']);
    expect(rejected.map(({ reason }) => reason)).toEqual([
      'status: unsupported value 9',
      expect.stringContaining('malformed istio.workload.Address'),
      'neither a workload nor a service',
    ]);
    expect([mesh.workloadByUid('u')?.name, mesh.serviceByKey('a/s')?.hostname]).toEqual(['good', 's']);
    apply([], ['u', 'a/s']);
    expect([mesh.workloadByUid('u'), mesh.serviceByKey('a/s')]).toEqual([undefined, undefined]);
  });

  test('files policies by the name of their resource', () => {
    const mesh = new MeshStore({ nodeName: '' });
    const value = encodeAuthorization(createAuthorization({ name: 'p', namespace: 'a' }));
    const upserts = [
      { name: 'a/resource', value },
      { name: 'a/bad', value: Uint8Array.of(7) },
    ];
    const rejected = applyXdsDelta(mesh, AUTHORIZATION_TYPE_URL, { upserts, removed: [] }, new Interner());
    expect([mesh.policyByKey('a/resource')?.name, rejected.map(({ name }) => name)]).toEqual([
      'p',
      ['a/bad'],
    ]);
    applyXdsDelta(mesh, AUTHORIZATION_TYPE_URL, { upserts: [], removed: ['a/resource'] }, new Interner());
    expect(mesh.policyByKey('a/resource')).toBeUndefined();
  });

  describe('a policy that cannot be read', () => {
    const boundTo = (namespace: string, mesh: MeshStore) => {
      const value = workloadBytes({ ...minimal, uid: `w-${namespace}`, namespace });
      applyXdsDelta(mesh, ADDRESS_TYPE_URL, { upserts: [{ name: 'w', value }], removed: [] }, new Interner());
      const workload = mesh.workloadByUid(`w-${namespace}`);
      return workload ? mesh.policiesFor(workload).missing : ['no workload'];
    };
    const told = (mesh: MeshStore, value: Uint8Array | undefined) =>
      applyXdsDelta(
        mesh,
        AUTHORIZATION_TYPE_URL,
        value ? { upserts: [{ name: 'a/p', value }], removed: [] } : { upserts: [], removed: ['a/p'] },
        new Interner(),
      );
    const unknownAction = (scope: Scope) =>
      encodeAuthorization(createAuthorization({ name: 'p', namespace: 'a', scope, action: 9 as Action }));

    const cases: Record<string, { value: Uint8Array; bound: Record<string, readonly string[]> }> = {
      'binds everything when it is no message at all': {
        value: Uint8Array.of(7),
        bound: { a: ['a/p'], b: ['a/p'] },
      },
      'binds its namespace': { value: unknownAction(Scope.NAMESPACE), bound: { a: ['a/p'], b: [] } },
      'binds everything': { value: unknownAction(Scope.GLOBAL), bound: { a: ['a/p'], b: ['a/p'] } },
      'binds who names it': { value: unknownAction(Scope.WORKLOAD_SELECTOR), bound: { a: [], b: [] } },
      'of an unknown scope binds everything': {
        value: unknownAction(9 as Scope),
        bound: { a: ['a/p'], b: ['a/p'] },
      },
    };
    test.each(Object.entries(cases))('%s', (_, { value, bound }) => {
      const mesh = new MeshStore({ nodeName: '' });
      expect(told(mesh, value)).toHaveLength(1);
      for (const [namespace, missing] of Object.entries(bound))
        expect([namespace, boundTo(namespace, mesh)]).toEqual([namespace, missing]);
    });

    test('leaves an older version of it in force, and counts no more when it can be read or is gone', () => {
      const mesh = new MeshStore({ nodeName: '' });
      const readable = encodeAuthorization(createAuthorization({ name: 'p', namespace: 'a' }));
      const seen = [readable, Uint8Array.of(7), undefined, Uint8Array.of(7), readable, undefined].map(
        (value) => {
          told(mesh, value);
          return [mesh.policyByKey('a/p') !== undefined, boundTo('a', mesh).length];
        },
      );
      expect(seen).toEqual([
        [true, 0],
        [true, 0],
        [false, 0],
        [false, 1],
        [true, 0],
        [false, 0],
      ]);
    });
  });

  test('of another type changes nothing', () => {
    const mesh = new MeshStore({ nodeName: '' });
    const upserts = [{ name: 'x', value: workloadBytes(minimal) }];
    expect(
      applyXdsDelta(mesh, 'type.googleapis.com/other', { upserts, removed: [] }, new Interner()),
    ).toEqual([]);
    expect(mesh.workloadByUid('u')).toBeUndefined();
  });
});
