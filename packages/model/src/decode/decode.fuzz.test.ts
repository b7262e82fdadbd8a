import { expect, test } from '@jest/globals';
import { fuzzing } from '@ambit/core/testing/seeded';
import { Action, createAuthorization, createMatch, encodeAuthorization } from '@ambit/api/authorization';
import { createService, createWorkload, encodeAddress } from '@ambit/api/workload';
import { Interner } from '../intern.ts';
import { MeshStore } from '../store.ts';
import { decodeAddress } from './address.ts';
import { decodePolicy } from './authorization.ts';

const ip = Uint8Array.of(10, 0, 0, 1);
const ports = [{ servicePort: 80, targetPort: 8080, appProtocol: 0 }] as const;
const waypoint = {
  destination: { $case: 'hostname', value: { namespace: 'a', hostname: 'w' } },
  hboneMtlsPort: 15008,
} as const;
const workload = createWorkload({
  uid: 'u',
  namespace: 'a',
  addresses: [ip],
  services: new Map([['a/s', { ports }]]),
  waypoint,
  capacity: 3,
});
const service = createService({
  namespace: 'a',
  hostname: 's',
  addresses: [{ network: '', address: ip, length: 24 }],
  ports,
  waypoint,
});
const match = createMatch({
  sourceIps: [{ address: ip, length: 8 }],
  principals: [{ matchType: { $case: 'exact', value: 'x' } }],
});

const SEEDS = [
  encodeAddress({ type: { $case: 'workload', value: workload } }),
  encodeAddress({ type: { $case: 'service', value: service } }),
  encodeAuthorization(
    createAuthorization({
      name: 'p',
      namespace: 'a',
      action: Action.DENY,
      rules: [{ clauses: [{ matches: [match] }] }],
    }),
  ),
];

test('any bytes become a value that the mesh can hold, or a problem: 30 000 mutations', () => {
  const chance = fuzzing(7);
  const interner = new Interner();
  const mesh = new MeshStore({ nodeName: '' });
  const kinds: Record<string, number> = {};
  for (let i = 0; i < 30_000; i++) {
    const cut = chance.damage(SEEDS[i % SEEDS.length] ?? new Uint8Array(0));
    const address = decodeAddress(cut, interner);
    const policy = decodePolicy('a/p', cut);
    if (address.kind === 'workload') mesh.apply({ workloads: [address.workload] });
    if (address.kind === 'service') mesh.apply({ services: [address.service] });
    if (policy.kind === 'policy') mesh.apply({ policies: [policy.policy] });
    kinds[address.kind] = (kinds[address.kind] ?? 0) + 1;
    kinds[policy.kind] = (kinds[policy.kind] ?? 0) + 1;
  }
  expect(Object.keys(kinds).sort()).toEqual(['policy', 'problem', 'service', 'workload']);
  expect(Math.min(...Object.values(kinds))).toBeGreaterThan(100);
});
