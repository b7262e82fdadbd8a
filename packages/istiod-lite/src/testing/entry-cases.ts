/**
 * ServiceEntries and WorkloadEntries that must not get into a cluster, and what refuses them: as policy-cases.ts, one
 * table for the webhook's test and for that of the definitions at a real API server.
 */

export interface EntryCase {
  readonly kind: 'ServiceEntry' | 'WorkloadEntry';
  readonly spec: object;
  /** What our validation says, the whole of it or one of several. */
  readonly webhook: string;
  /** What stands in the API server's refusal, which comes first; absent: it has no rule for this. */
  readonly definition?: string;
}

const HTTP = { number: 80, name: 'http', protocol: 'HTTP' };
const TCP = { number: 90, name: 'tcp', protocol: 'TCP' };
const at = (address: string, more: object = {}) => ({ address, ...more });

const service = (spec: object, webhook: string, definition?: string): EntryCase => ({
  kind: 'ServiceEntry',
  spec: { hosts: ['a.example.com'], ports: [HTTP], ...spec },
  webhook,
  ...(definition !== undefined && { definition }),
});
const machine = (spec: object, webhook: string, definition?: string): EntryCase => ({
  ...service({}, webhook, definition),
  kind: 'WorkloadEntry',
  spec,
});
const fixed = (...endpoints: readonly object[]) => ({ resolution: 'STATIC', endpoints });

export const REFUSED_ENTRIES: Readonly<Record<string, EntryCase>> = {
  'no hosts': service(
    { hosts: [] },
    'spec.hosts: must have at least 1 items',
    'spec.hosts in body should have at least 1 items',
  ),
  'a host that is no name': service(
    { hosts: ['a.example.com', 'a..b'] },
    'spec.hosts[1]: "a..b" is not a DNS name: ""',
    'hosts: must be DNS names; the first label may be *, which cannot stand alone',
  ),
  'every host of all': service(
    { hosts: ['*'] },
    'spec.hosts[0]: must not be * alone',
    'hosts: must be DNS names; the first label may be *, which cannot stand alone',
  ),
  'a wildcard in the middle': service(
    { hosts: ['a.*.com'] },
    'spec.hosts[0]: "a.*.com" is not a DNS name: "*"',
    'hosts: must be DNS names; the first label may be *, which cannot stand alone',
  ),
  'an address as a host': service(
    { hosts: ['10.0.0.1'] },
    'spec.hosts[0]: "10.0.0.1" is not a DNS name: its last label is a number',
    'hosts: must be DNS names: the last label of one is a number',
  ),
  'a name as an address': service(
    { addresses: ['a.example.com'] },
    'spec.addresses[0]: "a.example.com" is not an IP address or a CIDR block',
    'spec.addresses[0]',
  ),
  'an address with a number too many': service(
    { addresses: ['10.0.0.256'] },
    'spec.addresses[0]: "10.0.0.256" is not an IP address or a CIDR block',
  ),
  'a block to resolve for': service(
    { addresses: ['10.0.0.0/8'], resolution: 'DNS' },
    'spec.addresses[0]: a CIDR block needs resolution NONE or STATIC',
    'addresses: a CIDR block needs resolution NONE or STATIC',
  ),
  'a port twice': service(
    { ports: [HTTP, { ...HTTP, name: 'again' }] },
    'spec.ports[1].number: 80 is there already',
    'ports: a number is there twice',
  ),
  'a name of a port that is none': service(
    { ports: [{ ...HTTP, name: 'a_b' }] },
    'spec.ports[0].name: "a_b" is not a name of a port',
    'spec.ports[0].name',
  ),
  'a protocol that is none': service(
    { ports: [{ ...HTTP, protocol: 'SCTP' }] },
    'spec.ports[0].protocol: "SCTP" is not a protocol',
    'ports: a protocol is none that is known',
  ),
  'a selector and endpoints': service(
    { ...fixed(at('192.0.2.1')), workloadSelector: { labels: { a: 'b' } } },
    'spec: only one of workloadSelector and endpoints may be set',
    'only one of workloadSelector and endpoints may be set',
  ),
  'a wildcard in the selector of an entry': service(
    { resolution: 'STATIC', workloadSelector: { labels: { a: 'b*' } } },
    'spec.workloadSelector.labels.a: wildcards are not supported',
    'labels: keys must not be empty, and wildcards are not supported',
  ),
  'endpoints of what passes through': service(
    { endpoints: [at('192.0.2.1')] },
    'spec.endpoints: must be empty with resolution NONE',
    'endpoints: must be empty with resolution NONE or DYNAMIC_DNS',
  ),
  'endpoints of what a waypoint resolves': service(
    { hosts: ['*.example.com'], resolution: 'DYNAMIC_DNS', endpoints: [at('192.0.2.1')] },
    'spec.endpoints: must be empty with resolution DYNAMIC_DNS',
    'endpoints: must be empty with resolution NONE or DYNAMIC_DNS',
  ),
  'several endpoints, one to be taken': service(
    { resolution: 'DNS_ROUND_ROBIN', endpoints: [at('a.example.com'), at('b.example.com')] },
    'spec.endpoints: must be at most one with resolution DNS_ROUND_ROBIN',
    'endpoints: must be at most one with resolution DNS_ROUND_ROBIN',
  ),
  'an endpoint that is nowhere': service(
    fixed(at('192.0.2.1'), { weight: 1 }),
    'spec.endpoints[1].address: is required',
    'endpoints: an address is required',
  ),
  'an endpoint to resolve that only has a network': service(
    { resolution: 'DNS', endpoints: [{ network: 'n' }] },
    'spec.endpoints[0].address: is required',
    'endpoints: an address is required',
  ),
  'a name where addresses are fixed': service(
    fixed(at('a.example.com')),
    'spec.endpoints[0].address: "a.example.com" is not an IP address',
    'endpoints: an address is not an IP address, as resolution STATIC needs',
  ),
  'a port that the entry has not': service(
    fixed(at('192.0.2.1', { ports: { admin: 1 } })),
    'spec.endpoints[0].ports.admin: is not a port of the ServiceEntry',
  ),
  'a folder as a socket': service(
    fixed(at('unix:///run/')),
    'spec.endpoints[0].address: a Unix socket is not a folder',
    'address: a Unix socket is not a folder',
  ),
  'a wildcard that cannot be resolved': service(
    { hosts: ['*.example.com'], resolution: 'DNS' },
    'spec.hosts[0]: "*.example.com" cannot be resolved: without endpoints it must be a full name',
    'hosts: one with * cannot be resolved: without endpoints it must be a full name',
  ),
  'a full name for a waypoint to resolve': service(
    { resolution: 'DYNAMIC_DNS' },
    'spec.hosts[0]: must begin with * with resolution DYNAMIC_DNS',
    'hosts: must begin with * with resolution DYNAMIC_DNS',
  ),
  'addresses of what a waypoint resolves': service(
    { hosts: ['*.example.com'], resolution: 'DYNAMIC_DNS', addresses: ['192.0.2.1'] },
    'spec.addresses: must be empty with resolution DYNAMIC_DNS',
    'addresses: must be empty with resolution DYNAMIC_DNS',
  ),
  'plain bytes for a waypoint to resolve': service(
    { hosts: ['*.example.com'], resolution: 'DYNAMIC_DNS', ports: [TCP] },
    'spec.ports[0].protocol: must be HTTP, HTTP2, GRPC or TLS with resolution DYNAMIC_DNS',
    'ports: must be HTTP, HTTP2, GRPC or TLS with resolution DYNAMIC_DNS',
  ),
  'several hosts behind a plain port': service(
    { hosts: ['a.example.com', 'b.example.com'], resolution: 'DNS', ports: [HTTP, TCP] },
    'spec.ports[1].protocol: must be HTTP or TLS, as there are several hosts',
    'ports: must be HTTP or TLS, as there are several hosts',
  ),
  'a machine that is nowhere': machine(
    { serviceAccount: 'a' },
    'spec.address: is required',
    'address: is required',
  ),
  'a machine without a name': machine(
    { address: 'no name' },
    'spec.address: "no name" is neither an IP address nor a DNS name',
    'address: is neither an IP address nor a DNS name',
  ),
  'a socket of a machine with ports': machine(
    { address: 'unix:///run/a', ports: { http: 80 } },
    'spec.ports: a Unix socket has no ports',
    'ports: a Unix socket has no ports',
  ),
  'a socket without a path': machine(
    { address: 'unix://run/a' },
    'spec.address: a Unix socket is an absolute path, or begins with @',
    'address: a Unix socket is an absolute path, or begins with @',
  ),
  'a label that is none': machine(
    { address: '192.0.2.1', labels: { a: 'b c' } },
    'spec.labels.a: "b c" is not the value of a label',
    'labels: a value is not the value of a label',
  ),
  'a label without a name': machine(
    { address: '192.0.2.1', labels: { 'a b': 'c' } },
    'spec.labels: "a b" is not the name of a label',
  ),
};

