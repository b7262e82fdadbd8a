import { describe, expect, test } from '@jest/globals';
import type { KubeObject } from '@ambit/kube/resource';
import type { Node } from '@ambit/kube/resources/core';
import {
  type ClusterFacts,
  type NodeView,
  type PolicyView,
  type PreflightFacts,
  type Probe,
  TOLD_NOT_TO_PROBE,
} from './facts.ts';
import { findingsOf } from './findings.ts';
import { closedToMesh, policyViewOf } from './network-policy.ts';
import { cniFolderOf, platformOf } from './platform.ts';

const CLUSTER: ClusterFacts = {
  version: 'v1.34.4',
  clockAheadMs: 0,
  gatewayApi: true,
  admissionPolicies: true,
  openshift: false,
  cilium: undefined,
  kubeProxy: true,
  meshes: [],
  policies: [],
  namespaces: [],
  installed: [],
  platform: '',
  commandVersion: '0.2.0',
  revision: 'default',
  defaultTags: [],
};
type Looked = Extract<Probe, { readonly kind: 'looked' }>;
const LOOKED: Looked = {
  kind: 'looked',
  nftables: '',
  iptables: '',
  cniFolder: '/etc/cni/net.d',
  cniFolderProblem: '',
  cniConfigs: [{ file: '10-net.conflist', types: ['bridge', 'portmap'] }],
  probed: true,
  clockAheadMs: 0,
  selinux: '',
  apparmor: '',
  unreached: [],
};
const NODE: NodeView = {
  name: 'n1',
  os: 'linux',
  kubelet: 'v1.34.4',
  kernel: '6.1.0-18-amd64',
  platform: '',
  ready: true,
  probe: LOOKED,
};

function facts(
  cluster: Partial<ClusterFacts>,
  node: Partial<NodeView> = {},
  probe: Partial<Looked> = {},
): PreflightFacts {
  return {
    cluster: { ...CLUSTER, ...cluster },
    nodes: [{ ...NODE, probe: { ...LOOKED, ...probe }, ...node }],
    notProbed: undefined,
    defaultHub: false,
  };
}

const policy = { namespace: 'shop', name: 'tight', podSelector: {}, letsMeshIn: false, excludesMesh: true };
const tag = { name: 'istio-revision-tag-default', revision: '1-20', missingService: undefined };
const shop = { name: 'shop', enrolled: true, sidecars: false };
const installed = [
  { component: 'istiod', version: '0.2.0' },
  { component: 'cni', version: '0.2.0' },
];
const withOurs = [{ file: '10-net.conflist', types: ['bridge', 'istio-cni'] }];
const cilium = { 'cni-exclusive': 'false' };

