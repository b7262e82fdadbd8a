import { describe, expect, test } from '@jest/globals';
import { dumpLocalFile, dumpMesh } from './dump.ts';
import { Interner } from './intern.ts';
import { readLocalMesh } from './local-file.ts';
import { meshOf } from './testing/mesh-file.ts';

const read = (yaml: string) => readLocalMesh(yaml, 'mesh.yaml', new Interner());

const FULL = `
workloads:
  - uid: lab//Pod/shop/cart-0
    name: cart-0
    namespace: shop
    serviceAccount: cart
    trustDomain: cluster.local
    clusterId: Kubernetes
    workloadIps: ["10.60.2.7", "fd60:0::7"]
    protocol: HBONE
    node: beta
    capacity: 2
    applicationTunnel: {protocol: PROXY}
    locality: {region: eu, zone: eu-2, subzone: ""}
    waypoint: {destination: /10.60.3.2, hboneMtlsPort: 15008}
    networkGateway: {destination: shop/gate.shop.svc, hboneMtlsPort: 15009}
    authorizationPolicies: [shop/cart-from-web]
    services:
      shop/cart.shop.svc.cluster.local: {9000: 9090}
      shop/late.shop.svc.cluster.local: {80: 80}
services:
  - name: cart
    namespace: shop
    hostname: cart.shop.svc.cluster.local
    vips: ["/10.70.0.20", "east/fd00::1"]
    cidrVips: [{network: "", cidr: 10.80.0.0/16, ignored: true}]
    ports: {9000: 9090, 80: 0}
    canonical: true
    ipFamilies: Dual
    weightedWaypoints: [{destination: {destination: shop/gate.shop.svc, hboneMtlsPort: 15008}, weight: 5}]
    loadBalancer: {mode: Failover, routingPreferences: [Network, Region, Zone], healthPolicy: OnlyHealthy}
policies:
  - name: cart-from-web
    namespace: shop
    scope: WorkloadSelector
    action: Allow
    dryRun: false
    rules:
      - - - principals: [!Exact cluster.local/ns/shop/sa/web, {Prefix: x}, !Presence []]
            sourceIps: [10.0.0.0/8]
            serviceAccounts: [{namespace: shop, serviceAccount: web}]
            somethingNew: 1
        - - destinationPorts: [9090]
`;

describe('a local file', () => {
  test('as the dump shows it after it was loaded', () => {
    const gateway = { destination: '/10.60.3.2', hboneMtlsPort: 15008 };
    const dump = dumpMesh(meshOf(FULL));
    expect(dump.workloads).toEqual([
      {
        applicationTunnel: { port: null, protocol: 'PROXY' },
        authorizationPolicies: ['shop/cart-from-web'],
        capacity: 2,
        clusterId: 'Kubernetes',
        locality: { region: 'eu', subzone: '', zone: 'eu-2' },
        name: 'cart-0',
        namespace: 'shop',
        networkGateway: { destination: 'shop/gate.shop.svc', hboneMtlsPort: 15009 },
        networkMode: 'Standard',
        node: 'beta',
        protocol: 'HBONE',
        serviceAccount: 'cart',
        services: ['shop/cart.shop.svc.cluster.local', 'shop/late.shop.svc.cluster.local'],
        status: 'Healthy',
        trustDomain: 'cluster.local',
        uid: 'lab//Pod/shop/cart-0',
        waypoint: gateway,
        workloadIps: ['10.60.2.7', 'fd60::7'],
      },
    ]);
    expect(dump.services).toEqual([
      {
        canonical: true,
        cidrVips: [{ cidr: '10.80.0.0/16', network: '' }],
        endpoints: {
          'lab//Pod/shop/cart-0': {
            port: { 9000: 9090 },
            status: 'Healthy',
            workloadUid: 'lab//Pod/shop/cart-0',
          },
        },
        hostname: 'cart.shop.svc.cluster.local',
        ipFamilies: 'Dual',
        loadBalancer: {
          healthPolicy: 'OnlyHealthy',
          mode: 'Failover',
          routingPreferences: ['Network', 'Region', 'Zone'],
        },
        name: 'cart',
        namespace: 'shop',
        ports: { 80: 0, 9000: 9090 },
        subjectAltNames: [],
        vips: ['/10.70.0.20', 'east/fd00::1'],
        visibility: 'Public',
        weightedWaypoints: [
          { destination: { destination: 'shop/gate.shop.svc', hboneMtlsPort: 15008 }, weight: 5 },
        ],
      },
    ]);
    expect(dump.policies).toEqual([
      {
        action: 'Allow',
        dryRun: false,
        name: 'cart-from-web',
        namespace: 'shop',
        rules: [
          [
            [
              {
                principals: [{ Exact: 'cluster.local/ns/shop/sa/web' }, { Prefix: 'x' }, { Presence: [] }],
                serviceAccounts: [{ namespace: 'shop', serviceAccount: 'web' }],
                sourceIps: ['10.0.0.0/8'],
              },
            ],
            [{ destinationPorts: [9090] }],
          ],
        ],
        scope: 'WorkloadSelector',
      },
    ]);
    expect(Object.keys(dump.stagedServices)).toEqual(['shop/late.shop.svc.cluster.local']);
  });

  test('every object of the dump has its keys in alphabetical order', () => {
    const unsorted: string[] = [];
    const visit = (value: unknown): void => {
      if (Array.isArray(value)) value.forEach(visit);
      else if (typeof value === 'object' && value !== null) {
        const keys = Object.keys(value).filter((key) => !/^[0-9]+$/.test(key));
        if (keys.join() !== keys.toSorted().join()) unsorted.push(keys.join());
        Object.values(value).forEach(visit);
      }
    };
    visit(dumpMesh(meshOf(FULL)));
    visit(dumpLocalFile(read(FULL)));
    expect(unsorted).toEqual([]);
  });

  test('as staticConfig keeps the ports of workloads', () => {
    const { workloads } = dumpLocalFile(read(FULL)) as { workloads: { services: unknown }[] };
    expect(workloads[0]?.services).toEqual({
      'shop/cart.shop.svc.cluster.local': { 9000: 9090 },
      'shop/late.shop.svc.cluster.local': { 80: 80 },
    });
  });

  test.each(['', '\n# nothing\n', '{}', 'workloads: []'])('that is empty is an empty mesh: %j', (yaml) => {
    expect(dumpMesh(meshOf(yaml))).toEqual({ policies: [], services: [], stagedServices: {}, workloads: [] });
  });

  test('absent identity parts stay empty, unlike those of xDS', () => {
    const [workload] = read('workloads: [{namespace: a, workloadIps: [], services: {}}]').workloads;
    expect([workload?.identity, workload?.clusterId]).toEqual(['spiffe:///ns/a/sa/', '']);
  });

  test('may use anchors', () => {
    const yaml =
      'services:\n  - &s {name: s, namespace: a, hostname: s, vips: &v ["/10.0.0.1"], ports: {}}\n  - {name: t, namespace: a, hostname: t, vips: *v, ports: {}}';
    expect(read(yaml).services.map(({ vips }) => vips[0]?.ip)).toEqual(['10.0.0.1', '10.0.0.1']);
  });
});

