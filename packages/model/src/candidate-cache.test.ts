import { expect, test } from '@jest/globals';
import { MAX_CACHED_CANDIDATES } from './limits.ts';
import { chooseEndpoint } from './load-balance.ts';
import type { Service } from './service.ts';
import { meshOf, workloadNamed } from './testing/mesh-file.ts';

const mesh = meshOf(`
workloads:
  - {uid: here, namespace: a, workloadIps: [], services: {}, node: n1}
  - {uid: there, namespace: a, workloadIps: [], services: {}, node: n2}
  - {uid: one, namespace: a, workloadIps: [10.0.0.1], services: {a/s: {80: 80, 81: 8181}}, node: n1}
  - {uid: two, namespace: a, workloadIps: [10.0.0.2], services: {a/s: {80: 80}}, node: n2}
services:
  - {name: s, namespace: a, hostname: s, vips: [], ports: {80: 80, 81: 0}, loadBalancer: {mode: Failover, routingPreferences: [Node], healthPolicy: OnlyHealthy}}
`);
const service = mesh.serviceByKey('a/s') as Service;

function choose(client: string, port = 80): string | undefined {
  const request = { service, port, source: workloadNamed(mesh, client), mode: 'Standard' as const };
  return chooseEndpoint(mesh, request, () => 0)?.workload.uid;
}

test('keeps clients of different places and different ports apart, and notices every change', () => {
  const all = () => [choose('here'), choose('there'), choose('there', 81), choose('here', 82)];
  expect([all(), all()]).toEqual(Array(2).fill(['one', 'two', 'one', undefined]));
  mesh.apply({ removedAddresses: ['two'] });
  expect(all()).toEqual(['one', 'one', 'one', undefined]);
  mesh.apply({ removedAddresses: ['one'] });
  expect(all()).toEqual([undefined, undefined, undefined, undefined]);
});

test('starts afresh when it is full', () => {
  const source = workloadNamed(mesh, 'here');
  for (let port = 0; port < MAX_CACHED_CANDIDATES + 10; port++) {
    if (chooseEndpoint(mesh, { service, port, source, mode: 'Standard' }, () => 0))
      throw new Error(`chose for ${port}`);
  }
});
