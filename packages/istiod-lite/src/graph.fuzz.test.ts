/** Objects that nobody should have stored: nothing throws, and a proxy can read all that comes of them. */
import { expect, test } from '@jest/globals';
import { fuzzing } from '@ambit/core/testing/seeded';
import { ADDRESS_TYPE_URL } from '@ambit/api/workload';
import { Interner } from '@ambit/model/intern';
import { MeshStore } from '@ambit/model/store';
import { applyXdsDelta } from '@ambit/model/xds-delta';
import type { ServiceEntry, WorkloadEntry } from '@ambit/kube/resources/networking';
import { stringify } from 'yaml';
import { AddressPool } from './decide/address-pool.ts';
import { allotment, claimedAddresses } from './decide/allotment.ts';
import { readMeshConfig } from './mesh-config/read.ts';
import { JUNK, mutated } from './testing/mutate.ts';
import { TestMesh, testSettings } from './testing/mesh-from-yaml.ts';
import { validateServiceEntry } from './validate/service-entry.ts';
import { validateWorkloadEntry } from './validate/workload-entry.ts';

const ROUNDS = 4_000;

const ENTRY = {
  hosts: ['a.example.com', '*.b.example.com'],
  addresses: ['192.0.2.1', '10.0.0.0/8', 'fd00::/64'],
  ports: [
    { number: 80, name: 'http', protocol: 'HTTP', targetPort: 8080 },
    { number: 443, name: 'tls', protocol: 'TLS' },
  ],
  resolution: 'STATIC',
  endpoints: [
    {
      address: '192.0.2.2',
      ports: { http: 1 },
      labels: { a: 'b' },
      weight: 2,
      locality: 'r/z',
      network: 'n',
    },
  ],
  subjectAltNames: ['spiffe://a/ns/b/sa/c'],
};
const STATUS = { addresses: [{ host: 'a.example.com', value: '240.240.0.1' }], conditions: [] };
const MACHINE = {
  address: '192.0.2.3',
  ports: { http: 80 },
  labels: { app: 'x' },
  weight: 1,
  serviceAccount: 's',
};
const MESH = {
  discoverySelectors: [
    { matchLabels: { a: 'b' }, matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }] },
  ],
  serviceEntryVisibility: {
    defaultVisibility: 'PUBLIC',
    policies: [{ visibility: 'NONE', matchingRules: [{}] }],
  },
};

test(`${ROUNDS} mutated ServiceEntries and WorkloadEntries`, () => {
  const chance = fuzzing(11);
  const mesh = new TestMesh();
  const upserts: { readonly name: string; readonly value: Uint8Array }[] = [];
  mesh.graph.addressFeed.subscribe(({ changed }) => {
    for (const name of changed)
      upserts.push({ name, value: mesh.graph.addressFeed.get(name)?.value ?? new Uint8Array() });
  });
  const pool = new AddressPool({ bytes: Uint8Array.of(240, 240, 0, 0), length: 16 });
  const valid = { entries: 0, machines: 0 };
  for (let i = 0; i < ROUNDS; i++) {
    const metadata = { namespace: 'shop', name: `o${i % 20}` };
    const spec = (
      chance.below(9) === 0 ? JUNK[chance.below(JUNK.length)] : mutated(ENTRY, chance)
    ) as ServiceEntry['spec'];
    const status = mutated(STATUS, chance) as ServiceEntry['status'];
    const entry = { metadata, spec, status } as ServiceEntry;
    const machine = { metadata, spec: mutated(MACHINE, chance) } as WorkloadEntry;
    if (validateServiceEntry(entry, testSettings).errors.length === 0) valid.entries += 1;
    if (validateWorkloadEntry(machine).errors.length === 0) valid.machines += 1;
    mesh.inputs.serviceEntries.set(`shop/${metadata.name}`, entry);
    mesh.inputs.workloadEntries.set(`shop/${metadata.name}`, machine);
    mesh.scheduler.flush();
    for (const each of mesh.graph.serviceEntries.checked.values()) {
      claimedAddresses(each);
      allotment(each, { settings: testSettings, claimants: () => [], take: () => pool.take(() => false) });
    }
  }
  expect(mesh.errors).toEqual([]);
  const proxy = new MeshStore({ nodeName: '' });
  expect(applyXdsDelta(proxy, ADDRESS_TYPE_URL, { upserts, removed: [] }, new Interner())).toEqual([]);
  // Both kinds of input were there in plenty.
  expect(Math.min(valid.entries, valid.machines)).toBeGreaterThan(ROUNDS / 50);
  expect(Math.max(valid.entries, valid.machines)).toBeLessThan(ROUNDS * 0.9);
  expect(upserts.length).toBeGreaterThan(ROUNDS / 20);
});

test(`${ROUNDS} mutated texts of settings are read or refused, by an Error`, () => {
  const chance = fuzzing(5);
  const counts = { read: 0, refused: 0 };
  for (let i = 0; i < ROUNDS; i++) {
    const text = stringify(mutated(MESH, chance));
    try {
      readMeshConfig(chance.below(10) === 0 ? text.slice(0, chance.below(text.length)) : text);
      counts.read += 1;
    } catch (error) {
      // Of whichever realm the tests run in.
      expect((error as Error).message).toMatch(/./);
      counts.refused += 1;
    }
  }
  expect(Math.min(counts.read, counts.refused)).toBeGreaterThan(ROUNDS / 20);
});
