/**
 * READ FIRST: the whole control thread, wired from top to bottom.
 *
 * It owns what changes slowly: mesh state, certificates, which pods there are, DNS, admin pages and metrics. Connections
 * belong to the data workers (worker/), which it starts, tells and asks. A start that fails half-way undoes itself.
 */
import { readFileSync } from 'node:fs';
import { ADDRESS_TYPE_URL } from '@ambit/api/workload';
import { Profiler } from '@ambit/core/admin/profile';
import type { Clock, Random } from '@ambit/core/clock';
import { MeshError, messageOf } from '@ambit/core/errors';
import { VERSION } from '@ambit/core/gen/version';
import { HttpServer } from '@ambit/core/http-server';
import { formatLogFilter, type LogRoot } from '@ambit/core/log';
import { metricsHandler } from '@ambit/core/metrics-process';
import { Readiness, readinessHandler } from '@ambit/core/readiness';
import { CertificateStore } from '@ambit/identity/certificate-store';
import { certificateSource } from '@ambit/identity/control-plane-access';
import { missingForProxy } from '@ambit/linux/capabilities';
import { netnsOfFd } from '@ambit/linux/netns';
import { formatIdentity } from '@ambit/model/workload';
import type { DeltaXdsClient } from '@ambit/xds/client';
import { ZdsClient } from '@ambit/zds/proxy-side';
import { type Config, PORTS } from './config.ts';
import { configDump } from './control/admin/config-dump.ts';
import { dumpConfig } from './control/admin/dump-config.ts';
import { adminHandler } from './control/admin/routes.ts';
import { handleWhy } from './control/admin/why.ts';
import { namespacesAhead } from './control/admission.ts';
import { Certificates } from './control/certificates.ts';
import { ClearConnections } from './control/clear-connections.ts';
import { xdsClient } from './control/control-plane.ts';
import { podDns } from './control/dns.ts';
import { ControlMetrics } from './control/metrics.ts';
import { MeshState } from './control/mesh-state.ts';
import { Pods } from './control/pods.ts';
import { followRevocations } from './control/revocations.ts';
import { Tidying } from './control/tidying.ts';
import { warmUpOnce } from './control/warm-up.ts';
import { WorkerPool, type WorkerThread } from './control/worker-pool.ts';
import { workerOptions } from './control/worker-options.ts';
import { DEMAND_TIMEOUT_MS, DRAIN_GRACE_MS, TIDY_DELAY_MS } from './limits.ts';
import { BULK_TABLE_BYTES } from './threads/worker-options.ts';
import type { PodInfo } from './threads/messages.ts';
import type { WorkerOptions } from './threads/worker-options.ts';

export interface AppDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: LogRoot;
  readonly spawnWorker: (options: WorkerOptions) => WorkerThread;
  /** Of the command line, for the dump. */
  readonly args: readonly string[];
  /** Called when much memory may be free. May take a while. */
  readonly collectGarbage: () => void;
  /** Text of `/etc/resolv.conf`. */
  readonly resolvConf: string;
  /** Whether this machine has IPv6. */
  readonly machineHasIpv6: boolean;
  /** Somebody asked this process to end gracefully. */
  readonly onShutdown: (reason: string) => void;
  /** What cannot be gone on from. */
  readonly onFatal: (error: Error) => void;
}

export interface App extends AsyncDisposable {
  /** Closes listeners, lets connections end for as long as the configuration says, and stops everything. */
  stop(): Promise<void>;
}

/** This process may not do what it is for. */
export class PrivilegeError extends MeshError {
  readonly code = 'PRIVILEGE';
  readonly side = 'internal';

  constructor(problems: readonly string[]) {
    const needs =
      'run as root with CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_NET_RAW, or use PROXY_MODE=dedicated';
    super(`this process may not serve other network namespaces (${problems.join('; ')}): ${needs}`);
  }
}

const SELF_UID = 'self';

/** What a start waits for, in Istio's words. */
type ReadinessTask = 'state manager' | 'proxy' | 'dns proxy' | 'workload proxy manager';

/**
 * @throws MeshError naming what stands in the way: a port, a privilege, a local file, a worker. `signal.reason` if that
 * aborts: no pod of the node agent's has been taken on by then.
 */
