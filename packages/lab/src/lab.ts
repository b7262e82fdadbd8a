/**
 * READ FIRST: the lab, wired from top to bottom. The embedded API; a switch and nodes as network namespaces; on each node
 * a kubelet, service rules and a CNI chain; the cluster's own controllers and its DNS.
 *
 * Runs inside a sandbox of namespaces (sandbox.ts). Disposal undoes everything in the reverse order, also of a start that
 * failed half-way; what a crash leaves, the sandbox takes with it.
 */
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type Clock, type Random, systemClock, systemRandom } from '@ambit/core/clock';
import { MeshError } from '@ambit/core/errors';
import { type Logger, silentLogger } from '@ambit/core/log';
import { until } from '@ambit/core/watch';
import { type EmbeddedApi, startEmbeddedApi } from '@ambit/embedded/server';
import { KubeClient } from '@ambit/kube/client';
import { isConflict } from '@ambit/kube/errors';
import {
  daemonSets,
  deployments,
  type EndpointSlice,
  endpointSlices,
  pods,
  type Service,
  services,
} from '@ambit/kube/resources/core';
import { horizontalPodAutoscalers } from '@ambit/kube/resources/scaling';
import { watchCollection } from '@ambit/kube/watch-collection';
import { listenTcp } from '@ambit/linux/sockets';
import { type ControllerInputs, endpointSliceController, scheduler } from './cluster/controllers.ts';
import { CLUSTER_DOMAIN } from './cluster/dns-answer.ts';
import { startDnsThread } from './cluster/dns-thread.ts';
import { serviceProxy } from './cluster/service-proxy.ts';
import { capture } from './capture.ts';
import { Kubelet, makeLabFolder, registerNode } from './kubelet/kubelet.ts';
import type { ContainerLog } from './kubelet/ended-logs.ts';
import { NodeFolder } from './kubelet/node-folder.ts';
import { API_IP, API_IPV6, DNS_SERVICE_IP, MAX_NODES, nodeAddresses } from './network/addresses.ts';
import { run } from './network/command.ts';
import { type LabNode, makeNetwork } from './network/nodes.ts';
import { MESH_PROGRAMS, type Programs } from './programs.ts';
import { dialPod, type PodName, type PodOutcome, podLogs, runInPod } from './pod-access.ts';
import { workloadController } from './workloads/controller.ts';

const API_SERVICE_IP = '10.96.0.1';
const API_PORT = 6443;
const DEFAULT_FOLDER = '/run/ambit-lab';
const SYNC_TIMEOUT_MS = 20_000;
const PTP_PLUGIN = new URL('./ptp-plugin/main.ts', import.meta.url).pathname;

/** The lab was asked for something it does not do. */
export class LabError extends MeshError {
  readonly code = 'LAB';
  readonly side = 'downstream';
}

export interface LabOptions {
  /** Default 2. */
  readonly nodes?: number;
  /** Everything the lab writes. Default below `/run`, which the sandbox has to itself. */
  readonly folder?: string;
  /** Default: in the folder. */
  readonly kubeconfigPath?: string;
  /** The environment of this process: PATH for plugins, and to notice that this is a pod of a cluster. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What containers without a command run, by their images. Default: the mesh's own. */
  readonly programs?: Programs;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Logger;
}

export interface Lab extends AsyncDisposable {
  readonly api: EmbeddedApi;
  readonly kubeconfigPath: string;
  readonly client: KubeClient;
  readonly nodes: readonly LabNode[];
  /** Runs a command in a pod's first container, as `kubectl exec`. */
  exec(pod: PodName, command: readonly string[], signal: AbortSignal): Promise<PodOutcome>;
  /** The file of a pod's network namespace, while the pod runs here. */
  netnsPathOf(pod: PodName): string | undefined;
  /** Where the path that pods of a node call `path` on their host really is. */
  hostPathOf(nodeName: string, path: string): string;
  /** What a pod's container has printed so far; the first container for no name. */
  logsOf(pod: PodName, container?: string): string;
  /** What every container has printed so far, on all nodes, also those that are gone. */
  allLogs(): readonly ContainerLog[];
  /** What crosses the link of one node (default: the first), to or from `hosts` if given, as a pcap file. */
  capture(
    ms: number,
    signal: AbortSignal,
    options?: { readonly node?: string; readonly hosts?: readonly string[] },
  ): Promise<Buffer>;
  stop(): Promise<void>;
}

