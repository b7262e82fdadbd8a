/** The objects that a cluster begins with: its nodes, who may proxy, and DNS. Pure. */
import type { KubeObject } from '@ambit/kube/resource';
import type { Taint } from '@ambit/kube/resources/core';
import { type LocalSettings, nodeName } from './settings.ts';

export const COREDNS_IMAGE = 'ambit.local/coredns:1';
export const DNS_NAMESPACE = 'kube-system';
export const DNS_NAME = 'coredns';

const RBAC = 'rbac.authorization.k8s.io';
const DNS_LABELS = { 'k8s-app': 'kube-dns' };

/** Before its kubelet runs, with its addresses: kube-proxy starts earlier and would wait half a minute for them. */
export function nodeObject(
  { families }: LocalSettings,
  number: number,
  taints: readonly Taint[],
): KubeObject {
  const name = nodeName(number);
  const podCIDRs = families.map(({ nodePods }) => nodePods(number));
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' } },
    ...{ spec: { podCIDR: podCIDRs[0], podCIDRs, taints } },
  };
}

export function nodeStatus({ families }: LocalSettings, number: number): object {
  const internal = families.map(({ node }) => ({ type: 'InternalIP', address: node(number) }));
  return { status: { addresses: [...internal, { type: 'Hostname', address: nodeName(number) }] } };
}

export function baseObjects(settings: LocalSettings): readonly KubeObject[] {
  return [
    binding('ambit-kube-proxy', 'system:node-proxier', {
      apiGroup: RBAC,
      kind: 'User',
      name: 'system:kube-proxy',
    }),
    ...dnsObjects(settings),
  ];
}

function dnsObjects({ families }: LocalSettings): readonly KubeObject[] {
  const metadata = { name: DNS_NAME, namespace: DNS_NAMESPACE };
  const corefile = `.:53 {
    errors
    health :8080 {
        lameduck 1s
    }
    ready :8181
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }
    cache 5
    loadbalance
    reload
}
`;
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    {
      apiVersion: `${RBAC}/v1`,
      kind: 'ClusterRole',
      metadata: { name: 'ambit-coredns' },
      ...{
        rules: [
          {
            apiGroups: [''],
            resources: ['endpoints', 'services', 'pods', 'namespaces'],
            verbs: ['list', 'watch'],
          },
          { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
        ],
      },
    },
    binding('ambit-coredns', 'ambit-coredns', { kind: 'ServiceAccount', ...metadata }),
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, ...{ data: { Corefile: corefile } } },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'kube-dns', namespace: DNS_NAMESPACE, labels: DNS_LABELS },
      ...{
        spec: {
          clusterIP: families[0].dnsService,
          clusterIPs: families.map(({ dnsService }) => dnsService),
          ipFamilyPolicy: families.length > 1 ? 'RequireDualStack' : 'SingleStack',
          selector: DNS_LABELS,
          ports: [
            { name: 'dns', port: 53, protocol: 'UDP' },
            { name: 'dns-tcp', port: 53, protocol: 'TCP' },
          ],
        },
      },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      ...{ spec: { replicas: 1, selector: { matchLabels: DNS_LABELS }, template: dnsPod() } },
    },
  ];
}

function dnsPod(): object {
  return {
    metadata: { labels: DNS_LABELS },
    spec: {
      serviceAccountName: DNS_NAME,
      dnsPolicy: 'Default',
      priorityClassName: 'system-cluster-critical',
      terminationGracePeriodSeconds: 2,
      containers: [
        {
          name: DNS_NAME,
          image: COREDNS_IMAGE,
          imagePullPolicy: 'Never',
          args: ['-conf', '/etc/coredns/Corefile'],
          readinessProbe: { httpGet: { path: '/ready', port: 8181 }, periodSeconds: 1 },
          livenessProbe: { httpGet: { path: '/health', port: 8080 } },
          securityContext: {
            capabilities: { add: ['NET_BIND_SERVICE'], drop: ['ALL'] },
            readOnlyRootFilesystem: true,
            allowPrivilegeEscalation: false,
          },
          volumeMounts: [{ name: 'config', mountPath: '/etc/coredns', readOnly: true }],
        },
      ],
      volumes: [{ name: 'config', configMap: { name: DNS_NAME } }],
    },
  };
}

function binding(name: string, role: string, subject: object): KubeObject {
  return {
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name },
    ...{ roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: role }, subjects: [subject] },
  };
}
