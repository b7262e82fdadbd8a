/** `ServiceEntry` of networking.istio.io: hosts that are no Kubernetes Services, and where they are. */
import { statusWithConditions, strings } from './common.ts';
import { list, map, object, oneOf, type StructuralSchema, text } from './openapi.ts';
import { portNumber, workloadEntrySpec } from './workload-entry.ts';

const RESOLUTIONS = ['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'] as const;

const port = object(
  {
    number: portNumber('The port that clients use.'),
    name: text('Unique in the entry; endpoints name their ports by it.', { maxLength: 256 }),
    protocol: text('HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP, TLS or others. Default: found out.', {
      maxLength: 256,
    }),
    targetPort: portNumber('The port of endpoints that say nothing else. Default: number.'),
  },
  { required: ['number', 'name'] },
);

export const serviceEntrySpec = object(
  {
    hosts: {
      ...list(text(), 'Names that clients use; the first label may be *.'),
      minItems: 1,
      maxItems: 256,
    },
    addresses: {
      ...list(text(undefined, { maxLength: 64 }), 'IP addresses that clients use, or CIDR blocks of them.'),
      maxItems: 256,
    },
    ports: {
      ...list(port, 'Ports that clients use.'),
      maxItems: 256,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    },
    location: oneOf(['MESH_EXTERNAL', 'MESH_INTERNAL'], 'Whether the endpoints are part of the mesh.'),
    resolution: oneOf(
      RESOLUTIONS,
      'NONE: where the client wanted to go. STATIC: the endpoints. DNS, DNS_ROUND_ROBIN: resolved. DYNAMIC_DNS: by a waypoint.',
    ),
    endpoints: { ...list(workloadEntrySpec, 'Where the hosts are.'), maxItems: 4096 },
    workloadSelector: object(
      { labels: map(text(undefined, { maxLength: 63 }), undefined, { maxProperties: 256 }) },
      { description: 'Instead of endpoints: pods and WorkloadEntries of the namespace with these labels.' },
    ),
    exportTo: strings('Has no effect in ambient mode.'),
    subjectAltNames: strings('Identities that endpoints may prove besides their own.'),
  },
  { required: ['hosts'] },
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