/** Starts everything; resolves when pods can be made. @throws {@link LabError}, and whatever the parts throw. */
export async function startLab(options: LabOptions): Promise<Lab> {
  const {
    nodes: count = 2,
    environment,
    clock = systemClock,
    random = systemRandom,
    log = silentLogger,
  } = options;
  if (!Number.isInteger(count) || count < 1 || count > MAX_NODES)
    throw new LabError(`a lab has 1 to ${MAX_NODES} nodes, not ${count}`);
  const folder = options.folder ?? DEFAULT_FOLDER;
  await using scope = new AsyncDisposableStack();
  makeLabFolder(folder);
  scope.defer(() => rmSync(folder, { recursive: true, force: true }));
  // Seen by pods that have the machine's /proc: also what is mounted there later.
  await run(['mount', '--make-shared', '/proc']);

  const network = scope.use(
    await makeNetwork(Array.from({ length: count }, (_, index) => nodeAddresses(index))),
  );
  const kubelets = new Map<string, Kubelet>();
  const workerOf = (pod: PodName) => {
    for (const kubelet of kubelets.values()) {
      const worker = kubelet.worker(pod);
      if (worker) return worker;
    }
    return undefined;
  };

  const kubeconfigPath = options.kubeconfigPath ?? join(folder, 'kubeconfig');
  const api = scope.use(
    await startEmbeddedApi({
      environment,
      kubeconfigPath,
      hosts: [
        ...[API_IP, API_IPV6, API_SERVICE_IP, 'localhost'],
        ...[
          'kubernetes',
          'kubernetes.default',
          'kubernetes.default.svc',
          `kubernetes.default.svc.${CLUSTER_DOMAIN}`,
        ],
      ],
      podDialer: (pod, port) => dialPod(workerOf(pod), pod, port),
      podLogs: (pod, wish) => podLogs(workerOf(pod), pod, wish),
      clock,
      random,
      log: log.scope('api'),
    }),
  );
  for (const ip of [API_IP, API_IPV6])
    await api.listen({ fd: listenTcp({ netnsFd: network.switchNetns.fd, ip, port: API_PORT }).fd });
  const client = scope.use(await KubeClient.load({ kubeconfigPath, clock }));

  const common = { clock, random, log };
  const inputs: ControllerInputs = {
    client,
    pods: scope.use(watchCollection(client, pods, common)),
    services: scope.use(watchCollection(client, services, common)),
    endpointSlices: scope.use(watchCollection(client, endpointSlices, common)),
    clock,
    log,
  };
  const workloads = {
    daemonSets: scope.use(watchCollection(client, daemonSets, common)),
    deployments: scope.use(watchCollection(client, deployments, common)),
    autoscalers: scope.use(watchCollection(client, horizontalPodAutoscalers, common)),
  };
  const patience = AbortSignal.timeout(SYNC_TIMEOUT_MS);
  for (const one of [inputs.pods, inputs.services, inputs.endpointSlices, ...Object.values(workloads)])
    await until(one.synced, (synced) => synced, patience);
  await makeClusterServices(client, patience);

  scope.use(await startDnsThread(inputs, { netnsFd: network.switchNetns.fd, ip: API_IP }));
  const nodeNames = network.nodes.map(({ name }) => name);
  scope.use(serviceProxy(inputs, network.nodes));
  for (const node of network.nodes) {
    const nodeFolder = new NodeFolder(folder, node.name);
    await nodeFolder.make();
    scope.defer(() => nodeFolder.remove());
    writeCniConfig(nodeFolder, node);
    await registerNode(client, node, clock, patience);
    const kubelet = scope.use(
      new Kubelet({
        client,
        pods: inputs.pods,
        node,
        folder: nodeFolder,
        cniNode: {
          netnsPath: `/run/netns/${node.namespace}`,
          folder: nodeFolder,
          path: environment['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin',
        },
        api: { host: API_SERVICE_IP, port: 443 },
        apiCaPem: api.caPem,
        resolvConf,
        programs: options.programs ?? MESH_PROGRAMS,
        cpus: availableParallelism(),
        clock,
        random,
        log: log.scope(node.name),
      }),
    );
    kubelets.set(node.name, kubelet);
  }
  scope.use(endpointSliceController(inputs));
  scope.use(scheduler(inputs, nodeNames));
  scope.use(workloadController({ ...inputs, ...workloads, nodeNames, random }));

  const owned = scope.move();
  return {
    api,
    kubeconfigPath,
    client,
    nodes: network.nodes,
    exec: (pod, command, signal) => runInPod(workerOf(pod), pod, command, signal),
    hostPathOf: (nodeName, path) => new NodeFolder(folder, nodeName).hostPath(path),
    netnsPathOf: (pod) => workerOf(pod)?.network?.path,
    logsOf: (pod, container = '') => workerOf(pod)?.container(container)?.log.read().toString() ?? '',
    allLogs: () => [...kubelets.values()].flatMap((kubelet) => kubelet.logs()),
    capture: async (ms, signal, { node: name = nodeNames[0], hosts = [] } = {}) => {
      const node = network.nodes.find((one) => one.name === name);
      if (!node) throw new LabError(`there is no node ${name}`);
      return await capture({ network, node, hosts, ms, clock }, signal);
    },
    stop: () => owned.disposeAsync(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function resolvConf(namespace: string): string {
  const search = [`${namespace}.svc.${CLUSTER_DOMAIN}`, `svc.${CLUSTER_DOMAIN}`, CLUSTER_DOMAIN];
  return `nameserver ${DNS_SERVICE_IP}\nsearch ${search.join(' ')}\noptions ndots:5\n`;
}

/** The node's main network; other plugins chain themselves behind it. */
function writeCniConfig(folder: NodeFolder, node: LabNode): void {
  const plugin = join(folder.cniBinFolder, 'lab-ptp');
  writeFileSync(plugin, `#!/bin/sh\nexec '${process.execPath}' '${PTP_PLUGIN}'\n`);
  chmodSync(plugin, 0o755);
  const list = {
    cniVersion: '1.0.0',
    name: 'lab',
    plugins: [
      {
        type: 'lab-ptp',
        prefix: node.podCidr.replace(/\.0\/\d+$/, ''),
        prefixIpv6: node.podCidrIpv6.replace(/\/\d+$/, ''),
        stateFolder: '/run/lab-addresses',
      },
    ],
  };
  writeFileSync(join(folder.cniConfigFolder, '10-lab.conflist'), `${JSON.stringify(list, undefined, 2)}\n`);
}

/** The API server and the DNS as Services: both listen on the switch, outside any pod. */
async function makeClusterServices(client: KubeClient, signal: AbortSignal): Promise<void> {
  const dns: Service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'kube-dns', namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } },
    spec: {
      clusterIP: DNS_SERVICE_IP,
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP' },
        { name: 'dns-tcp', port: 53, protocol: 'TCP' },
      ],
    },
  };
  const slice = (
    namespace: string,
    service: string,
    ports: NonNullable<EndpointSlice['ports']>,
  ): EndpointSlice => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: service, namespace, labels: { 'kubernetes.io/service-name': service } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [API_IP], conditions: { ready: true, serving: true, terminating: false } }],
    ports,
  });
  const slices = [
    slice('default', 'kubernetes', [{ name: 'https', port: API_PORT, protocol: 'TCP' }]),
    slice('kube-system', 'kube-dns', [
      { name: 'dns', port: 53, protocol: 'UDP' },
      { name: 'dns-tcp', port: 53, protocol: 'TCP' },
    ]),
  ];
  const ignoreConflict = (error: unknown) => {
    if (!isConflict(error)) throw error;
  };
  await client.create(services, dns, {}, signal).catch(ignoreConflict);
  for (const one of slices) await client.create(endpointSlices, one, {}, signal).catch(ignoreConflict);
}
