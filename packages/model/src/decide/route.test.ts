import { describe, expect, test } from '@jest/globals';
import { formatHostPort, parseHostPort } from '@ambit/core/ip';
import { meshFromFile, workloadNamed } from '../testing/mesh-file.ts';
import { type Route, type RouteDecision, selectRoute } from './route.ts';

const mesh = meshFromFile(new URL('./testdata/routes.yaml', import.meta.url));
const CLIENT = 'c//Pod/app/client';
const SERVER = 'spiffe://td/ns/app/sa/server';
const GATE = 'spiffe://td/ns/wp/sa/gate';

interface From {
  readonly uid?: string;
  readonly ip?: string;
  readonly random?: number;
}

function decide(target: string, { uid = CLIENT, ip, random = 0 }: From = {}): RouteDecision {
  const endpoint = parseHostPort(target);
  if (!endpoint) throw new Error(`not ip:port: ${target}`);
  const source = workloadNamed(mesh, uid);
  const request = { source, sourceIp: ip ?? source.addresses[0] ?? '', target: endpoint, network: '' };
  return selectRoute(mesh, request, { random: () => random, illegalPorts: new Set([15001, 15006, 15008]) });
}

/** The decision in one line: what a table can hold. */
function summary(decision: RouteDecision): string {
  if (decision.kind === 'refuse') return `refuse ${decision.reason}: ${decision.message}`;
  if (decision.kind === 'resolve') return `resolve ${decision.hostname}`;
  return `${decision.via} ${decision.protocol} ${formatHostPort(decision.to.ip, decision.to.port)} ${decision.authority}`.trim();
}

