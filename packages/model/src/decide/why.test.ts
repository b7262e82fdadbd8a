import { describe, expect, test } from '@jest/globals';
import { parseHostPort } from '@ambit/core/ip';
import { meshFromFile, meshOf, workloadNamed } from '../testing/mesh-file.ts';
import { type Explanation, explainOutbound } from './why.ts';

const routes = meshFromFile(new URL('./testdata/routes.yaml', import.meta.url));
const illegalPorts = new Set([15001, 15006, 15008]);

function outbound(target: string, uid = 'c//Pod/app/client'): Explanation {
  const source = workloadNamed(routes, uid);
  const endpoint = parseHostPort(target) ?? { ip: '', port: 0 };
  const request = { source, sourceIp: source.addresses[0] ?? '', target: endpoint, network: '' };
  return explainOutbound(routes, request, { illegalPorts });
}

const says = ({ steps }: Explanation, name: string) => steps.find((step) => step.name === name)?.says;

describe('explainOutbound', () => {
  test('tells a connection to a service step by step', () => {
    expect(outbound('10.1.0.1:80')).toEqual({
      meshVersion: 1,
      allowed: true,
      steps: [
        {
          name: 'capture',
          outcome: 'passed',
          says: 'c//Pod/app/client (10.0.0.1) connects to 10.1.0.1:80',
          details: [
            'its identity is spiffe://td/ns/app/sa/client',
            'its node is n1, its network the default one, the proxy’s the default one',
          ],
        },
        {
          name: 'service',
          outcome: 'passed',
          says: '10.1.0.1 belongs to the service app/dual.app.svc',
          details: ['its ports are 80→8080', 'endpoints are chosen by weight alone'],
        },
        {
          name: 'endpoint',
          outcome: 'passed',
          says: '1 of 1 endpoints may take the connection',
          details: ['c//Pod/app/dual port 8080: 100 % of connections'],
        },
        { name: 'waypoint', outcome: 'passed', says: 'no waypoint is asked for', details: [] },
        {
          name: 'identity',
          outcome: 'passed',
          says: 'the peer must prove one of spiffe://td/ns/app/sa/other, spiffe://td/ns/app/sa/server',
          details: [],
        },
        {
          name: 'verdict',
          outcome: 'passed',
          says: 'direct: HBONE to 10.0.0.2:15008, asking for 10.0.0.2:8080',
          details: [],
        },
      ],
      next: {
        protocol: 'HBONE',
        to: '10.0.0.2:15008',
        authority: '10.0.0.2:8080',
        workloadUid: 'c//Pod/app/dual',
        node: '',
      },
    });
  });

  test.each([
    ['192.0.2.1:443', 'service', 'nothing is known of 192.0.2.1'],
    ['10.0.0.2:7', 'service', 'no service is addressed'],
    ['10.1.0.7:80', 'waypoint', 'a waypoint takes the connection at 10.0.1.1:15008'],
    [
      '10.1.0.6:80',
      'waypoint',
      'the workload’s waypoint wp/gate.wp.svc is passed by, since a service was addressed',
    ],
    ['10.0.0.3:7', 'identity', 'plain TCP: the peer proves nothing'],
    ['10.1.0.21:80', 'verdict', 'db.example.com is resolved, and one of its addresses is connected to'],
  ])('%s: the %s', (target, name, want) => {
    const explained = outbound(target);
    expect([says(explained, name), explained.allowed]).toEqual([want, true]);
  });

  test('the waypoint itself', () =>
    expect(says(outbound('10.0.0.4:7', 'c//Pod/wp/gate'), 'waypoint')).toBe(
      'the client is itself the waypoint wp/gate.wp.svc',
    ));

  test.each([
    ['10.1.0.9:80', 'waypoint', 'unknown waypoint: waypoint wp/nobody.wp.svc not found'],
    ['10.1.0.1:81', 'endpoint', 'app/dual.app.svc has no port 81'],
    ['10.1.0.5:80', 'endpoint', '0 of 0 endpoints may take the connection'],
    ['127.0.0.1:15008', 'verdict', '127.0.0.1:15008 is a port of the proxy itself'],
  ])('%s is refused by the %s', (target, name, want) => {
    const explained = outbound(target);
    const refused = explained.steps.find(({ outcome }) => outcome === 'refused');
    expect([refused?.name, refused?.says, explained.allowed, explained.next]).toEqual([
      name,
      want,
      false,
      undefined,
    ]);
  });

  test('endpoints that take nothing say why', () => {
    const mesh = meshOf(`
workloads:
  - {uid: client, namespace: a, workloadIps: [10.0.0.1], services: {}, locality: {region: r, zone: z, subzone: ""}}
  - {uid: near, namespace: a, workloadIps: [10.0.0.2], services: {a/s: {80: 80}}, locality: {region: r, zone: z, subzone: ""}, capacity: 3}
  - {uid: near2, namespace: a, workloadIps: [10.0.0.3], services: {a/s: {80: 80}}, locality: {region: r, zone: z, subzone: ""}}
  - {uid: far, namespace: a, workloadIps: [10.0.0.4], services: {a/s: {80: 80}}}
  - {uid: idle, namespace: a, workloadIps: [10.0.0.5], services: {a/s: {80: 80}}, capacity: 0}
  - {uid: nowhere, namespace: a, workloadIps: [], services: {a/s: {80: 80}}}
services:
  - {name: s, namespace: a, hostname: s, vips: [/10.1.0.1], ports: {80: 80}, endpoints: {ghost: {workloadUid: ghost, port: {80: 1}, status: Healthy}},
     loadBalancer: {mode: Failover, routingPreferences: [Region, Zone], healthPolicy: OnlyHealthy}}
`);
    const source = workloadNamed(mesh, 'client');
    const request = { source, sourceIp: '10.0.0.1', target: { ip: '10.1.0.1', port: 80 }, network: '' };
    const { steps } = explainOutbound(mesh, request, { illegalPorts });
    expect(steps.find(({ name }) => name === 'endpoint')?.details).toEqual([
      'near port 80: 75 % of connections',
      'near2 port 80: 25 % of connections',
      'far: left out, another is nearer (rank 0)',
      'idle: left out, its capacity is 0',
      'nowhere: left out, it has no address',
      'ghost: left out, its workload is not known',
    ]);
  });
});
