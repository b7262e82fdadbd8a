import { describe, expect, test } from '@jest/globals';
import { decideDnsAnswer, type DnsOptions } from './dns-answer.ts';
import { meshOf, workloadNamed } from './testing/mesh-file.ts';

const mesh = meshOf(`
workloads:
  - {uid: client, name: client, namespace: app, workloadIps: [10.0.0.1], services: {}}
  - {uid: p0, name: db-0, namespace: app, workloadIps: [10.0.1.0, "fd00::10"], services: {app/db.app.svc.cluster.local: {}}}
  - {uid: p1, name: db-1, namespace: app, workloadIps: [10.0.1.1], services: {app/db.app.svc.cluster.local: {}}}
  - {uid: p2, name: db-2, namespace: app, network: east, workloadIps: [10.0.1.2], services: {app/db.app.svc.cluster.local: {}}}
  - {uid: p3, name: db-3, namespace: app, workloadIps: [10.0.1.3], status: Unhealthy, services: {app/db.app.svc.cluster.local: {}}}
  - {uid: web-0, name: web-0, namespace: app, workloadIps: [10.0.1.9], services: {app/web.app.svc.cluster.local: {}}}
services:
  - {name: web, namespace: app, hostname: web.app.svc.cluster.local, vips: ["/10.1.0.1", "/fd01::1", "east/10.9.9.9"], ports: {}}
  - {name: api, namespace: other, hostname: api.other.svc.cluster.local, vips: ["/10.1.0.2"], ports: {}}
  - {name: db, namespace: app, hostname: db.app.svc.cluster.local, vips: [], ports: {}}
  - {name: example, namespace: app, hostname: www.example.com, vips: ["/240.240.0.1"], ports: {}}
  - {name: wild, namespace: app, hostname: "*.wild.example.com", vips: ["/240.240.0.2"], ports: {}}
  - {name: mixed, namespace: app, hostname: Mixed.Example.COM., vips: ["/240.240.0.9"], ports: {}}
  - {name: deep, namespace: app, hostname: "*.deep.wild.example.com", vips: ["/240.240.0.3"], ports: {}}
  - {name: novip, namespace: app, hostname: novip.example.com, vips: [], ports: {}}
  - {name: block, namespace: app, hostname: block.app.svc.cluster.local, vips: [], cidrVips: [{network: "", cidr: 10.5.0.0/16}], ports: {}}
  - {name: hidden, namespace: other, hostname: hidden.example.com, vips: ["/240.240.0.4"], ports: {}, visibility: Namespace}
  - {name: v4only, namespace: app, hostname: v4only.app.svc.cluster.local, vips: ["/10.1.0.5", "/fd01::5"], ports: {}, ipFamilies: IPv4}
  - {name: shared, namespace: app, hostname: shared.example.com, vips: ["/240.240.0.5"], ports: {}}
  - {name: shared, namespace: other, hostname: shared.example.com, vips: ["/240.240.0.6"], ports: {}, canonical: true}
  - {name: several, namespace: b, hostname: several.example.com, vips: ["/240.240.0.7"], ports: {}}
  - {name: several, namespace: c, hostname: several.example.com, vips: ["/240.240.0.8"], ports: {}}
`);

function answer(name: string, family: 4 | 6 = 4, over: Partial<DnsOptions> = {}): string {
  const options = { clusterDomain: 'cluster.local', preferredNamespace: '', ipv6: true, ...over };
  const decision = decideDnsAnswer(mesh, workloadNamed(mesh, 'client'), name, family, options);
  if (decision.kind === 'forward') return 'forward';
  return [
    ...(decision.alias === undefined ? [] : [`(${decision.alias})`]),
    decision.ips.join() || 'none',
  ].join(' ');
}

