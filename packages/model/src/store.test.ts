import { describe, expect, test } from '@jest/globals';
import { readLocalMesh } from './local-file.ts';
import { Interner } from './intern.ts';
import { type MeshChange, MeshStore } from './store.ts';
import { meshOf } from './testing/mesh-file.ts';
import type { Workload } from './workload.ts';

const delta = (yaml: string) => readLocalMesh(yaml, 'test.yaml', new Interner());

const pod = (uid: string, ip: string, more = '') =>
  `  - {uid: ${uid}, name: ${uid.split('/').at(-1)}, namespace: a, serviceAccount: s, workloadIps: [${ip}], services: {}${more && `, ${more}`}}`;

describe('workloads', () => {
  test('of one address: pods win over others, meshed over plain, later over earlier', () => {
    const mesh = new MeshStore({ nodeName: '' });
    const at = () => mesh.workloadAt('', '10.0.0.1')?.uid;
    const add = (entry: string) => mesh.apply(delta(`workloads:\n${entry}`));
    add(pod('c//Pod/a/meshed', '10.0.0.1', 'protocol: HBONE'));
    add(pod('c/WorkloadEntry/a/plain', '10.0.0.1'));
    add(pod('c/WorkloadEntry/a/meshed', '10.0.0.1', 'protocol: HBONE'));
    add(pod('c//Pod/a/plain', '10.0.0.1'));
    expect(at()).toBe('c//Pod/a/meshed');
    mesh.apply({ removedAddresses: ['c//Pod/a/meshed'] });
    expect(at()).toBe('c//Pod/a/plain');
    mesh.apply({ removedAddresses: ['c//Pod/a/plain'] });
    expect(at()).toBe('c/WorkloadEntry/a/meshed');
    add(pod('c/WorkloadEntry/a/later', '10.0.0.1', 'protocol: HBONE'));
    expect(at()).toBe('c/WorkloadEntry/a/later');
  });

  test('of a changed address are found at the new one only', () => {
    const mesh = meshOf(`workloads:\n${pod('w', '10.0.0.1')}`);
    mesh.apply(delta(`workloads:\n${pod('w', '10.0.0.2')}`));
    expect([mesh.workloadAt('', '10.0.0.1'), mesh.workloadAt('', '10.0.0.2')?.uid]).toEqual([undefined, 'w']);
  });

  test('of another network are not found at the same address', () => {
    const mesh = meshOf(`workloads:\n${pod('w', '10.0.0.1', 'network: east')}`);
    expect([mesh.workloadAt('', '10.0.0.1'), mesh.workloadAt('east', '10.0.0.1')?.uid]).toEqual([
      undefined,
      'w',
    ]);
  });

  test('of a pod are found by name, namespace and service account, on this node alone', () => {
    const workloads = [pod('w1', '10.0.0.1', 'node: n1'), pod('w2', '10.0.0.2', 'node: n2')].join('\n');
    const found = (nodeName: string, name: string, serviceAccount = 's') =>
      meshOf(`workloads:\n${workloads}`, nodeName).localWorkload({ name, namespace: 'a', serviceAccount })
        ?.uid;
    expect(found('n1', 'w1')).toBe('w1');
    expect(found('n1', 'w2')).toBeUndefined();
    expect(found('', 'w2')).toBe('w2');
    expect(found('n1', 'w1', 'other')).toBeUndefined();
  });

  test('of a pod that is not known yet are expected of its node, once the mesh is complete', () => {
    const known = pod(
      'w',
      '10.0.0.1',
      'node: n1, trustDomain: td, clusterId: c, network: east, locality: {region: r, zone: z, subzone: ""}',
    );
    const mesh = meshOf(`workloads:\n${known}`, 'n1');
    const names = { workloadName: 'web', canonicalName: 'shop', canonicalRevision: 'v2' };
    const web = { name: 'web-1', namespace: 'b', serviceAccount: 's', names };
    expect(mesh.expectedWorkload(web)).toBeUndefined();
    mesh.complete();
    expect(mesh.expectedWorkload(web)).toMatchObject({
      uid: 'c//Pod/b/web-1',
      identity: 'spiffe://td/ns/b/sa/s',
      network: 'east',
      node: 'n1',
      locality: { region: 'r', zone: 'z' },
      authorizationPolicies: [],
      ...names,
    });
    mesh.apply({ removedAddresses: ['w'] });
    expect(mesh.expectedWorkload(web)).toBeUndefined();
  });

  test('are found by hostname in their namespace', () => {
    const mesh = meshOf(`workloads:\n${pod('w', '10.0.0.1', 'hostname: db.example.com')}`);
    expect((mesh.findHostname('a/db.example.com') as Workload).uid).toBe('w');
    expect(mesh.findHostname('b/db.example.com')).toBeUndefined();
    mesh.apply({ removedAddresses: ['w'] });
    expect(mesh.findHostname('a/db.example.com')).toBeUndefined();
  });
});