describe('selectRoute', () => {
  const cases: Record<string, readonly [target: string, want: string, from?: From]> = {
    'an unknown address passes through': ['192.0.2.1:443', 'passthrough TCP 192.0.2.1:443'],
    'a VIP of another network is unknown here': ['10.1.0.24:80', 'passthrough TCP 10.1.0.24:80'],
    'a service of another namespace that hides itself is unknown': [
      '10.1.0.25:80',
      'passthrough TCP 10.1.0.25:80',
    ],
    'a port of the proxy on loopback is refused': [
      '127.0.0.1:15001',
      'refuse recursion: 127.0.0.1:15001 is a port of the proxy itself',
    ],
    'another port on loopback passes': ['127.0.0.1:80', 'passthrough TCP 127.0.0.1:80'],

    'a meshed workload by its address': ['10.0.0.2:7', 'direct HBONE 10.0.0.2:15008 10.0.0.2:7'],
    'a meshed workload by its IPv6 address': ['[fd00::2]:7', 'direct HBONE [fd00::2]:15008 [fd00::2]:7'],
    'a plain workload by its address': ['10.0.0.3:7', 'direct TCP 10.0.0.3:7'],
    'a host-network pod by its address passes through': ['10.9.0.1:80', 'passthrough TCP 10.9.0.1:80'],
    'a host-network pod through its service': ['10.1.0.4:80', 'direct TCP 10.9.0.1:8080'],

    'a service maps the port': ['10.1.0.1:80', 'direct HBONE 10.0.0.2:15008 10.0.0.2:8080'],
    'an IPv6 VIP takes the IPv6 address of a dual-stack workload': [
      '[fd01::1]:80',
      'direct HBONE [fd00::2]:15008 [fd00::2]:8080',
    ],
    'a service of IPv4 only takes that even for an IPv6 VIP': [
      '[fd01::2]:80',
      'direct HBONE 10.0.0.2:15008 10.0.0.2:8080',
    ],
    'a plain workload through its service': ['10.1.0.3:80', 'direct TCP 10.0.0.3:8080'],
    'a service without endpoints is refused, not passed through': [
      '10.1.0.5:80',
      'refuse no-healthy-upstream: no healthy upstream: 10.1.0.5:80',
    ],
    'a port that the service has not is refused': [
      '10.1.0.1:81',
      'refuse no-healthy-upstream: no healthy upstream: 10.1.0.1:81: app/dual.app.svc has no port 81',
    ],
    'a named target port is the endpoint’s': ['10.1.0.16:80', 'direct HBONE 10.0.0.7:15008 10.0.0.7:9090'],
    'a named target port that the endpoint has not is refused': [
      '10.1.0.17:80',
      'refuse no-healthy-upstream: no healthy upstream: 10.1.0.17:80',
    ],
    'a hostname without addresses is resolved': ['10.1.0.21:80', 'resolve db.example.com'],
    'a passthrough service keeps the original destination': ['10.1.0.14:80', 'passthrough TCP 10.1.0.14:80'],

    'a service’s waypoint, asked for the original destination': [
      '10.1.0.7:80',
      'waypoint HBONE 10.0.1.1:15008 10.1.0.7:80',
    ],
    'a waypoint named by hostname follows the client’s family': [
      '[fd01::7]:80',
      'waypoint HBONE [fd00::11]:15008 [fd01::7]:80',
    ],
    'a waypoint named by its VIP': ['10.1.0.8:80', 'waypoint HBONE 10.0.1.1:15008 10.1.0.8:80'],
    'the waypoint is not asked which ports the service has': [
      '10.1.0.7:81',
      'waypoint HBONE 10.0.1.1:15008 10.1.0.7:81',
    ],
    'a passthrough service with a waypoint goes to the waypoint': [
      '10.1.0.15:80',
      'waypoint HBONE 10.0.1.1:15008 10.1.0.15:80',
    ],
    'a waypoint that does not exist refuses': [
      '10.1.0.9:80',
      'refuse unknown-waypoint: unknown waypoint: waypoint wp/nobody.wp.svc not found',
    ],
    'a waypoint without endpoints refuses': [
      '10.1.0.10:80',
      'refuse unknown-waypoint: unknown waypoint: waypoint wp/empty.wp.svc has no healthy endpoint on port 15008',
    ],
    'a waypoint whose service lists no HBONE port serves by its application tunnel': [
      '10.1.0.11:80',
      'waypoint HBONE 10.0.1.2:15008 10.1.0.11:80',
    ],
    'weighted waypoints replace the waypoint': ['10.1.0.12:80', 'waypoint HBONE 10.0.1.1:15008 10.1.0.12:80'],
    'weighted waypoints are drawn by weight': [
      '10.1.0.12:80',
      'waypoint HBONE 10.0.1.2:15008 10.1.0.12:80',
      { random: 0.8 },
    ],
    'weights of zero leave the waypoint': ['10.1.0.13:80', 'waypoint HBONE 10.0.1.1:15008 10.1.0.13:80'],

    'a workload’s waypoint, when the workload is addressed': [
      '10.0.0.4:7',
      'waypoint HBONE 10.0.1.1:15008 10.0.0.4:7',
    ],
    'a workload’s waypoint, named by address': ['10.0.0.5:7', 'waypoint HBONE 10.0.1.1:15008 10.0.0.5:7'],
    'a workload’s waypoint is not asked for its service': [
      '10.1.0.6:80',
      'direct HBONE 10.0.0.4:15008 10.0.0.4:8080',
    ],
    'the waypoint itself goes straight to its workload': [
      '10.0.0.4:7',
      'direct HBONE 10.0.0.4:15008 10.0.0.4:7',
      { uid: 'c//Pod/wp/gate' },
    ],
    'the waypoint itself, where it is named by address': [
      '10.0.0.5:7',
      'direct HBONE 10.0.0.5:15008 10.0.0.5:7',
      { uid: 'c//Pod/wp/gate' },
    ],
    'somebody with the waypoint’s identity at another address goes through it': [
      '10.0.0.4:7',
      'waypoint HBONE 10.0.1.1:15008 10.0.0.4:7',
      { uid: 'c//Pod/wp/gate', ip: '10.0.9.9' },
    ],
    'a workload’s waypoint that does not exist refuses': [
      '10.0.0.6:7',
      'refuse unknown-waypoint: unknown waypoint: waypoint wp/nobody.wp.svc not found',
    ],

    'an endpoint in another network goes through its gateway': [
      '10.1.0.18:80',
      'gateway DOUBLEHBONE 10.0.2.1:15008 remote.app.svc:80',
    ],
    'a waypoint in another network goes through its gateway': [
      '10.1.0.19:80',
      'gateway DOUBLEHBONE 10.0.2.1:15008 guarded-east.app.svc:80',
    ],
    'another network without a gateway refuses': [
      '10.1.0.20:80',
      'refuse no-valid-destination: no valid destination: network island of e//Pod/app/stranded has no gateway',
    ],
    'another network, where the service names no identity that may answer': [
      '10.1.0.26:80',
      'refuse no-valid-destination: no valid destination: app/nameless.app.svc names no identity that may answer behind a gateway',
    ],
    'an unhealthy local endpoint fails over to the other network': [
      '10.1.0.22:80',
      'gateway DOUBLEHBONE 10.0.2.1:15008 failover.app.svc:80',
    ],
    'an unhealthy endpoint takes traffic where all are allowed': [
      '10.1.0.23:80',
      'direct HBONE 10.0.0.20:15008 10.0.0.20:8080',
    ],
  };

  test.each(Object.entries(cases))('%s', (_, [target, want, from]) => {
    expect(summary(decide(target, from))).toBe(want);
  });
});

