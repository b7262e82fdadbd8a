/**
 * Every environment variable of ztunnel, with Istio's names wherever Istio has one; those of our own begin with `AMBIT_`.
 *
 * What depends on other variables, on files or on a prefix of names is put together in config.ts. A variable that is unset
 * has the default `undefined` here when its default depends on something else.
 */
import { logVariables } from '@ambit/core/config/log-config';
import { durationMs, flag, integer, names, oneOf, parsed, text } from '@ambit/core/config/schema';
import { tunnelVariables } from '@ambit/hbone/tunnel-config';
import { controlPlaneVariables } from '@ambit/identity/control-plane-config';
import { tlsVariables } from '@ambit/identity/tls-config';
import { parseCpus, parseWorkerThreads } from './worker-threads.ts';

const U32 = 4_294_967_295;

export const variables = {
  ...controlPlaneVariables,
  ...tlsVariables,
  ...tunnelVariables,
  ...logVariables,
  mode: oneOf({
    env: 'PROXY_MODE',
    of: ['shared', 'dedicated'],
    default: 'shared',
    doc: 'shared: the pods of a node, as the node agent tells them. dedicated: one workload, in this network namespace.',
  }),
  workloadInfo: parsed<WorkloadInfo | undefined>({
    env: 'PROXY_WORKLOAD_INFO',
    default: undefined,
    want: 'namespace/name/serviceAccount',
    parse: parseWorkloadInfo,
    doc: 'Who the one workload is; needed with PROXY_MODE=dedicated.',
  }),
  proxyEnabled: flag({ env: 'ENABLE_PROXY', default: true, doc: 'Whether connections are proxied at all.' }),
  ipv6: flag({
    env: 'IPV6_ENABLED',
    default: true,
    doc: 'false: wildcard and loopback listeners are IPv4 only.',
  }),
  network: text({ env: 'NETWORK', default: '', doc: 'The network that this node is in.' }),
  nodeName: text({
    env: 'NODE_NAME',
    default: undefined,
    doc: 'The node whose workloads are local; unset: all are.',
  }),
  clusterDomain: text({ env: 'CLUSTER_DOMAIN', default: 'cluster.local', doc: 'DNS suffix of the cluster.' }),
  metaDnsCapture: text({
    env: 'ISTIO_META_DNS_CAPTURE',
    default: undefined,
    doc: 'Whether DNS of pods is answered: when unset or true.',
  }),
  metaDnsProxyAddress: text({
    env: 'ISTIO_META_DNS_PROXY_ADDR',
    default: undefined,
    doc: 'Where DNS is answered: localhost:PORT or IP:PORT. Default localhost:15053.',
  }),
  onDemand: flag({
    env: 'XDS_ON_DEMAND',
    default: false,
    doc: 'Ask for addresses when a connection needs them. Needs ISTIO_META_DNS_CAPTURE=false.',
  }),
  localMeshPath: text({
    env: 'LOCAL_XDS_PATH',
    default: undefined,
    doc: 'A YAML file with workloads, services and policies.',
  }),
  localMesh: text({ env: 'LOCAL_XDS', default: undefined, doc: 'The same, as the text itself.' }),
  preferredServiceNamespace: text({
    env: 'PREFERED_SERVICE_NAMESPACE',
    default: undefined,
    doc: "DNS: the namespace that wins after the client's own.",
  }),
  serviceAccount: text({
    env: 'SERVICE_ACCOUNT',
    default: undefined,
    doc: 'With POD_NAME and POD_NAMESPACE: ztunnel is a workload itself and takes tunnels to its metrics.',
  }),
  podName: text({ env: 'POD_NAME', default: undefined, doc: "This process's pod." }),
  podNamespace: text({ env: 'POD_NAMESPACE', default: undefined, doc: "This process's pod's namespace." }),
  trustDomain: text({
    env: 'TRUST_DOMAIN',
    default: 'cluster.local',
    doc: 'Of identities, until the control plane says otherwise.',
  }),
  instanceIp: text({
    env: 'INSTANCE_IP',
    default: '1.1.1.1',
    doc: "This process's address, for the control plane.",
  }),
  proxyConfig: text({
    env: 'PROXY_CONFIG',
    default: undefined,
    doc: 'ProxyConfig as YAML or JSON: discoveryAddress, proxyAdminPort, statsPort, concurrency, proxyMetadata.',
  }),
  agentSocket: text({
    env: 'INPOD_UDS',
    default: '/var/run/ztunnel/ztunnel.sock',
    doc: "The node agent's socket.",
  }),
  portReuse: flag({ env: 'INPOD_PORT_REUSE', default: true, doc: 'SO_REUSEPORT on listeners of pods.' }),
  packetMark: integer({
    env: 'PACKET_MARK',
    default: undefined,
    max: U32,
    doc: 'SO_MARK of every socket. Default 1337 with PROXY_MODE=shared, else none.',
  }),
  requireOriginalSource: flag({
    env: 'ENABLE_ORIG_SRC',
    default: undefined,
    doc: 'Whether applications see the client\u2019s address: must, never, or (unset) where possible.',
  }),
  localhostApplicationTunnel: flag({
    env: 'LOCALHOST_APP_TUNNEL',
    default: true,
    doc: 'Application tunnels are reached on loopback.',
  }),
  responseBaggage: flag({
    env: 'ENABLE_RESPONSE_BAGGAGE',
    default: true,
    doc: 'Tell clients in answers who the workload is.',
  }),
  keepaliveEnabled: flag({ env: 'KEEPALIVE_ENABLED', default: true, doc: 'TCP keepalive.' }),
  keepaliveTimeMs: durationMs({
    env: 'KEEPALIVE_TIME',
    default: 180_000,
    doc: 'Idle time before the first probe.',
  }),
  keepaliveIntervalMs: durationMs({
    env: 'KEEPALIVE_INTERVAL',
    default: 180_000,
    doc: 'Time between probes.',
  }),
  keepaliveRetries: integer({
    env: 'KEEPALIVE_RETRIES',
    default: 9,
    max: U32,
    doc: 'Probes before giving up.',
  }),
  userTimeoutEnabled: flag({
    env: 'USER_TIMEOUT_ENABLED',
    default: false,
    doc: 'TCP_USER_TIMEOUT that follows from keepalive.',
  }),
  terminationDeadlineMs: durationMs({
    env: 'CONNECTION_TERMINATION_DEADLINE',
    default: undefined,
    doc: 'How long open connections may outlive SIGTERM. Default: from TERMINATION_GRACE_PERIOD_SECONDS, else 5s.',
  }),
  terminationGraceSeconds: integer({
    env: 'TERMINATION_GRACE_PERIOD_SECONDS',
    default: undefined,
    max: 31_536_000,
    doc: "The pod's own: more than 10 leaves 5 s for the rest, else 1 s.",
  }),
  workerThreads: parsed({
    env: 'ZTUNNEL_WORKER_THREADS',
    default: undefined,
    want: 'a number of threads (0: one for each core) or a share of the cores such as 50%',
    parse: parseWorkerThreads,
    doc: 'Data workers.',
  }),
  cpuLimit: integer({ env: 'ZTUNNEL_CPU_LIMIT', default: undefined, doc: 'Cores, by the downward API.' }),
  resourceCpuLimit: parsed({
    env: 'ZTUNNEL_RESOURCE_CPU_LIMIT',
    default: undefined,
    want: 'cores such as 2 or 1.5, or 500m',
    parse: parseCpus,
    doc: 'The CPU limit, if one is set.',
  }),
  resourceCpuRequest: parsed({
    env: 'ZTUNNEL_RESOURCE_CPU_REQUEST',
    default: undefined,
    want: 'cores such as 2 or 1.5, or 500m',
    parse: parseCpus,
    doc: 'The CPU request, if one is set.',
  }),
  socks5: flag({ env: 'UNSTABLE_ENABLE_SOCKS5', default: false, doc: 'SOCKS5 on 127.0.0.1:15080.' }),
  authzInfoLogging: text({
    env: 'AUTHZ_POLICY_INFO_LOGGING',
    default: undefined,
    doc: 'true: verdicts of policies are logged at info.',
  }),
  istioVersion: text({
    env: 'ISTIO_META_ISTIO_VERSION',
    default: undefined,
    doc: 'Shown in metrics and dumps.',
  }),
  warmUp: flag({
    env: 'AMBIT_WARM_UP',
    default: true,
    doc: 'With PROXY_MODE=shared: once ready, carry connections of a pod that does not exist, in a network namespace of its own, so that code is compiled before it is needed: a shorter tail at low rates, for 7 MB of each worker, and some two seconds of its CPU after each start.',
  }),
  aheadNamespaces: names({
    env: 'AMBIT_AHEAD_NAMESPACES',
    default: new Set(['kube-system']),
    doc: 'Namespaces, separated by commas, whose pods come into the mesh whether they have a certificate yet or not, as those of this process’s namespace and of the CA’s do: what certificates depend on. Others wait. Default: kube-system.',
  }),
  clearConnections: oneOf({
    env: 'AMBIT_CLEAR_CONNECTIONS',
    of: ['keep', 'cut'],
    default: 'keep',
    doc: 'Connections to a pod that are older than its enrolment: keep those that policy allows without an identity, or cut all, so that clients come back over the mesh. The kubelet’s probes stay.',
  }),
  missingPolicy: oneOf({
    env: 'AMBIT_MISSING_POLICY',
    of: ['refuse', 'ignore'],
    default: 'refuse',
    doc: 'A policy that a workload names and that has not arrived, or that cannot be read: refuse connections, or (as Istio) act as if there were none.',
  }),
};

export interface WorkloadInfo {
  readonly namespace: string;
  readonly name: string;
  readonly serviceAccount: string;
}

function parseWorkloadInfo(value: string): WorkloadInfo | undefined {
  const [namespace, name, ...rest] = value.split('/');
  const serviceAccount = rest.join('/');
  return namespace && name && serviceAccount ? { namespace, name, serviceAccount } : undefined;
}
