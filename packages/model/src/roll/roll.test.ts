import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import {
  ADDRESS_TYPE_URL,
  createService,
  createWorkload,
  encodeAddress,
  NetworkMode,
  TunnelProtocol,
  type Workload as WorkloadMessage,
  WorkloadStatus,
} from '@ambit/api/workload';
import { fuzzing } from '@ambit/core/testing/seeded';
import type { ServiceKey } from '../address.ts';
import { dumpMesh } from '../dump.ts';
import { Interner } from '../intern.ts';
import { MAX_ROLLS, MIN_ROLL } from '../limits.ts';
import { type MeshChange, MeshStore } from '../store.ts';
import { applyXdsDelta, type XdsDelta } from '../xds-delta.ts';
import { enter, hashOf, makeHashTable, recordsAt } from './hash-table.ts';
import { Roll, RollError } from './roll.ts';
import { rollUp } from './roll-up.ts';

const HERE = 'here';
const SERVICES = Array.from({ length: 6 }, (_, i): ServiceKey => `a/s${i}`);

function bytesOf(fields: Partial<WorkloadMessage>): Uint8Array {
  return encodeAddress({ type: { $case: 'workload', value: createWorkload(fields) } });
}

/** The i-th of many replicas. */
function replica(i: number, fields: Partial<WorkloadMessage> = {}) {
  const uid = `c//Pod/a/w-${i}`;
  const value = bytesOf({
    uid,
    name: `w-${i}`,
    namespace: 'a',
    addresses: [Uint8Array.of(10, 0, i >> 8, i & 255)],
    node: 'elsewhere',
    tunnelProtocol: TunnelProtocol.HBONE,
    services: new Map([
      [SERVICES[i % 3] ?? '', { ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 0 }] }],
    ]),
    ...fields,
  });
  return { name: uid, value };
}

const replicas = (count: number, from = 0) => Array.from({ length: count }, (_, i) => replica(from + i));
const onlyUpserts = (upserts: XdsDelta['upserts']): XdsDelta => ({ upserts, removed: [] });

function storeOf(...deltas: readonly XdsDelta[]) {
  const mesh = new MeshStore({ nodeName: HERE });
  const interner = new Interner();
  const changes: MeshChange[] = [];
  mesh.changes.subscribe((change) => changes.push(change));
  const apply = (delta: XdsDelta) => applyXdsDelta(mesh, ADDRESS_TYPE_URL, delta, interner);
  for (const delta of deltas) apply(delta);
  return { mesh, apply, changes };
}

const rolled = (delta: XdsDelta) => rollUp(delta, HERE, new Interner());

describe('a large delta is rolled up', () => {
  const odd: Record<string, { name: string; value: Uint8Array }> = {
    'a workload of this node': replica(1_000, { node: HERE }),
    'one with a hostname': replica(1_001, { hostname: 'h' }),
    'one that is not named by its uid': { ...replica(1_002), name: 'other' },
    'one without an address': replica(1_003, { addresses: [] }),
    'one whose status nobody knows': replica(1_004, { status: 9 as WorkloadStatus }),
    'one whose name is not ASCII': replica(1_005, { name: 'größer' }),
    'what is no message': { name: 'broken', value: Uint8Array.of(10, 200) },
    'a service': {
      name: SERVICES[0] ?? '',
      value: encodeAddress({
        type: { $case: 'service', value: createService({ namespace: 'a', hostname: 's0' }) },
      }),
    },
  };

  test.each(Object.entries(odd))('but not %s', (_, upsert) => {
    const delta = rolled(onlyUpserts([upsert, ...replicas(MIN_ROLL)]));
    expect([delta.roll?.count, delta.upserts]).toEqual([MIN_ROLL, [upsert]]);
  });

  test('and what is refused of it is what would be refused otherwise', () => {
    const delta = onlyUpserts([...Object.values(odd), ...replicas(MIN_ROLL)]);
    const refused = storeOf().apply(rolled(delta));
    expect(refused).toEqual(storeOf().apply(delta));
    expect(refused.map(({ name }) => name)).toEqual(['c//Pod/a/w-1003', 'c//Pod/a/w-1004', 'broken']);
  });

  test('a small one is not, nor one of which little could be, nor one where every workload may be local', () => {
    const small = onlyUpserts(replicas(MIN_ROLL - 1));
    const odds = onlyUpserts([
      ...replicas(MIN_ROLL - 1),
      ...replicas(MIN_ROLL, 1_000).map(({ name, value }) => ({ name: `${name} too`, value })),
    ]);
    const large = onlyUpserts(replicas(MIN_ROLL));
    expect([rolled(small), rolled(odds), rollUp(large, '', new Interner())]).toEqual([small, odds, large]);
  });

  test('into memory that a clone shares', () => {
    const delta = rolled(onlyUpserts(replicas(MIN_ROLL)));
    const { mesh } = storeOf(structuredClone(delta));
    delta.roll?.bytes.fill(0);
    expect(() => mesh.workloadByUid('c//Pod/a/w-7')).not.toThrow();
    expect(mesh.workloadByUid('c//Pod/a/w-7')).toBeUndefined();
  });
});