/** Severity, where and which check; the text is looked at for what a user must find in it. */
const cases: Record<string, { facts: PreflightFacts; want: readonly string[]; says?: string }> = {
  'nothing to say': { facts: facts({}), want: [] },
  'an old Kubernetes': {
    facts: facts({ version: 'v1.25.0' }, { kubelet: 'v1.25.0' }),
    want: ['error cluster version'],
  },
  'no admission policies': {
    facts: facts({ admissionPolicies: false }),
    want: ['error cluster admission-policies'],
    says: '--runtime-config',
  },
  'none, as it is too old for them': {
    facts: facts({ version: 'v1.25.0', admissionPolicies: false }, { kubelet: 'v1.25.0' }),
    want: ['error cluster version'],
  },
  'a version that is hidden': { facts: facts({ version: undefined }), want: [] },
  'our own clock differs, the nodes’ do not': {
    facts: facts({ clockAheadMs: 30_000 }, {}, { clockAheadMs: 30_000 }),
    want: ['note cluster clock'],
    says: "30 s ahead of this machine's",
  },
  'a node some seconds behind': {
    facts: facts({}, {}, { clockAheadMs: -12_000 }),
    want: ['warning n1 clock'],
    says: "12 s behind the API server's",
  },
  'a node minutes ahead': {
    facts: facts({}, {}, { clockAheadMs: 120_000 }),
    want: ['error n1 clock'],
    says: 'chrony',
  },
  'without the server’s clock nodes are not judged': {
    facts: facts({ clockAheadMs: undefined }, {}, { clockAheadMs: 120_000 }),
    want: [],
  },
  'Istio beside it': {
    facts: facts({ meshes: [{ name: 'Istio', title: 'Deployment istio-system/istiod' }] }),
    want: ['error cluster mesh'],
    says: 'Deployment istio-system/istiod',
  },
  'another mesh beside it': {
    facts: facts({ meshes: [{ name: 'Linkerd', title: 'Deployment linkerd/destination' }] }),
    want: ['warning cluster mesh'],
  },
  'no kube-proxy': { facts: facts({ kubeProxy: false }), want: ['note cluster kube-proxy'] },
  'OpenShift by its API': { facts: facts({ openshift: true }), want: ['warning cluster platform'] },
  'a proxy newer than its control plane': {
    facts: facts(
      { installed: [...installed, { component: 'ztunnel', version: '0.3.0' }] },
      {},
      { cniConfigs: withOurs },
    ),
    want: ['error cluster skew'],
  },
  'an upgrade to be had': {
    facts: facts({ installed: [{ component: 'istiod', version: '0.1.0' }] }),
    want: ['note cluster upgrade'],
  },
  'Cilium as it has to be': { facts: facts({ cilium, kubeProxy: false }), want: [] },
  'Cilium by default': {
    facts: facts({ cilium: {} }),
    want: ['error cluster cilium-exclusive'],
    says: 'cni.exclusive=false',
  },
  'Cilium masquerading by BPF': {
    facts: facts({ cilium: { ...cilium, 'enable-bpf-masquerade': 'true' } }),
    want: ['warning cluster cilium-masquerade'],
  },
  'Cilium instead of kube-proxy': {
    facts: facts({ cilium: { ...cilium, 'kube-proxy-replacement': 'true' }, kubeProxy: false }),
    want: ['error cluster cilium-socket-lb'],
    says: 'socketLB.hostNamespaceOnly=true',
  },
  'Cilium instead of kube-proxy, in the host alone': {
    facts: facts({
      cilium: { ...cilium, 'kube-proxy-replacement': 'true', 'bpf-lb-sock-hostns-only': 'true' },
    }),
    want: [],
  },
  'a policy in an enrolled namespace that shuts the mesh out': {
    facts: facts({ policies: [policy], namespaces: [shop] }),
    want: ['error cluster network-policy'],
    says: 'NetworkPolicy shop/tight',
  },
  'the same where nobody is enrolled yet': {
    facts: facts({ policies: [policy, { ...policy, name: 'b', excludesMesh: false }] }),
    want: ['note cluster network-policy'],
    says: '1 NetworkPolicies of namespaces that are not enrolled',
  },
  'a tag of a control plane that is gone': {
    facts: facts({
      defaultTags: [{ ...tag, missingService: 'istio-system/istiod-1-20' }],
    }),
    want: ['warning cluster default-tag'],
    says: 'kubectl delete mutatingwebhookconfiguration istio-revision-tag-default',
  },
  'a tag of one that is there': {
    facts: facts({ defaultTags: [tag] }),
    want: ['note cluster default-tag'],
    says: 'makes revision "1-20" the default one, so Gateways without istio.io/rev are left to it',
  },
  'a tag of this one': { facts: facts({ revision: '1-20', defaultTags: [tag] }), want: [] },
  'both kinds of mesh in one namespace': {
    facts: facts({ namespaces: [{ ...shop, sidecars: true }] }),
    want: ['warning cluster sidecars'],
    says: 'kubectl label namespace shop istio-injection-',
  },
  'a node of another system': { facts: facts({}, { os: 'windows', kernel: '10.0' }), want: ['note n1 os'] },
  'a node that is not Ready': {
    facts: facts({}, { ready: false, probe: undefined }),
    want: ['warning n1 ready'],
  },
  'an old kernel': {
    facts: facts({}, { kernel: '4.14.355-276.618.amzn2.x86_64' }),
    want: ['error n1 kernel'],
  },
  'a kubelet that is too old': { facts: facts({}, { kubelet: 'v1.30.1' }), want: ['warning n1 kubelet'] },
  'a kubelet newer than its server': {
    facts: facts({}, { kubelet: 'v1.35.0' }),
    want: ['warning n1 kubelet'],
  },
  'a kubelet three minors behind is fine': { facts: facts({}, { kubelet: 'v1.31.9-eks-1' }), want: [] },
  'a platform with folders of its own': {
    facts: facts({}, { platform: 'k3s' }),
    want: ['warning n1 platform'],
    says: '--set global.platform=k3s',
  },
  'the same, told at installation': { facts: facts({ platform: 'k3s' }, { platform: 'k3s' }), want: [] },
  'no pod came up': {
    facts: facts({}, { probe: { kind: 'failed', reason: 'waits: ImagePullBackOff' } }),
    want: ['warning n1 probe'],
    says: 'waits: ImagePullBackOff',
  },
  'iptables alone': { facts: facts({}, {}, { nftables: 'no nf_tables' }), want: ['note n1 nftables'] },
  'no rules at all': {
    facts: facts({}, {}, { nftables: 'a', iptables: 'b' }),
    want: ['error n1 rules'],
    says: 'a; b',
  },
  'no folder of configurations': {
    facts: facts({}, {}, { cniFolderProblem: 'ENOENT', cniConfigs: [] }),
    want: ['error n1 cni'],
  },
  'no usable configuration': {
    facts: facts({}, {}, { cniConfigs: [{ file: '10-x.conflist', types: [] }] }),
    want: ['error n1 cni'],
  },
  'our plugin without an agent': {
    facts: facts({}, {}, { cniConfigs: withOurs }),
    want: ['warning n1 cni'],
    says: 'no enrolled pod can start',
  },
  'an agent without our plugin': {
    facts: facts({ installed }),
    want: ['error n1 cni'],
    says: '10-net.conflist comes first',
  },
  'an agent with our plugin': { facts: facts({ installed }, {}, { cniConfigs: withOurs }), want: [] },
  'Multus first': {
    facts: facts({}, {}, { cniConfigs: [{ file: '00-multus.conf', types: ['multus'] }] }),
    want: ['warning n1 cni'],
  },
  'probes that do not arrive': { facts: facts({}, {}, { probed: false }), want: ['error n1 host-to-pod'] },
  'a port shut between nodes': {
    facts: facts({}, {}, { unreached: [{ node: 'n2', problem: 'no answer within 3 s' }] }),
    want: ['error n1 mesh-port'],
    says: 'port 15008 of pods on n2 cannot be reached: no answer within 3 s',
  },
  SELinux: {
    facts: facts({}, {}, { selinux: 'enforcing' }),
    want: ['note cluster selinux'],
    says: 'on 1 nodes',
  },
  AppArmor: {
    facts: facts({}, {}, { apparmor: 'cri-containerd.apparmor.d (enforce)' }),
    want: ['note cluster apparmor'],
  },
  'nodes that nobody looked at': {
    facts: { ...facts({}, { probe: undefined }), notProbed: 'you may not create namespaces' },
    want: ['warning cluster probe'],
  },
  'nodes that nobody should look at': {
    facts: { ...facts({}, { probe: undefined }), notProbed: TOLD_NOT_TO_PROBE },
    want: ['note cluster probe'],
  },
  'images from where nobody has put any': {
    facts: {
      ...facts({}, { probe: { kind: 'failed', reason: 'waits: ErrImagePull' } }),
      defaultHub: true,
    },
    want: ['warning n1 probe', 'note cluster images'],
    says: '--set global.hub=HUB',
  },
  'the same where a node has them, or over an installation': {
    facts: { ...facts({}, {}), defaultHub: true },
    want: [],
  },
  'errors come first': {
    facts: facts({ gatewayApi: false }, { ready: false, kernel: '3.10.0' }),
    want: ['error n1 kernel', 'warning n1 ready', 'note cluster gateway-api'],
  },
};

