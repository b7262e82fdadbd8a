import { describe, expect, test } from '@jest/globals';
import { chooseAddress, chooseEndpoint, drawWeighted } from './load-balance.ts';
import type { Service } from './service.ts';
import { meshOf, workloadNamed } from './testing/mesh-file.ts';

const LOCALITY = (region: string, zone: string, subzone: string) =>
  `locality: {region: ${region}, zone: ${zone}, subzone: ${subzone}}`;

function meshWith(balancer: string, endpoints: Readonly<Record<string, string>>) {
  const workloads = Object.entries(endpoints).map(
    ([uid, more]) =>
      `  - {uid: ${uid}, namespace: a, workloadIps: [10.0.0.1], services: {a/s: {80: 8080}}${more && `, ${more}`}}`,
  );
  return meshOf(`
workloads:
  - {uid: client, namespace: a, workloadIps: [], services: {}, node: n1, clusterId: c1, ${LOCALITY('r1', 'z1', 's1')}}
${workloads.join('\n')}
services:
  - {name: s, namespace: a, hostname: s, vips: [], ports: {80: 80}${balancer && `, loadBalancer: {healthPolicy: OnlyHealthy, ${balancer}}`}}
`);
}

/** Which endpoints are ever drawn, each with how often in a hundred evenly spaced draws. */
function drawn(balancer: string, endpoints: Readonly<Record<string, string>>): Record<string, number> {
  const mesh = meshWith(balancer, endpoints);
  const service = mesh.serviceByKey('a/s') as Service;
  const source = workloadNamed(mesh, 'client');
  const counts: Record<string, number> = {};
  for (let i = 0; i < 100; i++) {
    const chosen = chooseEndpoint(
      mesh,
      { service, port: 80, source, mode: 'Standard' },
      () => (i + 0.5) / 100,
    );
    const uid = chosen?.workload.uid ?? 'none';
    counts[uid] = (counts[uid] ?? 0) + 1;
  }
  return counts;
}

const same = {
  here: LOCALITY('r1', 'z1', 's1'),
  zone: LOCALITY('r1', 'z1', 's2'),
  region: LOCALITY('r1', 'z2', 's1'),
  far: LOCALITY('r2', 'z1', 's1'),
};
const preferences = 'routingPreferences: [Region, Zone, Subzone]';