test('a workload that cannot be decoded any more is a fault, and no answer', () => {
  const { roll } = rolled(onlyUpserts(replicas(MIN_ROLL)));
  if (!roll) throw new Error('no roll');
  const uidAt = roll.places[2] ?? 0;
  roll.bytes.fill(255, 0, uidAt);
  expect(() => new Roll(roll, new Interner()).get('c//Pod/a/w-0')).toThrow(RollError);
});

test('what is held is what would be held if all were decoded at once: 60 deltas', () => {
  const chance = fuzzing(5);
  const below = (count: number) => chance.below(count);
  const interner = new Interner();
  const lazy = storeOf();
  const eager = storeOf();
  const all = 700;
  const names = Array.from({ length: all }, (_, i) => replica(i).name);
  const any = (i: number) =>
    replica(i, {
      addresses: [
        Uint8Array.of(10, 0, 1, below(200)),
        ...(below(9) === 0 ? [Uint8Array.of(10, 0, 2, i & 255)] : []),
      ],
      node: below(12) === 0 ? HERE : `n${below(5)}`,
      tunnelProtocol: below(3) === 0 ? TunnelProtocol.NONE : TunnelProtocol.HBONE,
      networkMode: below(8) === 0 ? NetworkMode.HOST_NETWORK : NetworkMode.STANDARD,
      network: below(5) === 0 ? 'east' : '',
      status: [WorkloadStatus.HEALTHY, WorkloadStatus.UNHEALTHY, 9 as WorkloadStatus][
        Math.min(below(20), 2) === 2 && below(9) > 0 ? 0 : below(3)
      ] as WorkloadStatus,
      hostname: below(30) === 0 ? 'h' : '',
      services: new Map(
        SERVICES.filter(() => below(3) === 0).map((key) => [
          key,
          { ports: [{ servicePort: 80, targetPort: 8080 + below(2), appProtocol: 0 }] },
        ]),
      ),
    });
  let rolls = 0;
  for (let round = 0; round < 60; round++) {
    const count = below(5) === 0 ? MIN_ROLL + 60 + below(all - MIN_ROLL - 60) : below(6);
    const start = below(all);
    const upserts = Array.from({ length: count }, (_, i) => any((start + i) % all));
    const removed = Array.from(
      { length: below(4) === 0 ? below(all) : below(4) },
      () => names[below(all)] ?? '',
    );
    const delta = rollUp({ upserts, removed }, HERE, interner);
    if (delta.roll) rolls += 1;
    // Within a delta the order means nothing; what stays out of a roll comes after it.
    const left = new Set(delta.upserts);
    const whole = { upserts: [...upserts.filter((one) => !left.has(one)), ...delta.upserts], removed };
    expect(lazy.apply(delta)).toEqual(eager.apply(whole));
    const answers = [answersOf(lazy.mesh, all), answersOf(eager.mesh, all)];
    if (!isDeepStrictEqual(answers[0], answers[1])) expect(answers[0]).toEqual(answers[1]);
    const [seen, wanted] = [lazy.changes.at(-1), eager.changes.at(-1)];
    expect(seen?.localWorkloads).toEqual(wanted?.localWorkloads);
    const differing = names.filter((name) => seen?.workloads.has(name) !== wanted?.workloads.has(name));
    expect([differing, wanted?.services.isSubsetOf(seen?.services ?? new Set())]).toEqual([[], true]);
  }
  expect(rolls).toBeGreaterThan(MAX_ROLLS);
});

/** What decisions and pages ask, of everything. */
function answersOf(mesh: MeshStore, count: number) {
  const byUid = Array.from({ length: count }, (_, i) => mesh.workloadByUid(`c//Pod/a/w-${i}`));
  const ips = Array.from({ length: 256 }, (_, i) => [`10.0.1.${i}`, `10.0.2.${i}`]).flat();
  const byAddress = ips.flatMap((ip) => ['', 'east'].map((network) => mesh.workloadAt(network, ip)?.uid));
  const staged = [...mesh.stagedEndpoints()].map(
    ([key, endpoints]) =>
      [key, endpoints.toSorted((a, b) => (a.workloadUid < b.workloadUid ? -1 : 1))] as const,
  );
  const local = byUid.map((workload) => workload && mesh.localWorkload(workload)?.uid);
  const named = mesh.findHostname('a/h');
  return {
    byUid,
    byAddress,
    local,
    named: named && 'uid' in named && named.uid,
    uids: [...mesh.workloads()].map(({ uid }) => uid).sort(),
    staged: staged.toSorted(([a], [b]) => (a < b ? -1 : 1)),
  };
}

