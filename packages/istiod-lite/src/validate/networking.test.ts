import { describe, expect, test } from '@jest/globals';
import type { ServiceEntry, WorkloadEntry } from '@ambit/kube/resources/networking';
import { parse } from 'yaml';
import { ACCEPTED_ENTRIES, REFUSED_ENTRIES } from '../testing/entry-cases.ts';
import { findingsFor } from '../webhook/review.ts';
import { hostnameProblem, wildcardHostnameProblem } from './hostname.ts';
import { testSettings } from '../testing/mesh-from-yaml.ts';
import { validateServiceEntry } from './service-entry.ts';
import { validateWorkloadEntry } from './workload-entry.ts';

interface Want {
  readonly errors?: readonly string[];
  readonly warnings?: readonly string[];
}

const entry = (spec: string, labels = {}): ServiceEntry => ({
  metadata: { namespace: 'shop', name: 'e', labels },
  spec: parse(spec) as NonNullable<ServiceEntry['spec']>,
});

const findingsOf = (kind: string, spec: object) =>
  findingsFor({ metadata: { namespace: 'shop', name: 'e' }, spec }, kind, testSettings);

describe('entries that must not get in', () => {
  test.each(Object.entries(REFUSED_ENTRIES))('%s', (_, { kind, spec, webhook }) => {
    expect(findingsOf(kind, spec).errors).toContain(webhook);
  });
  test.each(Object.entries(ACCEPTED_ENTRIES))('but %s is fine', (_, { kind, spec }) => {
    expect(findingsOf(kind, spec)).toMatchObject({ errors: [], refusals: [], warnings: [] });
  });
});

