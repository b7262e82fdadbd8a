/**
 * The EndpointSlices that a Service should have: one per address family and set of resolved ports. Pure.
 *
 * As Kubernetes has it: pods of the namespace that the selector matches, that have an address and have not ended; `ready`
 * is the pod's Ready condition unless it is terminating; a named target port is looked up in each pod.
 */
import { familyOf } from '@ambit/core/ip';
import { selectsLabels } from '@ambit/kube/label-selector';
import type { Endpoint, EndpointSlice, Pod, Service } from '@ambit/kube/resources/core';

export const MANAGED_BY = 'ambit-lab';
const MANAGED_BY_LABEL = 'endpointslice.kubernetes.io/managed-by';
export const SERVICE_LABEL = 'kubernetes.io/service-name';

interface ResolvedPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
}

/** Ordered by name; none for a Service without a selector, whose slices are somebody else's. */
export function slicesFor(service: Service, pods: Iterable<Pod>): readonly EndpointSlice[] {
  const selector = service.spec?.selector;
  if (!selector || Object.keys(selector).length === 0 || service.spec?.type === 'ExternalName') return [];
  const groups = new Map<string, { family: 4 | 6; ports: readonly ResolvedPort[]; endpoints: Endpoint[] }>();
  for (const pod of podsOf(service, selector, pods)) {
    const ports = resolvePorts(service, pod);
    for (const { ip } of pod.status?.podIPs ?? []) {
      const family = familyOf(ip);
      const key = `${family} ${JSON.stringify(ports)}`;
      const group = groups.get(key) ?? { family, ports, endpoints: [] };
      groups.set(key, group);
      group.endpoints.push(endpointOf(service, pod, ip));
    }
  }
  const counts = { 4: 0, 6: 0 };
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { family, ports, endpoints }]) => {
      counts[family] += 1;
      return sliceOf(service, family, counts[family], ports, endpoints);
    });
}

function podsOf(service: Service, selector: Readonly<Record<string, string>>, pods: Iterable<Pod>): Pod[] {
  return [...pods]
    .filter(({ metadata, status }) => {
      const ended = status?.phase === 'Succeeded' || status?.phase === 'Failed';
      return (
        metadata.namespace === service.metadata.namespace &&
        !ended &&
        selectsLabels(selector, metadata.labels)
      );
    })
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

function resolvePorts(service: Service, pod: Pod): ResolvedPort[] {
  return (service.spec?.ports ?? []).flatMap(({ name = '', port, protocol = 'TCP', targetPort = port }) => {
    const number = typeof targetPort === 'number' ? targetPort : containerPort(pod, targetPort, protocol);
    return number === undefined ? [] : [{ name, port: number, protocol }];
  });
}

function containerPort(pod: Pod, name: string, wanted: string): number | undefined {
  const ports = (pod.spec?.containers ?? []).flatMap((container) => container.ports ?? []);
  return ports.find((port) => port.name === name && (port.protocol ?? 'TCP') === wanted)?.containerPort;
}

function endpointOf(service: Service, pod: Pod, ip: string): Endpoint {
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const serving =
    service.spec?.publishNotReadyAddresses === true ||
    (pod.status?.conditions ?? []).some(({ type, status }) => type === 'Ready' && status === 'True');
  return {
    addresses: [ip],
    conditions: { ready: serving && !terminating, serving, terminating },
    targetRef: { kind: 'Pod', name: pod.metadata.name, ...namespaceOf(pod) },
    ...(pod.spec?.nodeName !== undefined && { nodeName: pod.spec.nodeName }),
  };
}

function sliceOf(
  service: Service,
  family: 4 | 6,
  number: number,
  ports: readonly ResolvedPort[],
  endpoints: readonly Endpoint[],
): EndpointSlice {
  const { name, uid = '' } = service.metadata;
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${name}-ipv${family}${number === 1 ? '' : `-${number}`}`,
      ...namespaceOf(service),
      labels: { [SERVICE_LABEL]: name, [MANAGED_BY_LABEL]: MANAGED_BY },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Service', name, uid, controller: true }],
    },
    addressType: `IPv${family}`,
    endpoints,
    ports,
  };
}

function namespaceOf({ metadata: { namespace } }: Pod | Service): { namespace?: string } {
  return namespace === undefined ? {} : { namespace };
}