describe('a local file is refused, by line, column and path:', () => {
  const workload = (more: string) =>
    `workloads:\n  - namespace: a\n    workloadIps: []\n    services: {}\n    ${more}`;
  const rule = (match: string) =>
    `policies:\n  - {name: p, namespace: a, scope: Global, action: Deny, dryRun: false, rules: [[[${match}]]]}`;

  test.each<[string, string, string]>([
    [
      'an unknown key at the top',
      'workload: []',
      'line 1 column 11: workload: unknown field `workload`, expected one of',
    ],
    [
      'an unknown key in a workload',
      workload('ip: 10.0.0.1'),
      'line 5 column 9: workloads[0].ip: unknown field `ip`',
    ],
    [
      'a missing key',
      'workloads:\n  - namespace: a\n    services: {}',
      'line 2 column 5: workloads[0]: missing field `workloadIps`',
    ],
    [
      'a word of no enumeration',
      workload('protocol: hbone'),
      'line 5 column 15: workloads[0].protocol: `hbone` is none of TCP, HBONE',
    ],
    [
      'an address that is none',
      'workloads: [{namespace: a, services: {}, workloadIps: [10.0.0]}]',
      'workloads[0].workloadIps[0]: 10.0.0 is not an IP address',
    ],
    [
      'a service key without a namespace',
      'workloads: [{namespace: a, workloadIps: [], services: {s: {80: 80}}}]',
      's is not namespace/hostname',
    ],
    [
      'a port beyond all ports',
      'workloads: [{namespace: a, workloadIps: [], services: {a/s: {80: 65536}}}]',
      '65536 is not a whole number up to 65535',
    ],
    [
      'a bare VIP',
      'services: [{name: s, namespace: a, hostname: s, vips: [10.0.0.1], ports: {}}]',
      'services[0].vips[0]: 10.0.0.1 is not network/IP',
    ],
    [
      'a block without its length',
      rule('{sourceIps: [10.0.0.1]}'),
      '10.0.0.1 is not a CIDR block with its length',
    ],
    [
      'a string match of no kind',
      rule('{principals: [!Regex x]}'),
      '`Regex` is none of Exact, Prefix, Suffix, Presence',
    ],
    [
      'a string match that is plain text',
      rule('{principals: [x]}'),
      'expected a string match such as `!Exact foo`',
    ],
    [
      'a locality that is not whole',
      workload('locality: {region: r}'),
      'workloads[0].locality: missing field `zone`',
    ],
    [
      'a gateway of no form',
      workload('waypoint: {destination: x, hboneMtlsPort: 1}'),
      'x is neither network/IP nor namespace/hostname',
    ],
    ['a list that is a map', 'workloads: {}', 'workloads: expected a list'],
    ['text that is a list', workload('name: []'), 'workloads[0].name: expected text'],
    ['a key twice', 'workloads: []\nworkloads: []', 'line 2 column 1: Map keys must be unique'],
    ['no YAML', 'workloads: [', 'line 1'],
    ['a flag that is a word', workload('nativeTunnel: "true"'), 'expected true or false'],
  ])('%s', (_, yaml, want) => {
    let message = 'accepted';
    try {
      read(yaml);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toContain('mesh.yaml: ');
    expect(message).toContain(want);
  });

  test('aliases that stand for more than a file may hold', () => {
    const many = (name: string) => `[${Array.from({ length: 200 }, () => name).join(', ')}]`;
    const first = `{name: p, namespace: a, scope: Global, action: Deny, dryRun: false, rules: [&r [&c [&m {destinationPorts: [1]}]]]}`;
    const rules = `[${many('*m')}, ${many('*m')}]`;
    const bomb = `{name: q, namespace: a, scope: Global, action: Deny, dryRun: false, rules: [&big ${rules}, ${Array.from({ length: 2_400 }, () => '*big').join(', ')}]}`;
    expect(() => read(`policies:\n  - ${first}\n  - ${bomb}`)).toThrow('more than 1000000 values');
  });
});
