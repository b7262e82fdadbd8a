import { describe, expect, test } from '@jest/globals';
import { formatHostPort } from '@ambit/core/ip';
import { meshFromFile, workloadNamed } from '../testing/mesh-file.ts';
import { decideInbound, decidePlaintext, type InboundDecision } from './inbound.ts';

const mesh = meshFromFile(new URL('./testdata/inbound.yaml', import.meta.url));
const illegalPorts = new Set([15001, 15006, 15008]);

interface Case {
  readonly local?: string;
  readonly ip?: string;
  readonly authority: string;
  readonly forwardedHost?: string;
  readonly localhostApplicationTunnel?: boolean;
  readonly want: string;
}

function summary(decision: InboundDecision): string {
  if (decision.kind === 'refuse') return `${decision.status} ${decision.reason}`;
  const { to, connectTo, connectFrom, proxyProtocolTarget, service } = decision;
  const text = (endpoint: typeof to) => formatHostPort(endpoint.ip, endpoint.port);
  return [
    text(to),
    ...(text(connectTo) === text(to) ? [] : [`via ${text(connectTo)}`]),
    `from ${connectFrom}`,
    ...(proxyProtocolTarget ? [`PROXY ${text(proxyProtocolTarget)}`] : []),
    service?.hostname ?? '-',
  ].join(' ');
}

