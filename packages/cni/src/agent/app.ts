/**
 * READ FIRST: the node agent, wired from top to bottom.
 *
 * Order of the start: the plugin's socket answers early, so that pods wait instead of failing; then the API server's state;
 * then what an earlier agent had enrolled, or was releasing, is taken up, before any ztunnel is told; then pods are followed. Stopping leaves
 * enrolled pods as they are.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, Random } from '@ambit/core/clock';
import { HttpServer, type HttpRequest, type HttpResponse } from '@ambit/core/http-server';
import type { Logger } from '@ambit/core/log';
import { formatMetrics, metricsContentType, MetricRegistry } from '@ambit/core/metrics';
import { RuntimeMetrics } from '@ambit/core/metrics-runtime';
import { until } from '@ambit/core/watch';
import { MeshError, messageOf } from '@ambit/core/errors';
import type { KubeClient } from '@ambit/kube/client';
import { isNotFound } from '@ambit/kube/errors';
import { EventTeller } from '@ambit/kube/event-teller';
import { namespaces, pods } from '@ambit/kube/resources/core';
import { watchCollection } from '@ambit/kube/watch-collection';
import { missingCapabilities } from '@ambit/linux/capabilities';
import { NETNS_CURRENT, type Netns, openNetns } from '@ambit/linux/netns';
import { ZdsServer } from '@ambit/zds/agent-side';
import { runCommand } from '../rules/command.ts';
import { detectBackend } from '../rules/detect.ts';
import { AGENT_DAEMON_SET, EVENT_SOCKET, PODS_FILE, REDIRECTION_ANNOTATION } from '../names.ts';
import type { AgentConfig } from './config.ts';
import { podIps, rulesFor } from './decide/plan.ts';
import type { EnrolmentDeps } from './enrolment.ts';
import { decideStop } from './install/shutdown.ts';
import { NetnsFinder } from './netns-finder.ts';
import { keepNodeFile } from './node-file-writer.ts';
import { startPluginListener } from './plugin-listener.ts';
import { NodePods } from './pods.ts';
import { NetnsReports } from './reports.ts';
import { UnforgottenConnections } from './unforgotten.ts';
import { hostProbesFor, installerFor } from './wiring.ts';

/** The agent cannot do its work here. */
export class AgentStartError extends MeshError {
  readonly code = 'CNI_AGENT_START';
  readonly side = 'internal';
}

export interface AgentDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface Agent extends AsyncDisposable {
  /** What is not ready yet. */
  pending(): readonly string[];
  /** Where metrics are served, for whoever let the kernel choose. */
  readonly metricsPort: number;
  /**
   * Before the end: takes plugin and host rules off the node if no other agent will follow, and the last rules off pods on
   * their way out. Enrolled pods and their rules stay in any case.
   */
  leave(signal: AbortSignal): Promise<void>;
}

