/** One entry of `services` in a local file, and the endpoints that it lists itself. */
import { parseCidr } from '@ambit/core/ip';
import { type NetworkAddress, type NetworkCidr, type ServiceKey, serviceKey } from '../address.ts';
import type { AppProtocol, LoadBalancer, Service, ServiceEndpoint, WeightedWaypoint } from '../service.ts';
import { parseNetworkAddress, readGateway, readPorts, required } from './values.ts';
import type { YamlReader } from './yaml-reader.ts';

const KEYS = [
  'name',
  'namespace',
  'hostname',
  'vips',
  'ports',
  'appProtocols',
  'cidrVips',
  'endpoints',
  'subjectAltNames',
  'waypoint',
  'weightedWaypoints',
  'loadBalancer',
  'ipFamilies',
  'canonical',
  'visibility',
];

export interface LocalService {
  readonly service: Service;
  readonly endpoints: readonly (ServiceEndpoint & { readonly service: ServiceKey })[];
}

export function readService(item: YamlReader): LocalService {
  const fields = item.fields(KEYS);
  const namespace = required(fields, 'namespace', item).text();
  const hostname = required(fields, 'hostname', item).text();
  if (hostname.includes('/') || namespace.includes('/'))
    item.fail('a hostname and a namespace hold no slash');
  const key = serviceKey(namespace, hostname);
  const service: Service = {
    key,
    name: required(fields, 'name', item).text(),
    namespace,
    hostname,
    vips: required(fields, 'vips', item).list().map(readVip),
    cidrVips: (fields.get('cidrVips')?.list() ?? []).map(readCidrVip),
    ports: readPorts(required(fields, 'ports', item)),
    appProtocols: readAppProtocols(fields.get('appProtocols')),
    subjectAltNames: (fields.get('subjectAltNames')?.list() ?? []).map((name) => name.text()),
    waypoint: readGateway(fields.get('waypoint')),
    weightedWaypoints: (fields.get('weightedWaypoints')?.list() ?? []).map(readWeighted),
    loadBalancer: readBalancer(fields.get('loadBalancer')),
    ipFamilies: fields.get('ipFamilies')?.oneOf(['IPv4', 'IPv6', 'Dual']),
    canonical: fields.get('canonical')?.flag() ?? false,
    visibility: fields.get('visibility')?.oneOf(['Public', 'Namespace']) ?? 'Public',
  };
  const endpoints = fields.get('endpoints')?.entries() ?? [];
  return {
    service,
    endpoints: endpoints.map(([, endpoint]) => ({ service: key, ...readEndpoint(endpoint) })),
  };
}

/** Our own addition: Istio's file has no protocols. */
function readAppProtocols(item: YamlReader | undefined): ReadonlyMap<number, AppProtocol> {
  return new Map(
    (item?.entries() ?? []).map(([port, protocol]) => [
      Number(port),
      protocol.oneOf(['HTTP11', 'HTTP2', 'GRPC', 'TCP', 'TLS']),
    ]),
  );
}

function readVip(item: YamlReader): NetworkAddress {
  const text = item.text();
  return parseNetworkAddress(text) ?? item.fail(`${text} is not network/IP (the default network: /10.0.0.1)`);
}

function readCidrVip(item: YamlReader): NetworkCidr {
  const fields = item.fields();
  const block = required(fields, 'cidr', item);
  const text = block.text();
  const cidr = text.includes('/') ? parseCidr(text) : undefined;
  return {
    network: required(fields, 'network', item).text(),
    cidr: cidr ?? block.fail(`${text} is not a CIDR block with its length`),
  };
}

function readWeighted(item: YamlReader): WeightedWaypoint {
  const fields = item.fields(['destination', 'weight']);
  const destination = required(fields, 'destination', item);
  return {
    destination: readGateway(destination) ?? destination.fail('expected a gateway address'),
    weight: required(fields, 'weight', item).integer(0xffff_ffff),
  };
}

function readBalancer(item: YamlReader | undefined): LoadBalancer | undefined {
  if (item === undefined) return undefined;
  const fields = item.fields(['routingPreferences', 'mode', 'healthPolicy']);
  return {
    routingPreferences: required(fields, 'routingPreferences', item)
      .list()
      .map((scope) => scope.oneOf(['Region', 'Zone', 'Subzone', 'Node', 'Cluster', 'Network'])),
    mode: required(fields, 'mode', item).oneOf(['Standard', 'Strict', 'Failover', 'Passthrough']),
    healthPolicy: required(fields, 'healthPolicy', item).oneOf(['OnlyHealthy', 'AllowAll']),
  };
}

function readEndpoint(item: YamlReader): ServiceEndpoint {
  const fields = item.fields(['workloadUid', 'port', 'status']);
  return {
    workloadUid: required(fields, 'workloadUid', item).text(),
    ports: readPorts(required(fields, 'port', item)),
    status: required(fields, 'status', item).oneOf(['Healthy', 'Unhealthy']),
  };
}