describe('decideDnsAnswer', () => {
  test.each([
    ['the full name', 'web.app.svc.cluster.local', '10.1.0.1'],
    ['a name in the client’s namespace', 'web', '10.1.0.1'],
    ['a name with its namespace', 'api.other', '10.1.0.2'],
    ['a name as far as svc', 'api.other.svc', '10.1.0.2'],
    ['a name of another namespace alone', 'api', 'forward'],
    [
      'the first search domain',
      'web.app.svc.cluster.local.app.svc.cluster.local',
      '(web.app.svc.cluster.local) 10.1.0.1',
    ],
    [
      'a short name with the second search domain',
      'api.other.svc.svc.cluster.local',
      '(api.other.svc) 10.1.0.2',
    ],
    ['a short name with the last search domain', 'api.other.cluster.local', '(api.other) 10.1.0.2'],
    ['a host outside', 'www.example.com', '240.240.0.1'],
    [
      'a host outside, with a search domain',
      'www.example.com.app.svc.cluster.local',
      '(www.example.com) 240.240.0.1',
    ],
    ['a host that was written in capitals, with a final dot', 'mixed.example.com', '240.240.0.9'],
    ['a wildcard', 'a.wild.example.com', '240.240.0.2'],
    ['a wildcard over several labels', 'a.b.wild.example.com', '240.240.0.2'],
    ['the longer of two wildcards', 'a.deep.wild.example.com', '240.240.0.3'],
    ['a wildcard, with a search domain: no CNAME', 'a.wild.example.com.app.svc.cluster.local', '240.240.0.2'],
    ['what a wildcard does not cover', 'wild.example.com', 'forward'],
    ['an unknown host', 'nobody.example.com', 'forward'],
    ['a host without address', 'novip.example.com', 'forward'],
    ['a service of address blocks alone', 'block.app.svc.cluster.local', 'forward'],
    ['a host that is hidden from the client', 'hidden.example.com', 'forward'],
    ['a host of two namespaces: the client’s own', 'shared.example.com', '240.240.0.5'],
    ['a host of two other namespaces: the first', 'several.example.com', '240.240.0.7'],
    [
      'a headless service: healthy endpoints on this network',
      'db.app.svc.cluster.local',
      '10.0.1.0,10.0.1.1',
    ],
    ['a pod of a headless service', 'db-1.db.app.svc.cluster.local', '10.0.1.1'],
    ['a pod, in short', 'db-0.db', '10.0.1.0'],
    ['a pod of a headless service that is not there', 'db-9.db.app.svc.cluster.local', 'forward'],
    ['a pod of a service with an address', 'web-0.web.app.svc.cluster.local', 'forward'],
    ['the root', '', 'forward'],
    ['a domain alone', 'cluster.local', 'forward'],
  ])('%s', (_, name, want) => expect(answer(name)).toBe(want));

  test.each([
    ['IPv6 of a service', 'web', '10.1.0.1', 'fd01::1'],
    ['IPv6 of a service that has none', 'api.other', '10.1.0.2', 'none'],
    ['IPv6 of a service of IPv4 only', 'v4only', '10.1.0.5', 'none'],
    ['IPv6 of a headless service', 'db', '10.0.1.0,10.0.1.1', 'fd00::10'],
    ['IPv6 of a pod without it', 'db-1.db', '10.0.1.1', 'none'],
  ])('%s', (_, name, four, six) => expect([answer(name, 4), answer(name, 6)]).toEqual([four, six]));

  test('IPv6 that is switched off', () => expect(answer('web', 6, { ipv6: false })).toBe('none'));
  test('a preferred namespace', () =>
    expect(answer('several.example.com', 4, { preferredNamespace: 'c' })).toBe('240.240.0.8'));
  test('search domains of the client’s own', () => {
    expect(answer('www.example.com.corp.test', 4, { searchDomains: ['corp.test'] })).toBe(
      '(www.example.com) 240.240.0.1',
    );
    expect(answer('www.example.com.app.svc.cluster.local', 4, { searchDomains: ['corp.test'] })).toBe(
      'forward',
    );
  });
});