export const ACCEPTED_ENTRIES: Readonly<Record<string, Omit<EntryCase, 'webhook' | 'definition'>>> = {
  'hosts of every form': service(
    {
      hosts: ['a', 'a.example.com', 'A-1.b.', '*.example.com'],
      addresses: ['192.0.2.1', '192.0.2.0/24', 'fd00::1', 'fd00::/8'],
      ports: [TCP, { number: 1, name: 'a', protocol: 'grpc-Web', targetPort: 2 }],
    },
    '',
  ),
  'what is resolved': service({ resolution: 'DNS', addresses: ['192.0.2.1'] }, ''),
  'several hosts that TLS tells apart': service(
    {
      hosts: ['a.example.com', '*.b.example.com'],
      resolution: 'DNS',
      ports: [{ ...HTTP, protocol: 'https' }],
      endpoints: [at('a.example.com'), at('192.0.2.1')],
    },
    '',
  ),
  'what a waypoint resolves': service(
    { hosts: ['*.example.com'], resolution: 'DYNAMIC_DNS', ports: [{ ...HTTP, protocol: 'tls' }] },
    '',
  ),
  'endpoints of every form': service(
    fixed(at('192.0.2.1', { ports: { http: 1 }, labels: { a: 'b' } }), at('fd00::1', { weight: 0 })),
    '',
  ),
  'a machine by address': machine({ address: 'fd00::1', labels: { app: 'a', 'x/y': '' } }, ''),
  'a machine by name': machine({ address: 'a.example.com.', ports: { http: 1 } }, ''),
};
