/**
 * `ServiceEntry` of networking.istio.io: hosts that are no Kubernetes Services, and where they are.
 *
 * The rules in CEL say of the whole entry what its resolution asks of hosts, addresses and endpoints. What compares each
 * endpoint with each port is beyond what the API server affords, and is the webhook's.
 */
import { statusWithConditions, strings } from './common.ts';
import { list, map, object, oneOf, type StructuralSchema, text, withRules } from './openapi.ts';
import { ADDRESS, DNS_LABEL, endpoint, portNumber } from './workload-entry.ts';

const RESOLUTIONS = ['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'] as const;
const MAX_HOSTNAME_CHARS = 255;
/** The longest form of an IPv6 address, with a prefix length. */
const MAX_BLOCK_CHARS = 64;

/** As Istio knows them, in any case. */
const PROTOCOLS = '(?i)^(http|http2|https|grpc|grpc-web|http_proxy|tls|tcp|udp|mongo|redis|mysql)?$';
/** Their connections say which of several hosts they are for. */
const TOLD_APART = '(?i)^(http|http2|http_proxy|grpc|grpc-web|https|tls)$';

const port = object(
  {
    number: portNumber('The port that clients use.'),
    name: text('Unique in the entry; endpoints name their ports by it.', {
      maxLength: 256,
      pattern: `^${DNS_LABEL}$`,
    }),
    protocol: text('HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP, TLS or others. Default: found out.', {
      maxLength: 256,
    }),
    targetPort: portNumber('The port of endpoints that say nothing else. Default: number.'),
  },
  { required: ['number', 'name'] },
);

const hosts = withRules(
  {
    ...list(
      text(undefined, { maxLength: MAX_HOSTNAME_CHARS }),
      'Names that clients use; the first label may be *.',
    ),
    minItems: 1,
    maxItems: 256,
  },
  {
    rule: `self.all(host, host.matches('^([*][-.]?)?${DNS_LABEL}([.]${DNS_LABEL})*[.]?$'))`,
    message: 'hosts: must be DNS names; the first label may be *, which cannot stand alone',
  },
  {
    rule: "self.all(host, !host.matches('(^|[.])[0-9]+[.]?$'))",
    message: 'hosts: must be DNS names: the last label of one is a number',
  },
);

const ports = withRules(
  {
    ...list(port, 'Ports that clients use.'),
    maxItems: 256,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['name'],
  },
  {
    rule: 'self.all(one, self.exists_one(other, other.number == one.number))',
    message: 'ports: a number is there twice',
  },
  {
    rule: `self.all(one, !has(one.protocol) || one.protocol.matches('${PROTOCOLS}'))`,
    message: 'ports: a protocol is none that is known',
  },
);

const workloadSelector = object(
  {
    labels: withRules(map(text(undefined, { maxLength: 63 }), undefined, { maxProperties: 256 }), {
      rule: "self.all(key, key != '' && !key.contains('*') && !self[key].contains('*'))",
      message: 'labels: keys must not be empty, and wildcards are not supported',
    }),
  },
  { description: 'Instead of endpoints: pods and WorkloadEntries of the namespace with these labels.' },
);

const RESOLUTION = "(has(self.resolution) ? self.resolution : 'NONE')";
const ENDPOINTS = '(has(self.endpoints) ? self.endpoints.size() : 0)';

