/** The lab's address plan: who has which address is arithmetic, so that nobody has to be asked. */

/** As many as the plan and a laptop bear. */
export const MAX_NODES = 16;

export const SERVICE_CIDR = '10.96.0.0/16';
export const DNS_SERVICE_IP = '10.96.0.10';
/** Where the API server listens, on the switch that joins the nodes. */
export const API_IP = '172.18.0.1';
export const API_IPV6 = 'fd00:172:18::1';

export interface NodeAddresses {
  readonly name: string;
  readonly ip: string;
  readonly ipv6: string;
  readonly podCidr: string;
  readonly podCidrIpv6: string;
  /** The node's own address in its pods' network: their gateway. */
  readonly podGateway: string;
  readonly podGatewayIpv6: string;
}

/** @param index - From 0. */
export function nodeAddresses(index: number): NodeAddresses {
  const number = index + 1;
  return {
    name: `node-${String.fromCharCode('a'.charCodeAt(0) + index)}`,
    ip: `172.18.0.${10 + number}`,
    ipv6: `fd00:172:18::${10 + number}`,
    podCidr: `10.244.${number}.0/24`,
    podCidrIpv6: `fd00:10:244:${number}::/64`,
    podGateway: `10.244.${number}.1`,
    podGatewayIpv6: `fd00:10:244:${number}::1`,
  };
}
