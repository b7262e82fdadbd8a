/** The configuration files of a node, by their path in it. Pure. */
import { type LocalSettings, nodeName } from './settings.ts';

export const PAUSE_IMAGE = 'ambit.local/pause:1';
export const KUBERNETES_FOLDER = '/etc/kubernetes';
const CONTAINERD_SOCKET = '/run/containerd/containerd.sock';

export interface NodeFilesOptions {
  readonly settings: LocalSettings;
  readonly number: number;
}

export function nodeFiles(options: NodeFilesOptions): ReadonlyMap<string, string> {
  return new Map([
    ['/etc/containerd/config.toml', containerdConfig()],
    [`/etc/cni/net.d/10-${options.settings.name}.conflist`, json(networkConfig(options))],
    [`${KUBERNETES_FOLDER}/kubelet.json`, json(kubeletConfig(options))],
    [`${KUBERNETES_FOLDER}/kube-proxy.json`, json(proxyConfig(options))],
  ]);
}

/**
 * `restrict_oom_score_adj`, and kubelet's own score of 0 below, since a machine without CAP_SYS_RESOURCE lets nobody
 * lower one; runc says nothing but "EOF" then.
 */
function containerdConfig(): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  const unused = ['aufs', 'btrfs', 'devmapper', 'zfs'].map((name) => `io.containerd.snapshotter.v1.${name}`);
  return `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ${JSON.stringify([...unused, 'io.containerd.internal.v1.opt', 'io.containerd.tracing.processor.v1.otlp'])}
[grpc]
  address = "${CONTAINERD_SOCKET}"
[${cri}]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [${cri}.cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
  [${cri}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [${cri}.containerd.runtimes.runc.options]
      SystemdCgroup = false
`;
}

/** A link to each pod and a route at its end, as kind's network has it: no bridge, so no module to load for one. */
function networkConfig({ settings, number }: NodeFilesOptions): object {
  const { families, name } = settings;
  return {
    cniVersion: '0.4.0',
    name,
    plugins: [
      {
        type: 'ptp',
        ipMasq: false,
        mtu: 1500,
        ipam: {
          type: 'host-local',
          dataDir: '/run/cni-ipam',
          ranges: families.map((family) => [{ subnet: family.nodePods(number) }]),
          routes: families.map(({ family }) => ({ dst: family === 4 ? '0.0.0.0/0' : '::/0' })),
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
}

function kubeletConfig({ settings, number }: NodeFilesOptions): object {
  const [primary] = settings.families;
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: settings.families.length > 1 ? '::' : primary.node(number),
    authentication: {
      x509: { clientCAFile: `${KUBERNETES_FOLDER}/ca.crt` },
      webhook: { enabled: true },
      anonymous: { enabled: false },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: `${KUBERNETES_FOLDER}/kubelet.crt`,
    tlsPrivateKeyFile: `${KUBERNETES_FOLDER}/kubelet.key`,
    cgroupDriver: 'cgroupfs',
    failSwapOn: false,
    failCgroupV1: false,
    clusterDNS: settings.families.map(({ dnsService }) => dnsService),
    clusterDomain: 'cluster.local',
    containerRuntimeEndpoint: `unix://${CONTAINERD_SOCKET}`,
    imageGCHighThresholdPercent: 100,
    evictionHard: {
      'memory.available': '100Mi',
      'nodefs.available': '0%',
      'nodefs.inodesFree': '0%',
      'imagefs.available': '0%',
    },
    nodeStatusUpdateFrequency: '5s',
    shutdownGracePeriod: '0s',
    oomScoreAdj: 0,
  };
}

/** Connection tracking's limits belong to the machine, and are not this cluster's to change. */
function proxyConfig({ settings, number }: NodeFilesOptions): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'iptables',
    clusterCIDR: settings.families.map(({ pods }) => pods).join(','),
    clientConnection: { kubeconfig: `${KUBERNETES_FOLDER}/kube-proxy.conf` },
    hostnameOverride: nodeName(number),
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
    metricsBindAddress: '127.0.0.1:10249',
    oomScoreAdj: 0,
  };
}

export function kubeletArguments({ settings, number }: NodeFilesOptions): readonly string[] {
  return [
    `--config=${KUBERNETES_FOLDER}/kubelet.json`,
    `--kubeconfig=${KUBERNETES_FOLDER}/kubelet.conf`,
    `--node-ip=${settings.families.map(({ node }) => node(number)).join(',')}`,
    `--hostname-override=${nodeName(number)}`,
  ];
}

function json(value: object): string {
  return `${JSON.stringify(value, undefined, 1)}\n`;
}