describe('validateServiceEntry', () => {
  const http = 'ports: [{number: 80, name: http, protocol: HTTP}]';
  const cases: Record<string, { of: string; labels?: Record<string, string> } & Want> = {
    'static endpoints': {
      of: `{hosts: [a.example.com], ${http}, resolution: STATIC, endpoints: [{address: 192.0.2.1, ports: {http: 8080}}]}`,
    },
    'a wildcard, resolved by a waypoint': {
      of: `{hosts: ["*.example.com", "*-x.example.com"], ${http}, resolution: DYNAMIC_DNS, location: MESH_EXTERNAL}`,
      labels: { 'istio.io/use-waypoint': 'egress' },
    },
    'blocks of addresses that pass through': {
      of: '{hosts: [a.example.com, b.example.com], addresses: [192.0.2.0/24, "fd00::/8", 192.0.2.1], ports: [{number: 1, name: tcp}]}',
    },
    'no form at all': {
      of: '{hosts: x, ports: [{number: 0, name: 1}, {}], more: 1, endpoints: [{weight: -1, ports: {http: 65536}}]}',
      errors: [
        'spec.hosts: must be a list',
        'spec.ports[0].number: must be at least 1',
        'spec.ports[0].name: must be text',
        'spec.ports[1].number: is required',
        'spec.ports[1].name: is required',
        'spec.more: is not a known field',
        'spec.endpoints[0].weight: must be at least 0',
        'spec.endpoints[0].ports.http: must be at most 65535',
      ],
    },
    'no hosts': { of: '{hosts: []}', errors: ['spec.hosts: must have at least 1 items'] },
    'an unknown resolution': {
      of: '{hosts: [a.example.com], resolution: SRV}',
      errors: ['spec.resolution: must be one of NONE, STATIC, DNS, DNS_ROUND_ROBIN, DYNAMIC_DNS'],
    },
    'hosts that are no names': {
      of: '{hosts: ["*", "a..b", "*.*.com", 10.0.0.1, ""]}',
      errors: [
        'spec.hosts[0]: must not be * alone',
        'spec.hosts[1]: "a..b" is not a DNS name: ""',
        'spec.hosts[2]: "*.*.com" is not a DNS name: "*"',
        'spec.hosts[3]: "10.0.0.1" is not a DNS name: its last label is a number',
        'spec.hosts[4]: must not be empty',
      ],
    },
    'a label that begins with a wildcard': {
      of: '{hosts: ["*x.example.com"]}',
      warnings: ['spec.hosts[0]: a label that only begins with * matches nothing'],
    },
    'addresses that are none': {
      of: '{hosts: [a.example.com], addresses: [x, 10.0.0.0/33]}',
      errors: [
        'spec.addresses[0]: "x" is not an IP address or a CIDR block',
        'spec.addresses[1]: "10.0.0.0/33" is not an IP address or a CIDR block',
      ],
    },
    'a block of addresses to resolve for': {
      of: `{hosts: [a.example.com], addresses: [10.0.0.0/8], ${http}, resolution: DNS}`,
      errors: ['spec.addresses[0]: a CIDR block needs resolution NONE or STATIC'],
    },
    'ports twice, unknown protocols, names': {
      of: '{hosts: [a.example.com], ports: [{number: 1, name: a, protocol: HTTP}, {number: 1, name: a, protocol: SCTP}, {number: 2, name: a_b, protocol: TLS}]}',
      errors: [
        'spec.ports[1].name: "a" is there already',
        'spec.ports[1].number: 1 is there already',
        'spec.ports[1].protocol: "SCTP" is not a protocol',
        'spec.ports[2].name: "a_b" is not a name of a port',
      ],
    },
    'plain connections without addresses': {
      of: '{hosts: [a.example.com], ports: [{number: 1, name: a}], resolution: STATIC, endpoints: [{address: 192.0.2.1}]}',
      labels: { 'networking.istio.io/enable-autoallocate-ip': 'false' },
      warnings: ['spec.ports[0]: without addresses nothing tells its connections from others'],
    },
    'a selector and endpoints': {
      of: `{hosts: [a.example.com], ${http}, resolution: STATIC, endpoints: [{address: 192.0.2.1}], workloadSelector: {labels: {a: "*"}}}`,
      errors: [
        'spec: only one of workloadSelector and endpoints may be set',
        'spec.workloadSelector.labels.a: wildcards are not supported',
      ],
    },
    'a selector without labels': {
      of: `{hosts: [a.example.com], ${http}, resolution: STATIC, workloadSelector: {}}`,
      warnings: ['spec.workloadSelector: has no labels, so it selects nothing'],
    },
    'endpoints of static entries': {
      of: `{hosts: [a.example.com], ${http}, resolution: STATIC, endpoints: [{address: a.example.com}, {}, {address: 192.0.2.1, ports: {admin: 1, a_b: 2}, labels: {"a b": c, d: "e f"}}, {network: n}, {address: "unix:relative"}, {address: "unix:///folder/", ports: {http: 1}}, {address: "unix:///socket"}]}`,
      errors: [
        'spec.endpoints[0].address: "a.example.com" is not an IP address',
        'spec.endpoints[1].address: is required',
        'spec.endpoints[2].ports.admin: is not a port of the ServiceEntry',
        'spec.endpoints[2].ports: "a_b" is not a name of a port',
        'spec.endpoints[2].labels: "a b" is not the name of a label',
        'spec.endpoints[2].labels.d: "e f" is not the value of a label',
        'spec.endpoints[4].address: "unix:relative" is not an IP address',
        'spec.endpoints[5].address: a Unix socket is not a folder',
        'spec.endpoints[5].ports: a Unix socket has no ports',
      ],
      warnings: [
        'spec.endpoints[3].address: is empty: nothing is sent to it before network n has a gateway',
        'spec.endpoints[6].address: ztunnel does not connect to Unix sockets: the endpoint has no effect',
      ],
    },
    'endpoints that are resolved': {
      of: `{hosts: ["*.example.com"], ${http}, resolution: DNS, endpoints: [{address: a.example.com}, {address: 192.0.2.1}, {address: "no name"}, {network: n}]}`,
      errors: [
        'spec.endpoints[2].address: "no name" is neither an IP address nor a DNS name',
        'spec.endpoints[3].address: is required',
      ],
    },
    'a wildcard that cannot be resolved': {
      of: `{hosts: ["*.example.com"], ${http}, resolution: DNS}`,
      errors: ['spec.hosts[0]: "*.example.com" cannot be resolved: without endpoints it must be a full name'],
    },
    'several endpoints, one to be taken': {
      of: `{hosts: [a.example.com], ${http}, resolution: DNS_ROUND_ROBIN, endpoints: [{address: a.example.com}, {address: b.example.com}]}`,
      errors: ['spec.endpoints: must be at most one with resolution DNS_ROUND_ROBIN'],
    },
    'endpoints of what passes through': {
      of: `{hosts: [a.example.com], ${http}, endpoints: [{address: 192.0.2.1}]}`,
      errors: ['spec.endpoints: must be empty with resolution NONE'],
    },
    'what a waypoint resolves': {
      of: '{hosts: [a.example.com], addresses: [192.0.2.1], ports: [{number: 1, name: a, protocol: TCP}], resolution: DYNAMIC_DNS, location: MESH_INTERNAL, endpoints: [{address: a.example.com}]}',
      labels: { 'istio.io/use-waypoint': 'egress' },
      errors: [
        'spec.hosts[0]: must begin with * with resolution DYNAMIC_DNS',
        'spec.addresses: must be empty with resolution DYNAMIC_DNS',
        'spec.endpoints: must be empty with resolution DYNAMIC_DNS',
        'spec.ports[0].protocol: must be HTTP, HTTP2, GRPC or TLS with resolution DYNAMIC_DNS',
        'spec.location: must be MESH_EXTERNAL with resolution DYNAMIC_DNS and a waypoint',
      ],
    },
    'several hosts and a plain port': {
      of: '{hosts: [a.example.com, b.example.com], ports: [{number: 1, name: a, protocol: https}, {number: 2, name: b, protocol: TCP}], resolution: DNS}',
      errors: ['spec.ports[1].protocol: must be HTTP or TLS, as there are several hosts'],
    },
    'an export': {
      of: `{hosts: [a.example.com], ${http}, exportTo: ["."]}`,
      warnings: ['spec.exportTo: has no effect in ambient mode; see meshConfig.serviceEntryVisibility'],
    },
  };
  test.each(Object.entries(cases))('%s', (_, { of, labels, errors = [], warnings = [] }) => {
    const found = validateServiceEntry(entry(of, labels), { ipAutoallocate: true });
    expect({ errors: [...found.errors], warnings: [...found.warnings] }).toEqual({ errors, warnings });
  });
});