test('endpoints of a service are asked for one by one, too, and by its health policy', () => {
  const service = { namespace: 'a', hostname: 's0' };
  const sick = replica(3, { status: WorkloadStatus.UNHEALTHY });
  const { mesh } = storeOf(rolled(onlyUpserts([...replicas(MIN_ROLL, 6), sick])), {
    upserts: [
      { name: 'a/s0', value: encodeAddress({ type: { $case: 'service', value: createService(service) } }) },
    ],
    removed: [],
  });
  const uids = [...mesh.endpointsOf('a/s0')].map(({ workloadUid }) => workloadUid);
  expect(uids).toHaveLength(Math.ceil(MIN_ROLL / 3));
  expect(mesh.endpointOf('a/s0', uids[0] ?? '')).toEqual({
    workloadUid: uids[0],
    ports: new Map([[80, 8080]]),
    status: 'Healthy',
  });
  expect([mesh.endpointOf('a/s0', 'c//Pod/a/w-7'), mesh.endpointOf('a/s0', sick.name)]).toEqual([
    undefined,
    undefined,
  ]);
});

test('a page that shows everything keeps nothing of it decoded', () => {
  const { mesh } = storeOf(rolled(onlyUpserts(replicas(MIN_ROLL))), {
    upserts: [
      {
        name: 'a/s0',
        value: encodeAddress({
          type: { $case: 'service', value: createService({ namespace: 'a', hostname: 's0' }) },
        }),
      },
    ],
    removed: [],
  });
  const shown = dumpMesh(mesh);
  expect([
    Object.keys(shown.services[0]?.['endpoints'] ?? {}).length,
    Object.keys(shown.stagedServices),
  ]).toEqual([Math.ceil(MIN_ROLL / 3), ['a/s1', 'a/s2']]);
  // Of what is kept, both would be the same object.
  const [first, second] = [[...mesh.workloads()], [...mesh.workloads()]];
  expect(first.filter((workload, i) => workload === second[i])).toEqual([]);
});

test('a service whose workloads have all gone has no endpoints that wait for it', () => {
  const { mesh, apply } = storeOf(rolled(onlyUpserts(replicas(MIN_ROLL))));
  const ofOne = replicas(MIN_ROLL).filter((_, i) => i % 3 === 1);
  apply({ upserts: [], removed: ofOne.map(({ name }) => name) });
  expect([...mesh.stagedEndpoints()].map(([key]) => key).sort()).toEqual(['a/s0', 'a/s2']);
});

test('many that are removed at once are not decoded for it', () => {
  const delta = rolled(onlyUpserts(replicas(2 * MIN_ROLL)));
  const { mesh, apply, changes } = storeOf(delta);
  // Whoever decodes one now fails.
  delta.roll?.bytes.fill(255, 0, delta.roll.places[2]);
  const names = replicas(MIN_ROLL).map(({ name }) => name);
  apply({ upserts: [], removed: [...names, 'a/s9', 'unknown'] });
  const change = changes.at(-1);
  expect([change?.workloads.has('c//Pod/a/w-0'), change?.workloads.has('unknown')]).toEqual([true, false]);
  expect([...(change?.services ?? [])].sort()).toEqual(['a/s0', 'a/s1', 'a/s2', 'a/s9']);
  expect([...mesh.workloads()].map(({ uid }) => uid)).toEqual(
    replicas(MIN_ROLL, MIN_ROLL).map(({ name }) => name),
  );
});

test('rolls beyond those that are looked into are decoded as they come', () => {
  const { mesh, apply } = storeOf();
  for (let n = 0; n <= MAX_ROLLS + 1; n++) apply(rolled(onlyUpserts(replicas(MIN_ROLL, n * MIN_ROLL))));
  expect([...mesh.workloads()]).toHaveLength((MAX_ROLLS + 2) * MIN_ROLL);
  apply({ upserts: [], removed: [...mesh.workloads()].map(({ uid }) => uid) });
  expect([...mesh.workloads(), ...mesh.stagedEndpoints()]).toEqual([]);
  apply(rolled(onlyUpserts(replicas(MIN_ROLL))));
  expect(mesh.workloadAt('', '10.0.0.9')?.uid).toBe('c//Pod/a/w-9');
});

describe('a hash table', () => {
  test('gives records of the same hash in their order, around its end', () => {
    const table = makeHashTable(4);
    const last = table.length / 2 - 1;
    for (const [hash, record] of [
      [last, 5],
      [last, 3],
      [0, 1],
      [last, 4],
    ] as const)
      enter(table, hash, record);
    expect([recordsAt(table, last), recordsAt(table, 0), recordsAt(table, 2)]).toEqual([[5, 3, 4], [1], []]);
  });

  test('spreads names that differ little', () => {
    const hashes = new Set(
      Array.from({ length: 20_000 }, (_, i) => hashOf(`cluster//Pod/ns/app-${i}`) & 0xffff),
    );
    expect(hashes.size).toBeGreaterThan(16_000);
  });
});