describe('decideInbound', () => {
  const cases: Record<string, Case> = {
    'the workload’s own address': { authority: '10.0.0.1:8080', want: '10.0.0.1:8080 from peer web.app.svc' },
    'the service that the client says it called': {
      authority: '10.0.0.1:8080',
      forwardedHost: 'alias.app.svc',
      want: '10.0.0.1:8080 from peer alias.app.svc',
    },
    'a port of no service': { authority: '10.0.0.1:9', want: '10.0.0.1:9 from peer -' },
    'IPv6 in brackets': {
      ip: 'fd00::1',
      authority: '[fd00::1]:8080',
      want: '[fd00::1]:8080 from peer web.app.svc',
    },
    'an IPv4-mapped address is its IPv4 address': {
      authority: '[::ffff:10.0.0.1]:8080',
      want: '10.0.0.1:8080 from peer web.app.svc',
    },
    'another address than the one connected to': { authority: '10.0.0.2:80', want: '400 ip-mismatch' },
    'an address whose waypoint this is not': { authority: '10.0.0.9:80', want: '400 ip-mismatch' },
    'an authority without a port': { authority: '10.0.0.1', want: '400 bad-authority' },
    'port 0': { authority: '10.0.0.1:0', want: '400 bad-authority' },
    'a port beyond all ports': { authority: '10.0.0.1:65536', want: '400 bad-authority' },
    'an empty authority': { authority: '', want: '400 bad-authority' },
    'an authority with user information': { authority: 'a@10.0.0.1:80', want: '400 bad-authority' },
    'numbers that are no address': { authority: '999.1.1.1:80', want: '400 bad-authority' },
    'a port of the proxy': { authority: '10.0.0.1:15006', want: '503 self-call' },

    'a hostname: the endpoint’s own port': {
      authority: 'web.app.svc:80',
      want: '10.0.0.1:8080 from peer web.app.svc',
    },
    'a hostname: the service’s port': {
      local: 'c//Pod/app/behind',
      ip: '10.0.0.9',
      authority: 'headless.app.svc:80',
      want: '10.0.0.9:8080 from peer headless.app.svc',
    },
    'a hostname of another namespace': {
      authority: 'shared.example.com:443',
      want: '10.0.0.1:8443 from peer shared.example.com',
    },
    'an unknown hostname': { authority: 'nobody.app.svc:80', want: '503 unknown-hostname' },
    'a port that the hostname has not': { authority: 'web.app.svc:9', want: '503 unknown-port' },
    'a named port that this endpoint does not serve': {
      authority: 'guarded.app.svc:81',
      want: '503 unknown-port',
    },
    'a hostname whose port is one of the proxy': { authority: 'gate.wp.svc:15008', want: '503 self-call' },

    'a waypoint takes connections for a service behind it': {
      local: 'c//Pod/wp/gate',
      ip: '10.0.1.1',
      authority: '10.1.0.3:80',
      want: '10.0.1.1:80 from peer -',
    },
    'a waypoint that is named by its VIP': {
      local: 'c//Pod/wp/gate',
      ip: '10.0.1.1',
      authority: '10.1.0.4:80',
      want: '10.0.1.1:80 from peer -',
    },
    'a waypoint takes connections for a workload behind it': {
      local: 'c//Pod/wp/gate',
      ip: '10.0.1.1',
      authority: '10.0.0.9:80',
      want: '10.0.1.1:80 from peer -',
    },
    'a waypoint that is named by its own address': {
      local: 'c//Pod/wp/gate',
      ip: '10.0.1.1',
      authority: '10.0.0.10:80',
      want: '10.0.1.1:80 from peer -',
    },
    'a waypoint does not take connections for others': {
      local: 'c//Pod/wp/gate',
      ip: '10.0.1.1',
      authority: '10.1.0.1:80',
      want: '400 ip-mismatch',
    },

    'a PROXY tunnel is reached on loopback and told the target': {
      local: 'c//Pod/wp/proxy',
      ip: '10.0.1.2',
      authority: '10.1.0.3:80',
      want: '10.0.1.2:15088 via 127.0.0.1:15088 from loopback PROXY 10.1.0.3:80 -',
    },
    'a PROXY tunnel over IPv6': {
      local: 'c//Pod/wp/proxy',
      ip: 'fd00::12',
      authority: '[fd01::3]:80',
      want: '[fd00::12]:15088 via [::1]:15088 from loopback PROXY [fd01::3]:80 -',
    },
    'a PROXY tunnel that is not to be reached on loopback': {
      local: 'c//Pod/wp/proxy',
      ip: '10.0.1.2',
      authority: '10.1.0.3:80',
      localhostApplicationTunnel: false,
      want: '10.0.1.2:15088 from peer PROXY 10.1.0.3:80 -',
    },
    'a PROXY tunnel with a hostname is told its VIP, IPv4 first': {
      local: 'c//Pod/wp/proxy',
      ip: '10.0.1.2',
      authority: 'guarded.app.svc:80',
      want: '10.0.1.2:15088 via 127.0.0.1:15088 from loopback PROXY 10.1.0.3:80 guarded.app.svc',
    },
    'a PROXY tunnel with a hostname that has no VIP': {
      local: 'c//Pod/wp/proxy',
      ip: '10.0.1.2',
      authority: 'headless.app.svc:80',
      want: '503 no-vip-for-tunnel',
    },
    'a plain application tunnel only changes the port': {
      local: 'c//Pod/wp/plain',
      ip: '10.0.1.3',
      authority: '10.1.0.3:80',
      want: '10.0.1.3:9000 from peer -',
    },
    'an application tunnel into the proxy': {
      local: 'c//Pod/wp/loop',
      ip: '10.0.1.4',
      authority: '10.1.0.3:80',
      want: '503 self-call',
    },
  };

  test.each(Object.entries(cases))(
    '%s',
    (_, { local = 'c//Pod/app/web', ip = '10.0.0.1', want, ...rest }) => {
      const request = {
        local: workloadNamed(mesh, local),
        connectedTo: { ip, port: 15008 },
        authority: rest.authority,
        forwardedHost: rest.forwardedHost,
        network: '',
      };
      const localhostApplicationTunnel = rest.localhostApplicationTunnel ?? true;
      expect(summary(decideInbound(mesh, request, { illegalPorts, localhostApplicationTunnel }))).toBe(want);
    },
  );
});

describe('decidePlaintext', () => {
  const local = workloadNamed(mesh, 'c//Pod/app/web');
  const decide = (port: number) =>
    decidePlaintext(mesh, { local, originalDestination: { ip: '10.0.0.1', port } }, { illegalPorts });

  test('goes where it was going', () =>
    expect(summary(decide(8080))).toBe('10.0.0.1:8080 from peer web.app.svc'));
  test('never back into the proxy', () => expect(summary(decide(15008))).toBe('503 self-call'));
});