/** @throws {@link AgentStartError}, and whatever the parts throw; nothing is left open then. */
export async function startAgent(config: AgentConfig, deps: AgentDeps, signal: AbortSignal): Promise<Agent> {
  const { client, clock, random, log } = deps;
  if (config.nodeName === '') throw new AgentStartError('NODE_NAME is not set: which node is this?');
  const missing = missingCapabilities(['CAP_SYS_ADMIN', 'CAP_NET_ADMIN']);
  if (missing.length > 0) throw new AgentStartError(`missing capabilities: ${missing.join(', ')}`);
  await using scope = new AsyncDisposableStack();
  const waitingFor = new Set(['api server', 'pods of the node', 'ztunnel socket', 'plugin']);
  const metrics = new MetricRegistry();
  const runtime = scope.use(new RuntimeMetrics());
  const pluginRequests = metrics.counter({
    name: 'istio_cni_plugin_requests',
    help: 'Calls of the CNI plugin',
    labels: ['response_code'],
  });
  const reconciles = metrics.counter({
    name: 'nodeagent_reconcile_events',
    help: 'Changes of pods that were looked at',
    labels: ['type'],
  });
  const installs = metrics.counter({
    name: 'istio_cni_installs',
    help: 'Attempts to put the plugin on the node',
    labels: ['result'],
  });
  const installReady = metrics.gauge({
    name: 'istio_cni_install_ready',
    help: 'Whether the plugin is in place on the node',
  });
  const connected = metrics.gauge({ name: 'ztunnel_connected', help: 'Connected ztunnels' });
  const enrolled = metrics.gauge({ name: 'ambit_cni_enrolled_pods', help: 'Pods of this node in the mesh' });
  const refused = metrics.gauge({
    name: 'ambit_cni_refused_pods',
    help: 'Pods of this node that belong into the mesh and that ztunnel has not let in yet',
  });
  const enrolments = metrics.counter({
    name: 'ambit_cni_enrolments',
    help: 'Pods that came into the mesh, by how',
    labels: ['way'],
  });
  const enrolmentFailures = metrics.counter({
    name: 'ambit_cni_enrolment_failures',
    help: 'Attempts to bring a pod into the mesh that failed, by the code of the error',
    labels: ['code'],
  });
  const clear = metrics.gauge({
    name: 'ambit_cni_clear_connections',
    help: 'Connections of enrolled pods that are older than enrolment and go on in clear',
  });

  const detected = await detectBackend(runCommand, clock, {
    wanted: config.iptablesProgram !== '' ? 'iptables' : config.nativeNftables ? 'nftables' : 'auto',
    ipv6: config.ipv6,
    ...(config.iptablesProgram !== '' && { iptablesProgram: config.iptablesProgram }),
  });
  const { backend, because } = detected;
  log.info('rules are applied by', { backend: backend.name, because });
  const probeSources = { v4: config.probeSourceV4, v6: config.probeSourceV6 };
  const defaults = { ipv6: config.ipv6, dnsCapture: config.dnsCapture, probeSources };
  await backend.prepare(rulesFor({ metadata: { name: '' } }, defaults)).catch((error: unknown) => {
    log.warn('a program has to be started for the rules of each pod', { error: messageOf(error) });
  });

  const followed = { clock, random, log };
  const nodePods = scope.use(
    watchCollection(client, pods, { ...followed, fieldSelector: `spec.nodeName=${config.nodeName}` }),
  );
  const allNamespaces = scope.use(watchCollection(client, namespaces, followed));
  const rulesOfEligibility = {
    selectors: config.enabled ? config.selectors : [],
    excludedNamespaces: config.excludedNamespaces,
  };

  const hostNetns = hostNetnsOf(config);
  if (hostNetns) scope.use(hostNetns);
  const probes = hostProbesFor(config, detected, hostNetns?.fd ?? NETNS_CURRENT, deps);
  const zds: ZdsServer = new ZdsServer({
    path: config.zdsSocket,
    snapshot: () => held.snapshot(),
    clock,
    log: log.scope('zds'),
  });
  const annotate: EnrolmentDeps['annotate'] = async ({ name, namespace, uid }, value, aborted) => {
    const body = { metadata: { uid, annotations: { [REDIRECTION_ANNOTATION]: value ?? null } } };
    try {
      await client.patch(
        pods,
        { name, namespace },
        { type: 'merge', body },
        { subresource: 'status' },
        aborted,
      );
    } catch (error) {
      if (!isNotFound(error) && !(value === undefined && isOtherPod(error))) throw error;
    }
  };
  mkdirSync(config.runFolder, { recursive: true, mode: 0o750 });
  const reports = new NetnsReports(join(config.runFolder, PODS_FILE), log);
  const held = new NodePods({
    pods: nodePods,
    namespaces: allNamespaces,
    rulesOfEligibility,
    systemNamespace: config.systemNamespace,
    finder: new NetnsFinder({
      pinnedFolder: join(config.hostPrefix, 'var/run/netns'),
      procFolder: join(config.hostPrefix, 'proc'),
    }),
    reports,
    proxy: zds,
    rules: backend,
    probes,
    annotate,
    annotateSoon: () => client.connectAhead(),
    defaults,
    unforgotten: new UnforgottenConnections(metrics, log),
    clock,
    random,
    log,
    onReconcile: (type) => reconciles.inc({ type }),
    onEnrolled: (way) => enrolments.inc({ way }),
    onEnrolmentFailure: (code) => enrolmentFailures.inc({ code }),
    events: new EventTeller({ client, component: AGENT_DAEMON_SET, instance: config.nodeName, clock, log }),
  });
  scope.use(held);

  const synced = async (aborted: AbortSignal) => {
    await Promise.all([nodePods, allNamespaces].map((all) => until(all.synced, (done) => done, aborted)));
  };
  const installer = installerFor(config, deps, (result) => installs.inc({ result }));
  const pending = () => [
    ...waitingFor,
    ...(installer?.installed.value === false ? ['CNI configuration'] : []),
  ];
  scope.use(
    await startPluginListener({
      socketPath: join(config.runFolder, EVENT_SOCKET),
      hostPrefix: config.hostPrefix,
      pods: held,
      reports,
      pending,
      findPod: async (namespace, name, aborted) => {
        await synced(aborted);
        if (!allNamespaces.has(namespace)) return undefined;
        return (
          nodePods.get(`${namespace}/${name}`) ?? (await client.find(pods, { namespace, name }, aborted))
        );
      },
      clock,
      log,
      onAnswer: (status) => pluginRequests.inc({ response_code: String(status) }),
    }),
  );
  metrics.beforeCollect(() => {
    installReady.set(installer?.installed.value === false ? 0 : 1);
    connected.set(zds.connections.value);
    enrolled.set(held.heldCount - held.refusedCount);
    refused.set(held.refusedCount);
    clear.set(held.clearConnections().filter((one) => !('untold' in one)).length);
  });
  const answer = (request: HttpRequest) => page(request, { pending, metrics, runtime, held });
  const serve = async (name: string, port: number) => {
    const server = scope.use(new HttpServer({ name, hosts: ['::'], port, log, handler: answer }));
    await server.start(signal);
    return server.port;
  };
  await serve('health', config.healthPort);
  const metricsPort = await serve('metrics', config.metricsPort);

  await synced(signal);
  waitingFor.delete('api server');
  scope.use(
    keepNodeFile({
      folder: config.runFolder,
      namespaces: allNamespaces,
      pods: nodePods,
      rules: rulesOfEligibility,
      clock,
      log,
    }),
  );
  held.recover(config.reconcileOnStartup);
  await held.recoverReleases();
  const markedIps = held.snapshot().flatMap(({ pod }) => {
    const known = nodePods.get(`${pod.namespace}/${pod.name}`);
    return known ? podIps(known).map((ip) => ({ ip, uid: pod.uid })) : [];
  });
  await probes.start(markedIps);
  waitingFor.delete('pods of the node');
  await zds.start(signal);
  scope.use(zds);
  waitingFor.delete('ztunnel socket');
  held.follow();
  waitingFor.delete('plugin');
  if (installer) {
    scope.use(installer);
    await installer.start(signal);
  }
  log.info('the node agent serves', { node: config.nodeName, pods: held.heldCount });

  const leave = async (aborted: AbortSignal) => {
    const { podNamespace, nodeName, disableSafeUpgrade: safeUpgradeDisabled } = config;
    const stop = { client, podNamespace, nodeName, safeUpgradeDisabled, clock, log };
    const { keep, reason } = await decideStop(stop, aborted);
    const stays = keep === 'everything';
    log.info(stays ? 'plugin and host rules stay on the node' : 'plugin and host rules are removed', {
      reason,
    });
    if (stays) return;
    await installer?.uninstall(keep);
    await held.endReleases(aborted);
    await probes.stop();
  };
  const owned = scope.move();
  return { pending, leave, metricsPort, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function hostNetnsOf(config: AgentConfig): Netns | undefined {
  return config.switchToHostNetns ? openNetns(join(config.hostPrefix, 'proc/1/ns/net')) : undefined;
}

/** The pod of that name has another UID by now: what was to be taken off went with the old one. */
function isOtherPod(error: unknown): boolean {
  return error instanceof Error && /uid|precondition/i.test(error.message);
}

interface Pages {
  readonly pending: () => readonly string[];
  readonly metrics: MetricRegistry;
  readonly runtime: RuntimeMetrics;
  readonly held: NodePods;
}

async function page(
  { path, headers, peerIp }: HttpRequest,
  { pending, metrics, runtime, held }: Pages,
): Promise<HttpResponse> {
  switch (path) {
    case '/healthz':
      return { status: 200, body: 'ok\n' };
    case '/readyz': {
      const waiting = pending();
      return waiting.length === 0
        ? { status: 200, body: 'ready\n' }
        : { status: 503, body: `not ready, pending: ${waiting.join(', ')}\n` };
    }
    case '/metrics': {
      const accept = typeof headers['accept'] === 'string' ? headers['accept'] : undefined;
      return {
        status: 200,
        headers: { 'content-type': metricsContentType(accept) },
        body: formatMetrics([...metrics.collect(), ...(await runtime.collect())]),
        compress: true,
      };
    }
    case '/debug/clear-connections':
      if (peerIp !== '127.0.0.1' && peerIp !== '::1') return { status: 403, body: 'only for loopback\n' };
      return {
        status: 200,
        headers: { 'content-type': 'application/json' },
        body: `${JSON.stringify(held.clearConnections(), undefined, 2)}\n`,
      };
    default:
      return { status: 404, body: 'not found\n' };
  }
}
