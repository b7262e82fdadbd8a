/** The ports of a service as its endpoints see them, and which of its own ports an endpoint serves each on. Pure. */
import type { Port, PortList } from '@ambit/api/workload';
import { AppProtocol } from '@ambit/api/workload';
import type { ServicePort } from '@ambit/kube/resources/core';
import type { ServiceEntryPort } from '@ambit/kube/resources/networking';

export interface OfferedPort {
  readonly servicePort: number;
  readonly name: string;
  readonly protocol: string;
  /** 0: it has a name. */
  readonly targetPort: number;
  /** Name of the endpoint's port; empty: it has a number. */
  readonly targetPortName: string;
}

/** What an endpoint needs to know of a service that it belongs to. */
export interface OfferedService {
  /** `namespace/hostname`. */
  readonly key: string;
  /** A ServiceEntry has no names of target ports: its ports are known to endpoints by their own name. */
  readonly kind: 'Service' | 'ServiceEntry';
  readonly ports: readonly OfferedPort[];
}

export function portsOfService(ports: readonly ServicePort[]): readonly OfferedPort[] {
  return ports.map(({ port, name = '', protocol = 'TCP', targetPort = port }) => ({
    servicePort: port,
    name,
    protocol,
    targetPort: typeof targetPort === 'number' ? targetPort || port : 0,
    targetPortName: typeof targetPort === 'number' ? '' : targetPort,
  }));
}

export function portsOfServiceEntry(ports: readonly ServiceEntryPort[]): readonly OfferedPort[] {
  return ports.map(({ number, name, targetPort }) => ({
    servicePort: number,
    name,
    protocol: 'TCP',
    targetPort: targetPort || number,
    targetPortName: '',
  }));
}

/** Each service port on the endpoint's own; one whose name the endpoint does not have is left out. */
export function endpointPorts(
  ports: readonly OfferedPort[],
  targetOf: (port: OfferedPort) => number | undefined,
): PortList {
  return {
    ports: ports.flatMap((port): readonly Port[] => {
      const targetPort = targetOf(port);
      if (targetPort === undefined) return [];
      // What the port speaks stands at the service; here nobody reads it.
      return [{ servicePort: port.servicePort, targetPort, appProtocol: AppProtocol.UNKNOWN }];
    }),
  };
}

/** By key of the service, in an order that does not depend on who came first. */
export function membershipsOf<S extends OfferedService>(
  services: readonly S[],
  portsOf: (service: S) => PortList,
): Map<string, PortList> {
  const sorted = services.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  return new Map(sorted.map((service) => [service.key, portsOf(service)]));
}
