import { expect, test } from '@jest/globals';
import { meshOf, workloadNamed } from '../testing/mesh-file.ts';
import { neededAddresses } from './needed.ts';

const mesh = meshOf(`
workloads:
  - {uid: client, namespace: a, workloadIps: [10.0.0.1], services: {}}
  - {uid: behind, namespace: a, workloadIps: [10.0.0.2], services: {}, waypoint: {destination: /10.0.0.99, hboneMtlsPort: 15008}}
  - {uid: remote, namespace: a, workloadIps: [], network: east, services: {a/s: {80: 80}}, networkGateway: {destination: a/gate, hboneMtlsPort: 15008}}
services:
  - {name: s, namespace: a, hostname: s, vips: [/10.1.0.1], ports: {80: 80}, waypoint: {destination: a/wp, hboneMtlsPort: 15008},
     endpoints: {ghost: {workloadUid: ghost, port: {80: 80}, status: Healthy}}}
  - {name: t, namespace: a, hostname: t, vips: [/10.1.0.2], ports: {80: 80}, waypoint: {destination: /10.1.0.1, hboneMtlsPort: 15008}}
`);

test.each([
  ['192.0.2.1', ['/192.0.2.1']],
  ['10.0.0.1', []],
  ['10.0.0.2', ['/10.0.0.99']],
  ['10.1.0.1', ['ghost', 'a/wp', 'a/gate']],
  ['10.1.0.2', []],
])('a route to %s needs %j', (ip, want) => {
  const source = workloadNamed(mesh, 'client');
  expect(
    neededAddresses(mesh, { source, sourceIp: '10.0.0.1', target: { ip, port: 80 }, network: '' }),
  ).toEqual(want);
});
