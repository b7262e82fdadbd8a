/** What a ztunnel makes of what it is sent: the same objects, through the wire, as routes and answers of DNS. */
import { describe, expect, test } from '@jest/globals';
import { ADDRESS_TYPE_URL } from '@ambit/api/workload';
import { formatHostPort, parseHostPort } from '@ambit/core/ip';
import { selectRoute } from '@ambit/model/decide/route';
import { decideDnsAnswer } from '@ambit/model/dns-answer';
import { Interner } from '@ambit/model/intern';
import { MeshStore } from '@ambit/model/store';
import { applyXdsDelta } from '@ambit/model/xds-delta';
import { TestMesh } from './testing/mesh-from-yaml.ts';

const OBJECTS = `
kind: ConfigMap
metadata: {namespace: istio-system, name: istio}
data: {mesh: 'serviceEntryVisibility: {policies: [{visibility: NAMESPACE, matchingRules: [{namespaceSelector: {matchLabels: {hide: "yes"}}}]}]}'}
---
kind: Namespace
metadata: {name: secret, labels: {hide: "yes"}}
---
kind: Pod
metadata: {namespace: shop, name: client}
spec: {nodeName: n1, serviceAccountName: client}
status: {podIPs: [{ip: 10.0.0.1}], conditions: [{type: Ready, status: "True"}]}
---
kind: Pod
metadata: {namespace: shop, name: server, labels: {app: server}, annotations: {ambient.istio.io/redirection: enabled}}
spec: {nodeName: n1, serviceAccountName: server, containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}
status: {podIPs: [{ip: 10.0.0.2}, {ip: "fd00::2"}], conditions: [{type: Ready, status: "True"}]}
---
kind: ServiceEntry
metadata: {namespace: shop, name: static}
spec:
  hosts: [static.example.com]
  addresses: [192.0.2.1, "2001:db8::1"]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 198.51.100.1, ports: {http: 8000}}]
---
kind: ServiceEntry
metadata: {namespace: shop, name: selecting}
spec: {hosts: [pods.example.com], addresses: [192.0.2.2], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, workloadSelector: {labels: {app: server}}, subjectAltNames: ["spiffe://other/ns/a/sa/b"]}
---
kind: ServiceEntry
metadata: {namespace: shop, name: resolved}
spec: {hosts: [Www.Example.com], ports: [{number: 443, name: tls, protocol: TLS}], resolution: DNS}
status: {addresses: [{host: Www.Example.com, value: 240.240.0.1}, {host: Www.Example.com, value: "2001:2::1"}]}
---
kind: ServiceEntry
metadata: {namespace: shop, name: through}
spec: {hosts: ["*.through.example.com"], addresses: [203.0.113.0/24], ports: [{number: 80, name: http, protocol: HTTP}]}
---
kind: ServiceEntry
metadata: {namespace: shop, name: block}
spec: {hosts: [block.example.com], addresses: [203.0.113.128/25, "2001:db8:5::/64"], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 198.51.100.2}]}
---
kind: ServiceEntry
metadata: {namespace: shop, name: wild}
spec: {hosts: ["*.wild.example.com"], addresses: [192.0.2.5], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 198.51.100.5}]}
---
kind: ServiceEntry
metadata: {namespace: shop, name: none}
spec: {hosts: [none.example.com], addresses: [192.0.2.6], ports: [{number: 80, name: http}], resolution: STATIC}
---
kind: ServiceEntry
metadata: {namespace: secret, name: hidden}
spec: {hosts: [hidden.example.com], addresses: [192.0.2.7], ports: [{number: 80, name: http}], resolution: STATIC, endpoints: [{address: 198.51.100.7}]}
---
kind: WorkloadEntry
metadata: {namespace: shop, name: vm, annotations: {ambient.istio.io/redirection: enabled}, labels: {app: vm}}
spec: {address: 192.0.2.50, ports: {http: 81}, serviceAccount: vm}
---
kind: Service
metadata: {namespace: shop, name: vm}
spec: {clusterIPs: [10.1.0.1], selector: {app: vm}, ports: [{name: http, port: 80, targetPort: http}]}
---
kind: Service
metadata: {namespace: shop, name: headless}
spec: {clusterIPs: [None], selector: {app: server}, ports: [{name: http, port: 80}]}
---
kind: Service
metadata: {namespace: shop, name: elsewhere}
spec: {type: ExternalName, externalName: example.com}
`;

