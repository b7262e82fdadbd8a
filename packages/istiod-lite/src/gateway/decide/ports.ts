/** The ports of a waypoint's Service: one that says whether it is ready, and those of its listeners, as in Istio. Pure. */
import type { ServicePort } from '@ambit/kube/resources/core';
import type { GatewayListener } from '@ambit/kube/resources/gateway';

export const STATUS_PORT = 15_021;
const MAX_PORT_NAME_CHARS = 63;

export function servicePorts(listeners: readonly GatewayListener[]): readonly ServicePort[] {
  const ports: ServicePort[] = [
    { name: 'status-port', port: STATUS_PORT, protocol: 'TCP', appProtocol: 'tcp' },
  ];
  for (const { name: listener, port, protocol } of listeners) {
    if (ports.some((other) => other.port === port)) continue;
    const name = portName(listener);
    const taken = ports.some((other) => other.name === name);
    ports.push({
      name: taken ? `${shortened(name, MAX_PORT_NAME_CHARS - `-${port}`.length)}-${port}` : name,
      port,
      protocol: 'TCP',
      appProtocol: protocol.toLowerCase(),
    });
  }
  return ports;
}

/** A listener's name may be longer than a port's, and have dots in it. */
function portName(listener: string): string {
  return shortened(listener.replaceAll('.', '-'), MAX_PORT_NAME_CHARS);
}

/** A name does not end with a dash. */
function shortened(name: string, chars: number): string {
  return name.slice(0, chars).replace(/-+$/, '');
}