export const serviceEntrySpec = withRules(
  object(
    {
      hosts,
      addresses: {
        ...list(
          text(undefined, { maxLength: MAX_BLOCK_CHARS, pattern: '^[0-9a-fA-F:.]+(/[0-9]{1,3})?$' }),
          'IP addresses that clients use, or CIDR blocks of them.',
        ),
        maxItems: 256,
      },
      ports,
      location: oneOf(['MESH_EXTERNAL', 'MESH_INTERNAL'], 'Whether the endpoints are part of the mesh.'),
      resolution: oneOf(
        RESOLUTIONS,
        'NONE: where the client wanted to go. STATIC: the endpoints. DNS, DNS_ROUND_ROBIN: resolved. DYNAMIC_DNS: by a waypoint.',
      ),
      endpoints: { ...list(endpoint, 'Where the hosts are.'), maxItems: 4096 },
      workloadSelector,
      exportTo: strings('Has no effect in ambient mode.'),
      subjectAltNames: strings('Identities that endpoints may prove besides their own.'),
    },
    { required: ['hosts'] },
  ),
  {
    rule: '!has(self.workloadSelector) || !has(self.endpoints)',
    message: 'only one of workloadSelector and endpoints may be set',
  },
  {
    rule: `${RESOLUTION} in ['NONE', 'STATIC'] || !has(self.addresses) || self.addresses.all(one, !one.contains('/'))`,
    message: 'addresses: a CIDR block needs resolution NONE or STATIC',
    fieldPath: '.addresses',
  },
  {
    rule: `!(${RESOLUTION} in ['NONE', 'DYNAMIC_DNS']) || ${ENDPOINTS} == 0`,
    message: 'endpoints: must be empty with resolution NONE or DYNAMIC_DNS',
    fieldPath: '.endpoints',
  },
  {
    rule: `${RESOLUTION} != 'DNS_ROUND_ROBIN' || ${ENDPOINTS} <= 1`,
    message: 'endpoints: must be at most one with resolution DNS_ROUND_ROBIN',
    fieldPath: '.endpoints',
  },
  {
    rule: `${RESOLUTION} == 'NONE' || !has(self.endpoints) || self.endpoints.all(one, (has(one.address) && one.address != '') || (${RESOLUTION} == 'STATIC' && has(one.network) && one.network != ''))`,
    message: 'endpoints: an address is required',
    fieldPath: '.endpoints',
  },
  {
    rule: `${RESOLUTION} != 'STATIC' || !has(self.endpoints) || self.endpoints.all(one, !has(one.address) || one.address == '' || one.address.startsWith('unix://') || one.address.matches('${ADDRESS}'))`,
    message: 'endpoints: an address is not an IP address, as resolution STATIC needs',
    fieldPath: '.endpoints',
  },
  {
    rule: `!(${RESOLUTION} in ['DNS', 'DNS_ROUND_ROBIN']) || ${ENDPOINTS} > 0 || self.hosts.all(host, !host.startsWith('*'))`,
    message: 'hosts: one with * cannot be resolved: without endpoints it must be a full name',
    fieldPath: '.hosts',
  },
  {
    rule: `${RESOLUTION} != 'DYNAMIC_DNS' || self.hosts.all(host, host.startsWith('*'))`,
    message: 'hosts: must begin with * with resolution DYNAMIC_DNS',
    fieldPath: '.hosts',
  },
  {
    rule: `${RESOLUTION} != 'DYNAMIC_DNS' || !has(self.addresses) || self.addresses.size() == 0`,
    message: 'addresses: must be empty with resolution DYNAMIC_DNS',
    fieldPath: '.addresses',
  },
  {
    rule: `${RESOLUTION} != 'DYNAMIC_DNS' || !has(self.ports) || self.ports.all(one, has(one.protocol) && one.protocol.matches('(?i)^(http|http2|grpc|tls)$'))`,
    message: 'ports: must be HTTP, HTTP2, GRPC or TLS with resolution DYNAMIC_DNS',
    fieldPath: '.ports',
  },
  {
    rule: `self.hosts.size() <= 1 || ${RESOLUTION} == 'NONE' || !has(self.ports) || self.ports.all(one, has(one.protocol) && one.protocol.matches('${TOLD_APART}'))`,
    message: 'ports: must be HTTP or TLS, as there are several hosts',
    fieldPath: '.ports',
  },
);

export const serviceEntryStatus: StructuralSchema = {
  ...statusWithConditions,
  properties: {
    ...statusWithConditions.properties,
    addresses: list(
      object({
        value: text('The address.'),
        host: text('The host that it was allotted to.'),
      }),
      'Addresses that were allotted to hosts, because the entry names none.',
    ),
  },
};