describe('chooseEndpoint', () => {
  test.each<[string, string, Readonly<Record<string, string>>, Record<string, number>]>([
    ['without a balancer all share', '', same, { here: 25, zone: 25, region: 25, far: 25 }],
    [
      'Standard ignores preferences',
      `mode: Standard, ${preferences}`,
      same,
      { here: 25, zone: 25, region: 25, far: 25 },
    ],
    ['weights are respected', '', { a: 'capacity: 3', b: '' }, { a: 75, b: 25 }],
    ['no weight, no traffic', '', { a: 'capacity: 0', b: '' }, { b: 100 }],
    ['no weight at all', '', { a: 'capacity: 0' }, { none: 100 }],
    ['Failover: the nearest present', `mode: Failover, ${preferences}`, same, { here: 100 }],
    [
      'Failover: the next when the nearest is gone',
      `mode: Failover, ${preferences}`,
      { zone: same.zone, region: same.region, far: same.far },
      { zone: 100 },
    ],
    [
      'Failover: the first mismatch ends the comparison',
      `mode: Failover, ${preferences}`,
      { region: same.region, far: same.far },
      { region: 100 },
    ],
    [
      'Failover: anything rather than nothing',
      `mode: Failover, ${preferences}`,
      { far: same.far },
      { far: 100 },
    ],
    [
      'Failover: the nearest without weight does not count',
      `mode: Failover, ${preferences}`,
      { here: `${same.here}, capacity: 0`, zone: same.zone },
      { zone: 100 },
    ],
    ['Strict: all preferences', `mode: Strict, ${preferences}`, same, { here: 100 }],
    ['Strict: else nothing', `mode: Strict, ${preferences}`, { zone: same.zone }, { none: 100 }],
    [
      'Strict without preferences takes all',
      'mode: Strict, routingPreferences: []',
      { a: '', b: '' },
      { a: 50, b: 50 },
    ],
    ['by node', 'mode: Strict, routingPreferences: [Node]', { a: 'node: n1', b: 'node: n2' }, { a: 100 }],
    [
      'by cluster',
      'mode: Strict, routingPreferences: [Cluster]',
      { a: 'clusterId: c1', b: 'clusterId: c2' },
      { a: 100 },
    ],
    [
      'Network first: any of the same network outranks all of another',
      'mode: Failover, routingPreferences: [Network, Region, Zone]',
      { near: `network: n2, ${same.here}`, far: same.far },
      { far: 100 },
    ],
    [
      'Network first: in another network the other scopes still count',
      'mode: Failover, routingPreferences: [Network, Region]',
      { near: `network: n2, ${same.here}`, far: `network: n2, ${same.far}` },
      { near: 100 },
    ],
    [
      'Network later: a mismatch ends the comparison',
      'mode: Failover, routingPreferences: [Region, Network, Zone]',
      { a: `network: n2, ${same.here}`, b: `network: n2, ${same.region}` },
      { a: 50, b: 50 },
    ],
    [
      'Strict with Network first',
      'mode: Strict, routingPreferences: [Network, Region]',
      { a: same.here, b: same.far, c: `network: n2, ${same.here}` },
      { a: 100 },
    ],
  ])('%s', (_, balancer, endpoints, want) => expect(drawn(balancer, endpoints)).toEqual(want));

  test('an endpoint whose workload is unknown is passed over', () => {
    const mesh = meshOf(
      'services:\n  - {name: s, namespace: a, hostname: s, vips: [], ports: {80: 80}, endpoints: {x: {workloadUid: x, port: {80: 1}, status: Healthy}}}\nworkloads:\n  - {uid: client, namespace: a, workloadIps: [], services: {}}',
    );
    const request = {
      service: mesh.serviceByKey('a/s') as Service,
      port: 80,
      source: workloadNamed(mesh, 'client'),
      mode: 'Standard' as const,
    };
    expect(chooseEndpoint(mesh, request, () => 0)).toBeUndefined();
  });
});

describe('chooseAddress', () => {
  const service = (ipFamilies: Service['ipFamilies']) => ({ ipFamilies }) as Service;
  test.each<[string, readonly string[], Service | undefined, string, string | undefined]>([
    ['the one that was asked for', ['10.0.0.1', '10.0.0.2'], undefined, '10.0.0.2', '10.0.0.2'],
    ['one of the same family', ['fd00::1', '10.0.0.1'], undefined, '10.9.9.9', '10.0.0.1'],
    ['the first otherwise', ['fd00::1', 'fd00::2'], undefined, '10.9.9.9', 'fd00::1'],
    ['only of the service’s family', ['10.0.0.1', 'fd00::1'], service('IPv6'), '10.9.9.9', 'fd00::1'],
    ['none of the service’s family', ['10.0.0.1'], service('IPv6'), '10.9.9.9', undefined],
    ['both families', ['10.0.0.1', 'fd00::1'], service('Dual'), 'fd09::9', 'fd00::1'],
    ['no addresses', [], undefined, '10.9.9.9', undefined],
  ])('%s', (_, addresses, of, target, want) => expect(chooseAddress(addresses, of, target)).toBe(want));
});

test('drawWeighted never draws what has no weight', () => {
  const values = [{ weight: 0 }, { weight: 1 }, { weight: 0 }];
  expect([0, 0.5, 0.999_999].map((at) => drawWeighted(values, () => at))).toEqual([
    values[1],
    values[1],
    values[1],
  ]);
  expect(drawWeighted([{ weight: 0 }], () => 0)).toBeUndefined();
  expect(drawWeighted([], () => 0)).toBeUndefined();
});
