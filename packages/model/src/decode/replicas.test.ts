import { isDeepStrictEqual } from 'node:util';
import { expect, test } from '@jest/globals';
import {
  createService,
  createWorkload,
  encodeAddress,
  type TunnelProtocol,
  type WorkloadStatus,
} from '@ambit/api/workload';
import { Interner } from '../intern.ts';
import { MAX_ALIKE } from '../limits.ts';
import { decodeAddress } from './address.ts';
import { takeReplicaApart } from './replicas.ts';

const UNHEARD_OF: number = 77;

type Fields = Parameters<typeof createWorkload>[0];

const ip = (last: number) => Uint8Array.of(10, 0, 0, last);

function replica(index: number, fields: Fields = {}): Uint8Array {
  const value = createWorkload({
    uid: `cluster//Pod/shop/cart-${index}`,
    name: `cart-${index}`,
    namespace: 'shop',
    addresses: [ip(index)],
    node: `node-${index}`,
    serviceAccount: 'cart',
    workloadName: 'cart',
    services: new Map([
      ['shop/cart.shop', { ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 0 }] }],
    ]),
    ...fields,
  });
  return encodeAddress({ type: { $case: 'workload', value } });
}

/** As somebody decodes it who has seen no replica. */
const alone = (bytes: Uint8Array) => decodeAddress(bytes, new Interner());

test('replicas differ in what each has for itself, and share all the rest', () => {
  const interner = new Interner();
  const first = decodeAddress(replica(1), interner);
  const second = decodeAddress(replica(2), interner);
  expect(first).toEqual(alone(replica(1)));
  expect(second).toEqual(alone(replica(2)));
  if (first.kind !== 'workload' || second.kind !== 'workload') throw new Error('not workloads');
  expect(second.workload).toMatchObject({ uid: 'cluster//Pod/shop/cart-2', addresses: ['10.0.0.2'] });
  expect(second.workload.services).toBe(first.workload.services);
});

test.each<[string, Fields]>([
  ['none', {}],
  ['no name', { name: '' }],
  ['no node', { node: '' }],
  ['no uid', { uid: '' }],
  ['no address', { addresses: [] }],
  ['no address but a hostname', { addresses: [], hostname: 'cart.example' }],
  ['two addresses', { addresses: [ip(1), new Uint8Array(16).fill(1)] }],
  ['an address of five octets', { addresses: [new Uint8Array(5)] }],
  ['more addresses than are taken', { addresses: Array.from({ length: 257 }, () => ip(1)) }],
  ['a name beyond ASCII', { name: 'größer' }],
  ['a name that is too long', { name: 'n'.repeat(1_025) }],
  ['a node that is too long', { node: 'n'.repeat(1_025) }],
  [
    'a rest that is too long',
    { authorizationPolicies: Array.from({ length: 100 }, (_, i) => `shop/policy-${i}-of-many`) },
  ],
  [
    'another port',
    {
      services: new Map([
        ['shop/cart.shop', { ports: [{ servicePort: 81, targetPort: 8080, appProtocol: 0 }] }],
      ]),
    },
  ],
  ['a protocol nobody knows', { tunnelProtocol: UNHEARD_OF as TunnelProtocol }],
  ['a negative number', { status: -UNHEARD_OF as WorkloadStatus }],
])('a workload that differs from a replica by %s is decoded as if it were the first', (_, fields) => {
  const interner = new Interner();
  decodeAddress(replica(1), interner);
  const bytes = replica(3, fields);
  expect(decodeAddress(bytes, interner)).toEqual(alone(bytes));
  expect(decodeAddress(bytes, interner)).toEqual(alone(bytes));
});

test('only workloads are taken apart, and only whole ones', () => {
  const service = encodeAddress({
    type: { $case: 'service', value: createService({ hostname: 'cart.shop', namespace: 'shop' }) },
  });
  expect(takeReplicaApart(service)).toBeUndefined();
  const whole = replica(1);
  expect(takeReplicaApart(whole)).toBeDefined();
  for (let length = 0; length < whole.length; length++)
    expect(takeReplicaApart(whole.subarray(0, length))).toBeUndefined();
  expect(takeReplicaApart(Uint8Array.of(...whole, 0))).toBeUndefined();
});

test('bytes in shared memory are read as others are', () => {
  const shared = new Uint8Array(new SharedArrayBuffer(whole.length + 3)).subarray(3);
  shared.set(whole);
  expect(takeReplicaApart(shared)).toEqual(takeReplicaApart(whole));
});
const whole = replica(9);

test('no mutation of a replica is decoded other than alone: 20 000 of them', () => {
  let state = 11;
  const below = (count: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % count;
  };
  const interner = new Interner();
  let workloads = 0;
  for (let i = 0; i < 20_000; i++) {
    const bytes = Uint8Array.from(replica(below(20)));
    for (let flips = below(3); flips > 0; flips--) bytes[below(bytes.length)] = below(256);
    const decoded = decodeAddress(bytes, interner);
    if (!isDeepStrictEqual(decoded, alone(bytes))) expect(decoded).toEqual(alone(bytes));
    if (decoded.kind === 'workload') workloads += 1;
  }
  expect(workloads).toBeGreaterThan(10_000);
});

test('what is remembered has a bound', () => {
  const interner = new Interner();
  const decoded = decodeAddress(replica(1), interner);
  if (decoded.kind !== 'workload') throw new Error('no workload');
  for (let i = 1; i < MAX_ALIKE; i++) interner.remember(`rest ${i - 1}`, decoded.workload);
  expect(interner.alike('rest 0')).toBeDefined();
  interner.remember('one more', decoded.workload);
  expect(interner.alike('rest 0')).toBeUndefined();
  expect(interner.alike('one more')).toBeDefined();
});