describe('endpoints', () => {
  const workload = (status = 'Healthy') =>
    `  - {uid: w, namespace: a, workloadIps: [], services: {a/s: {80: 8080}}, status: ${status}}`;
  const service = (health = 'OnlyHealthy') =>
    `  - {name: s, namespace: a, hostname: s, vips: [], ports: {80: 80}, loadBalancer: {mode: Failover, routingPreferences: [], healthPolicy: ${health}}}`;
  const uids = (mesh: MeshStore) => [...mesh.endpointsOf('a/s')].map(({ workloadUid }) => workloadUid);

  test('wait for their service', () => {
    const mesh = meshOf(`workloads:\n${workload()}`);
    expect([uids(mesh), [...mesh.stagedEndpoints()].map(([key]) => key)]).toEqual([[], ['a/s']]);
    mesh.apply(delta(`services:\n${service()}`));
    expect([uids(mesh), [...mesh.stagedEndpoints()]]).toEqual([['w'], []]);
  });

  test('survive that their service is replaced, or removed and sent again', () => {
    const mesh = meshOf(`workloads:\n${workload()}\nservices:\n${service()}`);
    mesh.apply(delta(`services:\n${service()}`));
    expect(uids(mesh)).toEqual(['w']);
    mesh.apply({ removedAddresses: ['a/s'] });
    expect(uids(mesh)).toEqual([]);
    mesh.apply(delta(`services:\n${service()}`));
    expect(uids(mesh)).toEqual(['w']);
  });

  test('that are unhealthy are left out, until the service allows them or they recover', () => {
    const mesh = meshOf(`workloads:\n${workload('Unhealthy')}\nservices:\n${service()}`);
    expect([uids(mesh), mesh.endpointOf('a/s', 'w')]).toEqual([[], undefined]);
    mesh.apply(delta(`services:\n${service('AllowAll')}`));
    expect([uids(mesh), mesh.endpointOf('a/s', 'w')?.status]).toEqual([['w'], 'Unhealthy']);
    mesh.apply(delta(`services:\n${service()}\nworkloads:\n${workload()}`));
    expect(uids(mesh)).toEqual(['w']);
  });

  test('go with their workload, and when it leaves the service', () => {
    const mesh = meshOf(`workloads:\n${workload()}\nservices:\n${service()}`);
    mesh.apply(delta('workloads:\n  - {uid: w, namespace: a, workloadIps: [], services: {}}'));
    expect(uids(mesh)).toEqual([]);
    mesh.apply(delta(`workloads:\n${workload()}`));
    mesh.apply({ removedAddresses: ['w'] });
    expect(uids(mesh)).toEqual([]);
  });

  test('that a file lists for a service count like those of workloads', () => {
    const listed =
      '  - {name: s, namespace: a, hostname: s, vips: [], ports: {80: 80}, endpoints: {x: {workloadUid: x, port: {80: 1}, status: Healthy}}}';
    expect(uids(meshOf(`services:\n${listed}`))).toEqual(['x']);
  });
});

describe('services', () => {
  const entry = (namespace: string, more = '') =>
    `  - {name: ${namespace}, namespace: ${namespace}, hostname: h, vips: ["/10.1.0.1"], ports: {}${more && `, ${more}`}}`;
  const at = (entries: readonly string[], client: string | undefined, ip = '10.1.0.1') =>
    meshOf(`services:\n${entries.join('\n')}`).serviceAt('', ip, client)?.name;

  test.each<[string, readonly string[], string | undefined, string | undefined]>([
    ['the client’s own namespace first', [entry('a', 'canonical: true'), entry('b')], 'b', 'b'],
    ['then the canonical one', [entry('a'), entry('b', 'canonical: true')], 'c', 'b'],
    [
      'the last of several canonical ones',
      [entry('a', 'canonical: true'), entry('b', 'canonical: true')],
      'c',
      'b',
    ],
    ['then the first', [entry('a'), entry('b')], 'c', 'a'],
    ['never one that hides itself', [entry('a', 'visibility: Namespace'), entry('b')], 'c', 'b'],
    ['none when all hide themselves', [entry('a', 'visibility: Namespace')], 'c', undefined],
    ['a hidden one for its own namespace', [entry('a', 'visibility: Namespace')], 'a', 'a'],
    ['a hidden one for an unknown client', [entry('a', 'visibility: Namespace')], undefined, 'a'],
  ])('at one VIP: %s', (_, entries, client, want) => expect(at(entries, client)).toBe(want));

  const block = (namespace: string, cidr: string, more = '') =>
    `  - {name: ${namespace}, namespace: ${namespace}, hostname: "${namespace}.b", vips: [], ports: {}, cidrVips: [{network: "", cidr: ${cidr}}]${more && `, ${more}`}}`;

  test.each<[string, readonly string[], string | undefined]>([
    ['the longest prefix', [block('a', '10.0.0.0/8'), block('b', '10.1.0.0/16')], 'b'],
    [
      'the client’s own namespace before a longer prefix',
      [block('c', '10.0.0.0/8'), block('b', '10.1.0.0/16')],
      'c',
    ],
    [
      'the canonical one of equal prefixes',
      [block('a', '10.1.0.0/16', 'canonical: true'), block('b', '10.1.0.0/16')],
      'a',
    ],
    ['an exact VIP before any block', [block('c', '10.1.0.1/31'), entry('z')], 'z'],
    [
      'a block when the exact VIP is hidden',
      [block('a', '10.0.0.0/8'), entry('z', 'visibility: Namespace')],
      'a',
    ],
    ['none outside', [block('a', '192.0.2.0/24')], undefined],
  ])('in a block: %s', (_, entries, want) => expect(at(entries, 'c')).toBe(want));

  test('with a changed VIP are found at the new one only, and not at all once removed', () => {
    const mesh = meshOf(`services:\n${entry('a')}\n${block('b', '10.2.0.0/16')}`);
    mesh.apply(delta(`services:\n${entry('a').replace('10.1.0.1', '10.1.0.9')}`));
    expect(mesh.serviceAt('', '10.1.0.1', undefined)).toBeUndefined();
    expect(mesh.serviceAt('', '10.1.0.9', undefined)?.name).toBe('a');
    mesh.apply({ removedAddresses: ['a/h', 'b/b.b', 'nobody/x', 'not a/name/at all'] });
    expect(mesh.serviceAt('', '10.1.0.9', undefined)).toBeUndefined();
    expect(mesh.serviceAt('', '10.2.0.1', undefined)).toBeUndefined();
    expect(mesh.servicesByHostname('h')).toEqual([]);
  });
});

