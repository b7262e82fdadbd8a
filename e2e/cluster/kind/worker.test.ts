import { expect, test } from '@jest/globals';
import { addressesOf, type InspectedNode, joinConfiguration, nextWorker, workerCommand } from './worker.ts';

const LIKE: InspectedNode = {
  Config: { Image: 'kindest/node:v1.34.0@sha256:ab' },
  HostConfig: { NetworkMode: 'kind', Sysctls: { 'net.ipv6.conf.all.forwarding': '1' } },
  NetworkSettings: { Networks: { kind: { IPAddress: '172.18.0.3', GlobalIPv6Address: 'fc00:f853::3' } } },
};
const NEW = {
  name: 'mesh-worker3',
  addresses: ['172.18.0.9'],
  taints: [{ key: 'cni.istio.io/not-ready', value: 'true', effect: 'NoSchedule' }],
  token: 'fresh0.0123456789abcdef',
};
const configuration = (version: string, kubeletExtraArgs: string) => `apiVersion: kubeadm.k8s.io/${version}
kind: ClusterConfiguration
clusterName: mesh
---
apiVersion: kubeadm.k8s.io/${version}
kind: JoinConfiguration
nodeRegistration:
  criSocket: unix:///run/containerd/containerd.sock
  kubeletExtraArgs: ${kubeletExtraArgs}
discovery:
  bootstrapToken:
    apiServerEndpoint: mesh-control-plane:6443
    token: abcdef.0123456789abcdef
    unsafeSkipCAVerification: true
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
`;
const joins = (version: string, kubeletExtraArgs: object) => ({
  apiVersion: `kubeadm.k8s.io/${version}`,
  kind: 'JoinConfiguration',
  nodeRegistration: {
    criSocket: 'unix:///run/containerd/containerd.sock',
    kubeletExtraArgs,
    taints: NEW.taints,
  },
  discovery: {
    bootstrapToken: {
      apiServerEndpoint: 'mesh-control-plane:6443',
      token: NEW.token,
      unsafeSkipCAVerification: true,
    },
  },
});

test.each([
  [
    'an object of arguments (v1beta3)',
    configuration(
      'v1beta3',
      '{node-ip: 172.18.0.3, node-labels: "a=b", provider-id: kind://docker/mesh/mesh-worker}',
    ),
    joins('v1beta3', {
      'node-ip': '172.18.0.9',
      'node-labels': 'a=b',
      'provider-id': 'kind://docker/mesh/mesh-worker3',
    }),
  ],
  [
    'a list of arguments (v1beta4)',
    configuration(
      'v1beta4',
      '[{name: node-ip, value: 172.18.0.3}, {name: provider-id, value: kind://docker/mesh/mesh-worker}]',
    ),
    joins('v1beta4', [
      { name: 'node-ip', value: '172.18.0.9' },
      { name: 'provider-id', value: 'kind://docker/mesh/mesh-worker3' },
    ]),
  ],
])('a worker joins by another’s configuration, as itself, with its taints and a token: %s', (_, text, want) =>
  expect(JSON.parse(joinConfiguration(text, NEW))).toEqual(want),
);

test.each(['', 'kind: JoinConfiguration\n', 'kind: InitConfiguration\n'])(
  'what a worker cannot join by is said: %j',
  (text) => expect(() => joinConfiguration(text, NEW)).toThrow(/has no JoinConfiguration/),
);

test('a worker is a container like the others, which kind finds by its labels', () => {
  const command = workerCommand('mesh', 'mesh-worker3', LIKE).join(' ');
  expect(command).toMatch(/^docker run --detach --tty --name mesh-worker3 --hostname mesh-worker3 /);
  expect(command).toContain(' --label io.x-k8s.kind.cluster=mesh --label io.x-k8s.kind.role=worker ');
  expect(command).toMatch(/ --net kind .* --sysctl=net\.ipv6\.conf\.all\.forwarding=1 kindest\/node:\S+$/);
});

test('its addresses are those in the network of the nodes', () => {
  expect(addressesOf(LIKE)).toEqual(['172.18.0.3', 'fc00:f853::3']);
  expect(addressesOf({ ...LIKE, NetworkSettings: { Networks: { kind: { IPAddress: '' } } } })).toEqual([]);
});

test.each([
  [['mesh-control-plane', 'mesh-worker'], 'mesh-worker2'],
  [['mesh-control-plane', 'mesh-worker', 'mesh-worker2', 'mesh-worker4'], 'mesh-worker3'],
])('beside %j the next is %s', (taken, next) => expect(nextWorker('mesh', taken)).toBe(next));