describe('identities that the peer must prove', () => {
  const cases: Record<string, { target: string; outer: readonly string[]; inner?: readonly string[] }> = {
    'a workload: its own': { target: '10.0.0.2:7', outer: [SERVER] },
    'a service: its names and the workload’s own': {
      target: '10.1.0.1:80',
      outer: ['spiffe://td/ns/app/sa/other', SERVER],
    },
    'plain TCP: none': { target: '10.0.0.3:7', outer: [] },
    'a waypoint: its own, never the service’s': { target: '10.1.0.7:80', outer: [GATE] },
    'a gateway: its own outside, the service’s names inside': {
      target: '10.1.0.18:80',
      outer: ['spiffe://td/ns/gw/sa/extra', 'spiffe://td/ns/gw/sa/gw'],
      inner: [SERVER],
    },
    'a gateway before a waypoint: the waypoint’s names inside': {
      target: '10.1.0.19:80',
      outer: ['spiffe://td/ns/gw/sa/extra', 'spiffe://td/ns/gw/sa/gw'],
      inner: ['spiffe://td/ns/wp/sa/east-gate'],
    },
  };

  test.each(Object.entries(cases))('%s', (_, { target, outer, inner = [] }) => {
    const route = decide(target) as Route;
    expect(route.expectedIdentities).toEqual(outer);
    expect(route.innerIdentities).toEqual(inner);
  });
});

describe('a hostname that had to be resolved', () => {
  const resume = (ips: readonly string[], random = 0) => {
    const decision = decide('10.1.0.21:80', { random });
    if (decision.kind !== 'resolve') throw new Error(`not a resolution: ${decision.kind}`);
    return summary(decision.resume(ips));
  };

  test('goes to an address of the client’s family', () =>
    expect(resume(['2001:db8::1', '192.0.2.7'])).toBe('direct TCP 192.0.2.7:5432'));
  test('goes to the other family when there is no address of the client’s', () =>
    expect(resume(['2001:db8::1'])).toBe('direct TCP [2001:db8::1]:5432'));
  test('draws one of several', () =>
    expect(resume(['192.0.2.7', '192.0.2.8'], 0.9)).toBe('direct TCP 192.0.2.8:5432'));
  test('is refused without addresses', () =>
    expect(resume([])).toBe('refuse no-ip-addresses: no ip addresses were resolved for db.example.com'));
});
