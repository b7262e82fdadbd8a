import { describe, expect, test } from '@jest/globals';
import { meshOf } from '@ambit/model/testing/mesh-file';
import { decideDestination, type WaypointIdentity } from './destination.ts';

const SELF: WaypointIdentity = {
  service: 'shop/waypoint.shop.svc.cluster.local',
  workloadUid: 'c//Pod/shop/waypoint-0',
  ip: '10.0.0.9',
  network: '',
};
const OURS = '{destination: shop/waypoint.shop.svc.cluster.local, hboneMtlsPort: 15008}';
const OTHERS = '{destination: shop/other.shop.svc.cluster.local, hboneMtlsPort: 15008}';

const pod = (name: string, ip: string, more: string) =>
  `  - {uid: c//Pod/shop/${name}, name: ${name}, namespace: shop, serviceAccount: ${name}, workloadIps: [${ip}], protocol: HBONE${more}}`;
const service = (name: string, vip: string, more: string) =>
  `  - {name: ${name}, namespace: shop, hostname: ${name}.shop.svc.cluster.local, vips: [/${vip}], ports: {80: 8080, 90: 0}${more}}`;

const MESH = meshOf(`
workloads:
${pod('waypoint-0', '10.0.0.9', ', services: {shop/renamed.shop.svc.cluster.local: {15008: 15008}}')}
${pod('web-0', '10.0.0.1', `, services: {shop/web.shop.svc.cluster.local: {80: 8080}}, waypoint: ${OURS}`)}
${pod('bare-0', '10.0.0.2', ', services: {}')}
${pod('else-0', '10.0.0.3', `, services: {}, waypoint: ${OTHERS}`)}
services:
${service('waypoint', '10.9.0.1', '')}
${service('renamed', '10.9.0.2', '')}
${service('other', '10.9.0.3', '')}
${service('web', '10.9.1.1', `, waypoint: ${OURS}, appProtocols: {80: HTTP2}`)}
${service('by-vip', '10.9.1.2', ', waypoint: {destination: /10.9.0.1, hboneMtlsPort: 15008}')}
${service('by-other-name', '10.9.1.3', ', waypoint: {destination: shop/renamed.shop.svc.cluster.local, hboneMtlsPort: 15008}')}
${service('by-pod', '10.9.1.4', ', waypoint: {destination: /10.0.0.9, hboneMtlsPort: 15008}')}
${service('canary', '10.9.1.5', `, waypoint: ${OTHERS}, weightedWaypoints: [{destination: ${OTHERS}, weight: 100}, {destination: ${OURS}, weight: 0}]`)}
${service('elsewhere', '10.9.1.6', `, waypoint: ${OTHERS}`)}
${service('bare', '10.9.1.7', '')}
${service('hidden', '10.9.1.8', `, waypoint: ${OURS}, visibility: Namespace`)}
${service('block', '10.9.1.9', `, waypoint: ${OURS}, cidrVips: [{network: "", cidr: 192.0.2.0/24}]`)}
policies: []
`);

const decide = (authority: string, clientNamespace: string | undefined = 'shop') =>
  decideDestination(MESH, SELF, { authority, clientNamespace });