describe('policies', () => {
  const policy = (name: string, scope: string, namespace = 'a') =>
    `  - {name: ${name}, namespace: ${namespace}, scope: ${scope}, action: Deny, dryRun: false, rules: []}`;

  test('bind by scope, in the order namespace, global, selector; unknown ones are named', () => {
    const mesh = meshOf(`
workloads: [{uid: w, namespace: a, workloadIps: [], services: {}, authorizationPolicies: [a/late, a/selector]}]
policies:
${[policy('selector', 'WorkloadSelector'), policy('global', 'Global', 'root'), policy('ns', 'Namespace'), policy('other', 'Namespace', 'b')].join('\n')}`);
    const [workload] = mesh.workloads();
    const { policies, missing } = mesh.policiesFor(workload as Workload);
    expect(policies.map(({ key }) => key)).toEqual(['a/ns', 'root/global', 'a/selector']);
    expect(missing).toEqual(['a/late']);
    mesh.apply({ removedPolicies: ['a/ns', 'root/global', 'a/selector', 'a/none'] });
    expect(mesh.policiesFor(workload as Workload)).toEqual({
      policies: [],
      missing: ['a/late', 'a/selector'],
    });
  });

  test('that change their scope do not bind by the old one', () => {
    const mesh = meshOf(`policies:\n${policy('p', 'Global')}`);
    mesh.apply(delta(`policies:\n${policy('p', 'WorkloadSelector')}`));
    const workload = { ...delta(`workloads:\n${pod('w', '10.0.0.1')}`).workloads[0] } as Workload;
    expect(mesh.policiesFor(workload).policies).toEqual([]);
  });
});

test('a batch is announced once, when all of it can be seen, with what it touched', () => {
  const mesh = meshOf(`workloads:\n${pod('gone', '10.0.0.9')}`);
  const changes: [MeshChange, string | undefined][] = [];
  using _ = mesh.changes.subscribe((change) => changes.push([change, mesh.workloadByUid('w2')?.uid]));
  const workloads = delta(`workloads:\n${pod('w1', '10.0.0.1')}\n${pod('w2', '10.0.0.2')}`).workloads;
  mesh.apply({ workloads, removedAddresses: ['gone', 'unknown'] });
  mesh.apply({ removedPolicies: ['a/p'] });
  expect(changes).toEqual([
    [
      {
        version: 2,
        policies: false,
        workloads: new Set(['gone', 'w1', 'w2']),
        localWorkloads: new Set(['gone', 'w1', 'w2']),
        services: new Set(),
      },
      'w2',
    ],
    [
      { version: 3, policies: true, workloads: new Set(), localWorkloads: new Set(), services: new Set() },
      'w2',
    ],
  ]);
});

test('a batch names the services whose endpoints it may have changed, also those that a workload left', () => {
  const serving = (uid: string, key: string) =>
    pod(uid, '10.0.0.1').replace('services: {}', `services: {${key}: {80: 8080}}`);
  const mesh = meshOf(`workloads:\n${serving('w', 'a/old')}`);
  const touched: string[][] = [];
  using _ = mesh.changes.subscribe(({ services }) => touched.push([...services].sort()));
  mesh.apply(delta(`workloads:\n${serving('w', 'a/new')}`));
  mesh.apply({ removedAddresses: ['w'] });
  mesh.apply({ removedAddresses: ['a/service'] });
  expect(touched).toEqual([['a/new', 'a/old'], ['a/new'], ['a/service']]);
});
