/**
 * The objects of a large cluster, as its controllers and kubelets would leave them, but without any node behind them.
 *
 * Fake nodes bear no `kubernetes.io/os` label, so that no DaemonSet lands on them; fake Services are labelled as another
 * proxy's, so that kube-proxy leaves them alone. What a workload is told of depends on pods, services and namespaces; the
 * EndpointSlices are there because a real cluster has them and a control plane watches them.
 */
import type { EndpointSlice, Namespace, Node, Pod, Service } from '@ambit/kube/resources/core';

export interface Size {
  readonly pods: number;
  readonly services: number;
  readonly nodes: number;
  readonly namespaces: number;
}

/** What the figures of docs/operate/performance.md are measured with. */
export const FULL_SIZE: Size = { pods: 10_000, services: 1_000, nodes: 100, namespaces: 50 };

export const CLUSTER_ID = 'Kubernetes';
const PROXY_NAME_LABEL = 'service.kubernetes.io/service-proxy-name';
const TRUE = { status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' };

export function namespace(i: number): Namespace {
  const labels = { 'istio.io/dataplane-mode': 'ambient' };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name: `scale-${i}`, labels } };
}

export function node(i: number): Node {
  const labels = {
    'kubernetes.io/hostname': `fake-${i}`,
    'topology.kubernetes.io/region': 'region-1',
    'topology.kubernetes.io/zone': `zone-${i % 3}`,
  };
  return { apiVersion: 'v1', kind: 'Node', metadata: { name: `fake-${i}`, labels } };
}

/** A pod belongs to service `i % services`; services are spread over namespaces, pods over nodes. */
export function pod(i: number, size: Size): Pod {
  const service = i % size.services;
  const template = { 'pod-template-hash': '7c9d8f6b5' };
  const labels = { app: `app-${service}`, 'app.kubernetes.io/version': 'v0', ...template };
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `app-${service}-7c9d8f6b5` };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      namespace: namespaceOf(service, size),
      name: `app-${service}-7c9d8f6b5-${i}`,
      labels,
      annotations: { 'ambient.istio.io/redirection': 'enabled' },
      ownerReferences: [{ ...owner, uid: '00000000-0000-0000-0000-000000000000', controller: true }],
    },
    spec: {
      nodeName: `fake-${i % size.nodes}`,
      serviceAccountName: 'default',
      containers: [
        {
          name: 'app',
          image: 'example.invalid/app:v0',
          env: [
            { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
            { name: 'LOG_LEVEL', value: 'info' },
          ],
          ports: [{ name: 'http', containerPort: 8_080, protocol: 'TCP' }],
        },
      ],
    },
  };
}

export function podStatus(i: number): NonNullable<Pod['status']> {
  const ip = `10.${200 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
  const conditions = ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled'];
  return {
    phase: 'Running',
    podIP: ip,
    podIPs: [{ ip }],
    conditions: conditions.map((type) => ({ type, ...TRUE })),
  };
}

export function service(i: number, size: Size): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      namespace: namespaceOf(i, size),
      name: `app-${i}`,
      labels: { [PROXY_NAME_LABEL]: 'none', app: `app-${i}` },
    },
    spec: { selector: { app: `app-${i}` }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
  };
}

export function endpointSlice(i: number, size: Size): EndpointSlice {
  const members = Array.from(
    { length: Math.ceil((size.pods - i) / size.services) },
    (_, n) => i + n * size.services,
  );
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      namespace: namespaceOf(i, size),
      name: `app-${i}-slice`,
      labels: { 'kubernetes.io/service-name': `app-${i}` },
    },
    addressType: 'IPv4',
    endpoints: members.map((member) => {
      const { metadata, spec } = pod(member, size);
      const target = { kind: 'Pod', name: metadata.name, namespace: metadata.namespace ?? '' };
      return {
        addresses: [podStatus(member).podIP ?? ''],
        conditions: { ready: true, serving: true, terminating: false },
        nodeName: spec?.nodeName ?? '',
        targetRef: target,
      };
    }),
    ports: [{ name: 'http', port: 8_080, protocol: 'TCP' }],
  };
}

/** The name of a pod's resource on the wire. */
export function workloadName(i: number, size: Size): string {
  const { metadata } = pod(i, size);
  return `${CLUSTER_ID}//Pod/${metadata.namespace}/${metadata.name}`;
}

function namespaceOf(service: number, size: Size): string {
  return `scale-${service % size.namespaces}`;
}