describe('served', () => {
  const cases: Record<string, { authority: string; want: object }> = {
    'a service by its VIP, with what its port declares': {
      authority: '10.9.1.1:80',
      want: { kind: 'service', service: { name: 'web' }, port: 80, protocol: 'HTTP2' },
    },
    'on a port that declares nothing': {
      authority: '10.9.1.1:90',
      want: { service: { name: 'web' }, port: 90, protocol: undefined },
    },
    'when its waypoint is named by our VIP': {
      authority: '10.9.1.2:80',
      want: { service: { name: 'by-vip' } },
    },
    'when its waypoint is another Service of ours': {
      authority: '10.9.1.3:80',
      want: { service: { name: 'by-other-name' } },
    },
    'when its waypoint is our address': { authority: '10.9.1.4:80', want: { service: { name: 'by-pod' } } },
    'when we are its canary, of weight 0 too': {
      authority: '10.9.1.5:80',
      want: { service: { name: 'canary' } },
    },
    'an address in its block': {
      authority: '192.0.2.7:80',
      want: { service: { name: 'block' }, address: { ip: '192.0.2.7', port: 80 } },
    },
    'a workload, on any port': {
      authority: '10.0.0.1:9999',
      want: { kind: 'workload', workload: { name: 'web-0' }, port: 9999, protocol: undefined },
    },
    'a workload, on the target of a declared port': {
      authority: '10.0.0.1:8080',
      want: { kind: 'workload', port: 8080, protocol: 'HTTP2' },
    },
  };
  test.each(Object.entries(cases))('%s', (_, { authority, want }) =>
    expect(decide(authority)).toMatchObject(want),
  );
});

describe('refused', () => {
  const cases: Record<string, { authority: string; status: number; reason: string; mayCome: boolean }> = {
    'no authority': { authority: '', status: 400, reason: 'bad-authority', mayCome: false },
    'no port': { authority: '10.9.1.1', status: 400, reason: 'bad-authority', mayCome: false },
    'port 0': { authority: '10.9.1.1:0', status: 400, reason: 'bad-authority', mayCome: false },
    'a port too large': { authority: '10.9.1.1:65536', status: 400, reason: 'bad-authority', mayCome: false },
    'user information': { authority: 'a@10.9.1.1:80', status: 400, reason: 'bad-authority', mayCome: false },
    'a name': {
      authority: 'web.shop.svc.cluster.local:80',
      status: 400,
      reason: 'host-name',
      mayCome: false,
    },
    'our own address, on an admin port': {
      authority: '10.0.0.9:15000',
      status: 404,
      reason: 'own-address',
      mayCome: false,
    },
    'our own address, on the tunnel port': {
      authority: '10.0.0.9:15008',
      status: 404,
      reason: 'own-address',
      mayCome: false,
    },
    'our own address in other words': {
      authority: '[::ffff:10.0.0.9]:15000',
      status: 404,
      reason: 'own-address',
      mayCome: false,
    },
    loopback: { authority: '127.0.0.1:15000', status: 404, reason: 'own-address', mayCome: false },
    'loopback, IPv6': { authority: '[::1]:15000', status: 404, reason: 'own-address', mayCome: false },
    'our own Service': { authority: '10.9.0.1:15021', status: 404, reason: 'not-attached', mayCome: true },
    'a port that the service does not list': {
      authority: '10.9.1.1:8080',
      status: 404,
      reason: 'unknown-port',
      mayCome: true,
    },
    'a service of another waypoint': {
      authority: '10.9.1.6:80',
      status: 404,
      reason: 'not-attached',
      mayCome: true,
    },
    'a service without waypoint': {
      authority: '10.9.1.7:80',
      status: 404,
      reason: 'not-attached',
      mayCome: true,
    },
    'a workload without waypoint': {
      authority: '10.0.0.2:80',
      status: 404,
      reason: 'not-attached',
      mayCome: true,
    },
    'a workload of another waypoint': {
      authority: '10.0.0.3:80',
      status: 404,
      reason: 'not-attached',
      mayCome: true,
    },
    'an address of nobody': { authority: '10.1.2.3:80', status: 404, reason: 'not-attached', mayCome: true },
  };
  test.each(Object.entries(cases))('%s', (_, { authority, status, reason, mayCome }) =>
    expect(decide(authority)).toMatchObject({ kind: 'refuse', status, reason, mayCome }),
  );

  test('a service that hides from the client’s namespace', () => {
    expect(decide('10.9.1.8:80', 'shop')).toMatchObject({ kind: 'service' });
    expect(decide('10.9.1.8:80', 'other')).toMatchObject({ kind: 'refuse', reason: 'not-attached' });
  });
});