describe('validateWorkloadEntry', () => {
  const cases: Record<string, { of: string } & Want> = {
    'an address': { of: '{address: 192.0.2.1, ports: {http: 80}, locality: a/b/c, weight: 1}' },
    'a hostname': { of: '{address: vm.example.com.}' },
    nothing: { of: '{}', errors: ['spec.address: is required'] },
    'a network alone': {
      of: '{network: n}',
      warnings: ['spec.address: is empty: nothing is sent to it before network n has a gateway'],
    },
    'a socket': {
      of: '{address: "unix://@abstract"}',
      warnings: ['spec.address: ztunnel does not connect to Unix sockets: the endpoint has no effect'],
    },
    'a relative socket': {
      of: '{address: "unix://run/socket"}',
      errors: ['spec.address: a Unix socket is an absolute path, or begins with @'],
    },
    'no name': {
      of: '{address: "*.example.com"}',
      errors: ['spec.address: "*.example.com" is neither an IP address nor a DNS name'],
    },
    'no form': { of: '[]', errors: ['spec: must be an object'] },
  };
  test.each(Object.entries(cases))('%s', (_, { of, errors = [], warnings = [] }) => {
    const spec = parse(of) as NonNullable<WorkloadEntry['spec']>;
    const found = validateWorkloadEntry({ metadata: { name: 'vm' }, spec });
    expect({ errors: [...found.errors], warnings: [...found.warnings] }).toEqual({ errors, warnings });
  });
});

describe('DNS names', () => {
  test.each([
    ['a', true],
    ['A-1.example.com.', true],
    ['x'.repeat(63), true],
    ['x'.repeat(64), false],
    [`${'x'.repeat(63)}.`.repeat(4), false],
    ['-a.example.com', false],
    ['a-.example.com', false],
    ['a_b.example.com', false],
    ['.', false],
  ])('%s: %p', (name, fine) => {
    expect([hostnameProblem(name) === undefined, wildcardHostnameProblem(name) === undefined]).toEqual([
      fine,
      fine,
    ]);
  });
});