function proxyOf(objects: string): MeshStore {
  const control = new TestMesh();
  control.apply(objects);
  expect(control.errors).toEqual([]);
  const proxy = new MeshStore({ nodeName: '' });
  const upserts = [...control.graph.addressFeed.all()].map(({ name, value }) => ({ name, value }));
  expect(applyXdsDelta(proxy, ADDRESS_TYPE_URL, { upserts, removed: [] }, new Interner())).toEqual([]);
  return proxy;
}

const proxy = proxyOf(OBJECTS);
const client = proxy.workloadByUid('Kubernetes//Pod/shop/client');

describe('routes to ServiceEntries and WorkloadEntries', () => {
  const route = (target: string) => {
    const endpoint = parseHostPort(target);
    if (!endpoint || !client) throw new Error('no client, or no target');
    const request = { source: client, sourceIp: '10.0.0.1', target: endpoint, network: '' };
    const decision = selectRoute(proxy, request, { random: () => 0, illegalPorts: new Set() });
    if (decision.kind === 'refuse') return decision.reason;
    if (decision.kind === 'resolve') {
      const resumed = decision.resume(['198.51.100.99']);
      const to = resumed.kind === 'route' ? formatHostPort(resumed.to.ip, resumed.to.port) : resumed.kind;
      return `resolve ${decision.hostname} ${to}`;
    }
    const identities = decision.expectedIdentities.join();
    return `${decision.via} ${formatHostPort(decision.to.ip, decision.to.port)} ${decision.authority} ${identities}`.trim();
  };

  test.each([
    ['an endpoint in clear, on its own port', '192.0.2.1:80', 'direct 198.51.100.1:8000'],
    ['the same by IPv6', '[2001:db8::1]:80', 'direct 198.51.100.1:8000'],
    ['a port that the entry does not have', '192.0.2.1:81', 'no-healthy-upstream'],
    [
      'a pod behind an entry, which may prove either identity',
      '192.0.2.2:80',
      'direct 10.0.0.2:15008 10.0.0.2:8080 spiffe://other/ns/a/sa/b,spiffe://cluster.local/ns/shop/sa/server',
    ],
    ['a host at its allotted address', '240.240.0.1:443', 'resolve Www.Example.com 198.51.100.99:443'],
    ['the same by IPv6', '[2001:2::1]:443', 'resolve Www.Example.com 198.51.100.99:443'],
    ['what passes through goes where the client wanted', '203.0.113.5:80', 'passthrough 203.0.113.5:80'],
    ['on any port', '203.0.113.5:81', 'passthrough 203.0.113.5:81'],
    ['the longer of two blocks', '203.0.113.200:80', 'direct 198.51.100.2:80'],
    ['a block of IPv6', '[2001:db8:5::77]:80', 'direct 198.51.100.2:80'],
    ['outside of every block', '203.0.114.1:80', 'passthrough 203.0.114.1:80'],
    ['an entry without endpoints is refused, not passed', '192.0.2.6:80', 'no-healthy-upstream'],
    ['one that hides itself is unknown', '192.0.2.7:80', 'passthrough 192.0.2.7:80'],
    [
      'a machine in the mesh, by its address',
      '192.0.2.50:5',
      'direct 192.0.2.50:15008 192.0.2.50:5 spiffe://cluster.local/ns/shop/sa/vm',
    ],
    [
      'a machine through a Service',
      '10.1.0.1:80',
      'direct 192.0.2.50:15008 192.0.2.50:81 spiffe://cluster.local/ns/shop/sa/vm',
    ],
  ])('%s', (_, target, want) => expect(route(target)).toBe(want));
});

describe('answers of DNS', () => {
  const answer = (name: string, family: 4 | 6) => {
    if (!client) throw new Error('no client');
    const options = { clusterDomain: 'cluster.local', preferredNamespace: '', ipv6: true };
    const decision = decideDnsAnswer(proxy, client, name, family, options);
    return decision.kind === 'forward' ? 'forward' : decision.ips.join() || 'none';
  };
  test.each([
    ['addresses that the entry names', 'static.example.com', '192.0.2.1', '2001:db8::1'],
    ['addresses that were allotted, whatever the case', 'www.example.com', '240.240.0.1', '2001:2::1'],
    ['a wildcard', 'a.wild.example.com', '192.0.2.5', 'none'],
    ['one of blocks of addresses has none', 'a.through.example.com', 'forward', 'forward'],
    ['one that hides itself', 'hidden.example.com', 'forward', 'forward'],
    ['a headless Service: its endpoints', 'headless', '10.0.0.2', 'fd00::2'],
    ['an ExternalName', 'elsewhere', 'forward', 'forward'],
  ])('%s', (_, name, four, six) => expect([answer(name, 4), answer(name, 6)]).toEqual([four, six]));
});
