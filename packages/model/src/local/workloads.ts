/** One entry of `workloads` in a local file. */
import { serviceKey, splitServiceKey } from '../address.ts';
import { internWorkload, portMap } from '../decode/share.ts';
import type { Interner } from '../intern.ts';
import {
  type ApplicationTunnel,
  formatIdentity,
  type Locality,
  type Membership,
  type Workload,
} from '../workload.ts';
import { readGateway, readIp, readPorts, readText, required } from './values.ts';
import type { YamlReader } from './yaml-reader.ts';

const KEYS = [
  'workloadIps',
  'namespace',
  'services',
  'uid',
  'name',
  'protocol',
  'networkMode',
  'network',
  'serviceAccount',
  'trustDomain',
  'clusterId',
  'workloadName',
  'workloadType',
  'canonicalName',
  'canonicalRevision',
  'hostname',
  'node',
  'nativeTunnel',
  'applicationTunnel',
  'waypoint',
  'networkGateway',
  'authorizationPolicies',
  'status',
  'capacity',
  'locality',
];

export function readWorkload(item: YamlReader, interner: Interner): Workload {
  const fields = item.fields(KEYS);
  const namespace = required(fields, 'namespace', item).text();
  const trustDomain = readText(fields, 'trustDomain');
  const serviceAccount = readText(fields, 'serviceAccount');
  const policies = fields.get('authorizationPolicies')?.list() ?? [];
  return internWorkload(interner, {
    uid: readText(fields, 'uid'),
    name: readText(fields, 'name'),
    namespace,
    addresses: required(fields, 'workloadIps', item).list().map(readIp),
    network: readText(fields, 'network'),
    protocol: fields.get('protocol')?.oneOf(['TCP', 'HBONE']) ?? 'TCP',
    networkMode: fields.get('networkMode')?.oneOf(['Standard', 'HostNetwork']) ?? 'Standard',
    trustDomain,
    serviceAccount,
    identity: formatIdentity({ trustDomain, namespace, serviceAccount }),
    waypoint: readGateway(fields.get('waypoint')),
    networkGateway: readGateway(fields.get('networkGateway')),
    node: readText(fields, 'node'),
    canonicalName: readText(fields, 'canonicalName'),
    canonicalRevision: readText(fields, 'canonicalRevision'),
    workloadType: readText(fields, 'workloadType'),
    workloadName: readText(fields, 'workloadName'),
    nativeTunnel: fields.get('nativeTunnel')?.flag() ?? false,
    authorizationPolicies: policies.map((policy) => policy.text()),
    status: fields.get('status')?.oneOf(['Healthy', 'Unhealthy']) ?? 'Healthy',
    clusterId: readText(fields, 'clusterId'),
    hostname: readText(fields, 'hostname'),
    services: required(fields, 'services', item)
      .entries()
      .map(([key, ports]) => readMembership(key, ports, interner)),
    applicationTunnel: readTunnel(fields.get('applicationTunnel')),
    locality: readLocality(fields.get('locality')),
    capacity: fields.get('capacity')?.integer(0xffff_ffff) ?? 1,
  });
}

function readMembership(key: string, ports: YamlReader, interner: Interner): Membership {
  const parts = splitServiceKey(key) ?? ports.fail(`${key} is not namespace/hostname`);
  return {
    service: serviceKey(parts.namespace, parts.hostname),
    ports: portMap(interner, [...readPorts(ports)]),
  };
}

function readTunnel(item: YamlReader | undefined): ApplicationTunnel | undefined {
  if (item === undefined) return undefined;
  const fields = item.fields(['protocol', 'port']);
  return {
    protocol: required(fields, 'protocol', item).oneOf(['NONE', 'PROXY']),
    port: fields.get('port')?.integer(65_535),
  };
}

function readLocality(item: YamlReader | undefined): Locality {
  if (item === undefined) return { region: '', zone: '', subzone: '' };
  const fields = item.fields();
  return {
    region: required(fields, 'region', item).text(),
    zone: required(fields, 'zone', item).text(),
    subzone: required(fields, 'subzone', item).text(),
  };
}