describe('findings', () => {
  test.each(Object.entries(cases))('%s', (_, { facts: given, want, says = '' }) => {
    const found = findingsOf(given);
    expect(found.map(({ severity, where, check }) => `${severity} ${where} ${check}`)).toEqual(want);
    expect(found.map(({ text, fix }) => `${text}; ${fix}`).join('\n')).toContain(says);
  });
});

describe('a NetworkPolicy and port 15008', () => {
  const view = (spec: object) =>
    policyViewOf({ metadata: { namespace: 'shop', name: 'p' }, spec } as KubeObject).excludesMesh;
  test.each<[string, object, boolean]>([
    ['denies everything, with or without a mesh', { podSelector: {} }, false],
    ['is about what goes out', { policyTypes: ['Egress'], egress: [] }, false],
    ['lets everything in', { ingress: [{}] }, false],
    ['lets in from some, on all ports', { ingress: [{ from: [{ podSelector: {} }] }] }, false],
    ['lets one other port in', { ingress: [{ ports: [{ port: 8080 }] }] }, true],
    ['lets a named port in', { ingress: [{ ports: [{ port: 'http' }] }] }, true],
    ['names the port', { ingress: [{ ports: [{ port: 80 }, { port: 15_008 }] }] }, false],
    ['in a range', { ingress: [{ ports: [{ port: 15_000, endPort: 15_100 }] }] }, false],
    ['by UDP', { ingress: [{ ports: [{ port: 15_008, protocol: 'UDP' }] }] }, true],
    [
      'in another of its rules',
      { ingress: [{ ports: [{ port: 80 }] }, { ports: [{ protocol: 'TCP' }] }] },
      false,
    ],
  ])('%s', (_, spec, excludes) => expect(view(spec)).toBe(excludes));

  const named = (name: string, podSelector: object, port?: number, namespace = 'shop') =>
    policyViewOf({
      metadata: { namespace, name },
      spec: { podSelector, ...(port !== undefined && { ingress: [{ ports: [{ port }] }] }) },
    } as KubeObject);
  const web = { matchLabels: { app: 'web' } };
  const old = { matchExpressions: [{ key: 'age', operator: 'Exists' }] };
  test.each<[string, readonly PolicyView[], readonly string[]]>([
    ['beside one that denies everything', [named('none', {}), named('tight', web, 8080)], ['tight']],
    ['which another lets in to all pods', [named('tight', web, 8080), named('mesh', {}, 15_008)], []],
    ['to the same pods', [named('tight', { ...web, ...old }, 8080), named('mesh', old, 15_008)], []],
    ['to some of them', [named('tight', {}, 8080), named('mesh', web, 15_008)], ['tight']],
    ['to other pods', [named('tight', old, 8080), named('mesh', web, 15_008)], ['tight']],
    ['in another namespace', [named('tight', web, 8080), named('mesh', {}, 15_008, 'bank')], ['tight']],
  ])('%s', (_, policies, want) => expect(closedToMesh(policies).map(({ name }) => name)).toEqual(want));
});

describe('the platform of a node', () => {
  const node = (kubeletVersion: string, labels = {}, providerID = '', name = 'n'): Node =>
    ({ metadata: { name, labels }, spec: { providerID }, status: { nodeInfo: { kubeletVersion } } }) as Node;
  test.each<[Node, string]>([
    [node('v1.34.4'), ''],
    [node('v1.34.4+k3s1'), 'k3s'],
    [node('v1.34.4+k3s1', {}, '', 'k3d-demo-server-0'), 'k3d'],
    [node('v1.34.4', { 'microk8s.io/cluster': 'true' }), 'microk8s'],
    [node('v1.34.4', { 'minikube.k8s.io/name': 'minikube' }), 'minikube'],
    [node('v1.34.4-gke.1200'), 'gke'],
    [node('v1.34.4-eks-1'), ''],
  ])('%#', (given, want) => expect(platformOf(given)).toBe(want));

  test('and where its configurations lie', () => {
    expect(cniFolderOf('')).toBe('/etc/cni/net.d');
    expect(cniFolderOf('k3s')).toBe('/var/lib/rancher/k3s/agent/etc/cni/net.d');
  });
});
