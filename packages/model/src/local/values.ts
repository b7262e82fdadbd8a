/** The parts that workloads and services of a local file share: ports, addresses and gateways. */
import { parseIp } from '@ambit/core/ip';
import { type GatewayAddress, type NetworkAddress, serviceKey, splitServiceKey } from '../address.ts';
import type { PortMap } from '../workload.ts';
import type { YamlReader } from './yaml-reader.ts';

export type Fields = ReadonlyMap<string, YamlReader>;

export function required(fields: Fields, name: string, owner: YamlReader): YamlReader {
  return fields.get(name) ?? owner.fail(`missing field \`${name}\``);
}

export function readText(fields: Fields, name: string): string {
  return fields.get(name)?.text() ?? '';
}

export function readPorts(item: YamlReader): PortMap {
  return new Map(
    item.entries().map(([key, value]) => {
      const port = Number(key);
      if (!/^[0-9]{1,5}$/.test(key) || port > 65_535) return value.fail(`${key} is not a port`);
      return [port, value.integer(65_535)] as const;
    }),
  );
}

/** `network/IP`; the default network has an empty name. */
export function parseNetworkAddress(text: string): NetworkAddress | undefined {
  const slash = text.indexOf('/');
  const ip = slash < 0 ? undefined : parseIp(text.slice(slash + 1));
  return ip === undefined ? undefined : { network: text.slice(0, slash), ip };
}

export function readIp(item: YamlReader): string {
  const text = item.text();
  return parseIp(text) ?? item.fail(`${text} is not an IP address`);
}

/** A destination is an address if it can be read as one, else `namespace/hostname`. */
export function readGateway(item: YamlReader | undefined): GatewayAddress | undefined {
  if (item === undefined) return undefined;
  const fields = item.fields(['destination', 'hboneMtlsPort']);
  const destination = required(fields, 'destination', item);
  const hboneMtlsPort = required(fields, 'hboneMtlsPort', item).integer(65_535);
  const text = destination.text();
  const address = parseNetworkAddress(text);
  if (address) return { destination: { kind: 'address', address }, hboneMtlsPort };
  const parts =
    splitServiceKey(text) ?? destination.fail(`${text} is neither network/IP nor namespace/hostname`);
  const service = serviceKey(parts.namespace, parts.hostname);
  return { destination: { kind: 'hostname', service }, hboneMtlsPort };
}