export async function startApp(config: Config, deps: AppDeps, signal: AbortSignal): Promise<App> {
  await using scope = new AsyncDisposableStack();
  const { clock, random } = deps;
  const log = deps.log.scope('app');
  for (const warning of config.warnings) log.warn(warning);
  checkPrivileges(config);
  const ipv6 = config.ipv6 && deps.machineHasIpv6;
  const readiness = new Readiness<ReadinessTask>();
  readiness.block('state manager');
  if (config.mode === 'dedicated' && config.proxyEnabled) readiness.block('proxy');
  if (config.mode === 'dedicated' && config.dns) readiness.block('dns proxy');
  if (config.mode === 'shared') readiness.block('workload proxy manager');

  const bulkTable = new SharedArrayBuffer(BULK_TABLE_BYTES);
  const workers = scope.use(
    new WorkerPool({
      count: config.proxyEnabled ? config.workers : 0,
      spawn: (index) => deps.spawnWorker(workerOptions(config, index, ipv6, bulkTable)),
      onDeath: deps.onFatal,
      clock,
      log: deps.log.scope('workers'),
    }),
  );
  // While they start, this thread loads what speaks to the control plane, and asks it. They are awaited below, which tells of
  // a failure; one that comes before must not count as unhandled. What they are told meanwhile waits for them.
  const workersStarting = workers.start();
  workersStarting.catch(() => undefined);

  // After garbage was collected, which drops compiled code too.
  const warmUp =
    config.warmUp && config.mode === 'shared'
      ? warmUpOnce({
          network: config.network,
          workers,
          clock,
          log: deps.log.scope('workers'),
        })
      : () => undefined;
  const tidying = scope.use(
    new Tidying({
      collect: () => {
        deps.collectGarbage();
        workers.broadcast({ kind: 'collect-garbage' });
        warmUp();
      },
      delayMs: TIDY_DELAY_MS,
      clock,
    }),
  );
  const mesh = scope.use(
    new MeshState({
      nodeName: config.nodeName ?? '',
      onDemand: config.onDemand,
      workers,
      afterLargeChange: () => tidying.soon(),
      log: deps.log.scope('state'),
    }),
  );
  const source = scope.use(
    await certificateSource(config, config.mode === 'shared', {
      clock,
      random,
      log: deps.log.scope('ca'),
      onConnected: () => store.tryAgain(),
    }),
  );
  signal.throwIfAborted();
  const store: CertificateStore = scope.use(
    new CertificateStore({ fetch: source.fetch, clock, random, log: deps.log.scope('identity') }),
  );
  const identityOf = (info: PodInfo) =>
    mesh.store.localWorkload(info)?.identity ?? formatIdentity({ trustDomain: config.trustDomain, ...info });
  const metrics = new ControlMetrics({
    tag: config.istioVersion ?? 'unknown',
    podCount: (state) => pods.count(state),
    workerReports: () => workers.metrics(),
  });
  const clear = scope.use(
    new ClearConnections({
      mesh: mesh.store,
      mark: config.packetMark,
      missingPolicy: config.missingPolicy,
      mode: config.clearConnections,
      registry: metrics.registry,
      clock,
      log: deps.log.scope('clear'),
    }),
  );
  const dns = podDns(config, {
    mesh: mesh.store,
    registry: metrics.registry,
    ipv6,
    resolvConf: deps.resolvConf,
    clock,
    random,
    log: deps.log.scope('dns'),
  });
  const accompany = async (info: PodInfo, netnsFd: number | undefined) => {
    using started = new DisposableStack();
    const names = dns && started.use(await dns(info, netnsFd));
    if (netnsFd !== undefined) started.use(clear.watch(info, netnsFd));
    const owned = started.move();
    return { drain: async () => await names?.drain(), [Symbol.dispose]: () => owned.dispose() };
  };
  const podDeps = { workers, identityOf, accompany, clock, log: deps.log.scope('inpod') };
  const pods: Pods = scope.use(
    new Pods({
      ...podDeps,
      observer: {
        ...metrics.pods,
        coming: (info) => certificates.podComing(identityOf(info)),
        left: (info) => certificates.podLeft(info),
      },
    }),
  );
  /** The workload that this process itself is: not one of the node agent's, and not counted among them. */
  const own = scope.use(new Pods(podDeps));
  const certificates: Certificates = scope.use(
    new Certificates({
      store,
      mesh: mesh.store,
      workers,
      prefetchNode: config.mode === 'shared' ? (config.nodeName ?? '') : undefined,
      podUses: (namespace, serviceAccount) =>
        pods.uses(namespace, serviceAccount) || own.uses(namespace, serviceAccount),
      clock,
      log: deps.log.scope('identity'),
    }),
  );

  loadLocalMesh(config, mesh);
  const xds = config.xds
    ? scope.use(
        await xdsClient(config, config.xds, {
          handlers: mesh.handlers(),
          observer: metrics.xds,
          clock,
          random,
          log: deps.log.scope('xds'),
        }),
      )
    : undefined;
  await xds?.start(signal);
  await workersStarting;
  signal.throwIfAborted();
  log.info('data workers started', { workers: workers.size });
  if (config.crlPath) {
    scope.use(await followRevocations({ path: config.crlPath, workers, clock, log: deps.log.scope('crl') }));
  }

  const logging = {
    initial: deps.log.filter,
    current: () => deps.log.filter,
    change: (filter: LogRoot['filter']) => {
      deps.log.filter = filter;
      workers.broadcast({ kind: 'log-filter', filter: formatLogFilter(filter) });
    },
  };
  const version = {
    version: VERSION,
    gitRevision: 'unknown',
    rustVersion: `none: Node.js ${process.versions.node}`,
    buildProfile: 'release',
    buildStatus: 'Clean',
    istioVersion: config.istioVersion ?? 'unknown',
    cryptoProvider: 'tls-openssl',
  };
  const admin = adminHandler({
    configDump: () =>
      configDump({
        mesh: mesh.store,
        certificates: () => certificates.states(),
        pods: () => pods.states(),
        connections: () => workers.connections(),
        localFile: () => localText(config),
        config: dumpConfig(config, deps.args),
        version,
        shared: config.mode === 'shared',
        log: deps.log.scope('admin'),
      }),
    connections: async () => [...(await workers.connections()), ...clear.reports()],
    pods: () => [...pods.states(), ...own.states()],
    why: (query) =>
      handleWhy(query, {
        mesh: mesh.store,
        serves: ({ name, namespace }) =>
          [...pods.states(), ...own.states()].some(
            ({ info }) => info.name === name && info.namespace === namespace,
          ),
        certificate: (identity) => certificates.states().find((state) => state.identity === identity),
        options: {
          network: config.network,
          clusterDomain: config.clusterDomain,
          nodeName: config.nodeName ?? '',
          version: VERSION,
          illegalPorts: new Set(config.illegalPorts),
          localhostApplicationTunnel: config.localhostApplicationTunnel,
          missingPolicy: config.missingPolicy,
        },
      }),
    logging,
    profiler: new Profiler(clock),
    shutdown: deps.onShutdown,
  });
  const loopback = ['127.0.0.1', ...(ipv6 ? ['::1'] : [])];
  const wildcard = [ipv6 ? '::' : '0.0.0.0'];
  const httpLog = deps.log.scope('http');
  for (const server of [
    new HttpServer({ name: 'admin', handler: admin, hosts: loopback, port: config.adminPort, log: httpLog }),
    new HttpServer({
      name: 'stats',
      handler: metricsHandler(metrics),
      hosts: wildcard,
      port: config.statsPort,
      log: httpLog,
    }),
    new HttpServer({
      name: 'readiness',
      handler: readinessHandler(readiness),
      hosts: wildcard,
      port: PORTS.readiness,
      log: httpLog,
    }),
  ]) {
    scope.use(server);
    await server.start(signal);
    signal.throwIfAborted();
  }

  const stopping = new AbortController();
  scope.defer(() => stopping.abort(new Error('stopping')));
  followSync(xds, mesh, stopping.signal, () => {
    readiness.done('state manager');
    source.connectAhead();
    tidying.soon();
  });
  if (xds) answerDemands(workers, xds, clock, deps.log);

  if (config.self) await own.add({ uid: SELF_UID, ...config.self }, undefined, true);
  if (config.mode === 'dedicated' && config.workloadInfo) {
    await own.add({ uid: SELF_UID, ...config.workloadInfo }, undefined);
    readiness.done('proxy');
    readiness.done('dns proxy');
  }
  const ahead = namespacesAhead({ ...config, caAuthority: config.ca?.authority });
  const certified = async (info: PodInfo, until: AbortSignal) => {
    if (!ahead.has(info.namespace)) await certificates.available(identityOf(info), until);
  };
  const zds =
    config.mode === 'shared' ? scope.use(zdsClient(config, { pods, clear, certified }, deps)) : undefined;
  zds?.state.subscribe(({ ready }) => readiness.set('workload proxy manager', ready));
  signal.throwIfAborted();
  await zds?.start(signal);
  log.info('started', { mode: config.mode, admin: config.adminPort, stats: config.statsPort });

  const owned = scope.move();
  return {
    stop: async () => {
      log.info('draining', { deadlineMs: config.terminationDeadlineMs });
      await zds?.drain();
      const companions = [pods.drain(), own.drain()];
      const late = clock
        .sleep(config.terminationDeadlineMs + DRAIN_GRACE_MS, stopping.signal)
        .catch(() => undefined);
      const drained = Promise.all([workers.drain(config.terminationDeadlineMs), ...companions]);
      await Promise.race([drained, late]);
      log.info('drained');
      await owned.disposeAsync();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function checkPrivileges({ mode, packetMark }: Config): void {
  if (mode !== 'shared') return;
  const problems = missingForProxy(packetMark ?? 0);
  if (problems.length > 0) throw new PrivilegeError(problems);
}

function localText({ localSource }: Config): { readonly text: string; readonly file: string } | undefined {
  if (!localSource) return undefined;
  if (localSource.kind === 'inline') return { text: localSource.value, file: 'LOCAL_XDS' };
  return { text: readFileSync(localSource.value, 'utf8'), file: localSource.value };
}

function loadLocalMesh(config: Config, mesh: MeshState): void {
  const local = localText(config);
  if (local) mesh.loadLocal(local.text, local.file);
}

/** Calls `ready` when the first answer of each type is on every worker. Without a control plane that is what the file said. */
function followSync(
  xds: DeltaXdsClient | undefined,
  mesh: MeshState,
  signal: AbortSignal,
  ready: () => void,
): void {
  const reach = () => {
    mesh.reachedWorkers(signal).then(
      () => {
        mesh.complete();
        ready();
      },
      () => undefined,
    );
  };
  if (!xds || xds.synced.value) reach();
  else xds.synced.subscribe(reach);
}

/** What a worker needs to know before it can go on with a connection. The answer reaches it as mesh state. */
function answerDemands(workers: WorkerPool, xds: DeltaXdsClient, clock: Clock, root: LogRoot): void {
  const log = root.scope('xds');
  workers.subscribe((event) => {
    if (event.kind !== 'need-address') return;
    const late = new AbortController();
    const timer = clock.after(DEMAND_TIMEOUT_MS, () =>
      late.abort(new Error(`no answer within ${DEMAND_TIMEOUT_MS} ms`)),
    );
    xds
      .demand(ADDRESS_TYPE_URL, event.key, late.signal)
      .catch((error: unknown) =>
        log.debug('address not fetched', { key: event.key, error: messageOf(error) }),
      )
      .finally(() => timer.cancel());
  });
}

interface PodService {
  readonly pods: Pods;
  readonly clear: ClearConnections;
  /** Resolves when the pod has a certificate, if it is to wait for one. */
  readonly certified: (info: PodInfo, signal: AbortSignal) => Promise<void>;
}

function zdsClient(config: Config, { pods, clear, certified }: PodService, deps: AppDeps): ZdsClient {
  return new ZdsClient({
    path: config.agentSocket,
    handler: {
      add: async ({ uid, name, namespace, serviceAccount, names }, fd) => {
        const info = { uid, name, namespace, serviceAccount, ...(names && { names }) };
        await pods.add(info, netnsOfFd(fd));
      },
      // Into the mesh without a certificate means that every connection is refused: it is better served outside.
      admit: certified,
      redirected: ({ uid, inboundBypassed }) => {
        if (!inboundBypassed) clear.enrolled(uid);
      },
      remove: async (uid) => pods.remove(uid),
    },
    clock: deps.clock,
    random: deps.random,
    log: deps.log.scope('zds'),
  });
}
