/**
 * nftables text that takes ClusterIPs to endpoints, as kube-proxy does: for traffic outside the mesh. Pure.
 *
 * One table, replaced as a whole in one transaction. A Service without a ready endpoint refuses at once.
 */
import { familyOf, parseIp } from '@ambit/core/ip';
import type { EndpointSlice, Service } from '@ambit/kube/resources/core';
import { SERVICE_CIDR } from '../network/addresses.ts';
import { SERVICE_LABEL } from './slices.ts';

const TABLE = 'lab-services';

interface Target {
  readonly ip: string;
  readonly port: number;
}

interface Rule {
  readonly clusterIp: string;
  readonly protocol: string;
  readonly port: number;
  readonly targets: readonly Target[];
}

export function renderServiceRules(services: Iterable<Service>, slices: Iterable<EndpointSlice>): string {
  const bySlices = Map.groupBy(
    slices,
    (slice) => `${slice.metadata.namespace}/${slice.metadata.labels?.[SERVICE_LABEL]}`,
  );
  const rules = [...services].flatMap((service) =>
    rulesFor(service, bySlices.get(`${service.metadata.namespace}/${service.metadata.name}`) ?? []),
  );
  const withTargets = rules.filter((rule) => rule.targets.length > 0);
  const addresses = new Set(withTargets.flatMap((rule) => rule.targets.map((target) => target.ip)));
  return [
    `table ip ${TABLE}`,
    `delete table ip ${TABLE}`,
    `table ip ${TABLE} {`,
    '  chain services {',
    ...withTargets.map((rule) => `    ${redirection(rule)}`),
    '  }',
    '  chain prerouting { type nat hook prerouting priority dstnat; jump services; }',
    '  chain output { type nat hook output priority -100; jump services; }',
    '  chain postrouting {',
    '    type nat hook postrouting priority srcnat;',
    // A pod that reaches itself through its Service must not see its own address as the source.
    ...[...addresses].map((ip) => `    ct status dnat ip saddr ${ip} ip daddr ${ip} masquerade`),
    '  }',
    '  chain refuse {',
    `    meta l4proto tcp ip daddr ${SERVICE_CIDR} reject with tcp reset`,
    `    ip daddr ${SERVICE_CIDR} reject`,
    '  }',
    '  chain forward { type filter hook forward priority 0; jump refuse; }',
    '  chain refuse-own { type filter hook output priority 0; jump refuse; }',
    '}',
    '',
  ].join('\n');
}

function rulesFor(service: Service, slices: readonly EndpointSlice[]): Rule[] {
  const { clusterIP = 'None', ports = [] } = service.spec ?? {};
  if (parseIp(clusterIP) === undefined || familyOf(clusterIP) !== 4) return [];
  return ports.map(({ name = '', port, protocol = 'TCP' }) => ({
    clusterIp: clusterIP,
    protocol: protocol.toLowerCase(),
    port,
    targets: slices
      .filter((slice) => slice.addressType === 'IPv4')
      .flatMap((slice) => readyTargets(slice, name, protocol)),
  }));
}

function readyTargets(slice: EndpointSlice, name: string, protocol: string): Target[] {
  const port = slice.ports?.find(
    (one) => (one.name ?? '') === name && (one.protocol ?? 'TCP') === protocol,
  )?.port;
  if (port === undefined) return [];
  return (slice.endpoints ?? [])
    .filter((endpoint) => endpoint.conditions?.ready !== false)
    .flatMap((endpoint) => endpoint.addresses)
    .filter((ip) => parseIp(ip) !== undefined && familyOf(ip) === 4)
    .map((ip) => ({ ip, port }));
}

function redirection({ clusterIp, protocol, port, targets }: Rule): string {
  const map = targets.map((target, index) => `${index} : ${target.ip} . ${target.port}`).join(', ');
  return `ip daddr ${clusterIp} ${protocol} dport ${port} dnat ip to numgen random mod ${targets.length} map { ${map} }`;
}
