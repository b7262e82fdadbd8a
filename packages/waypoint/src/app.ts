/**
 * READ FIRST: the whole waypoint, wired from top to bottom.
 *
 * One loop does everything: xDS fills the mesh and the resources; clients' tunnels come in, their requests are decided on
 * what both hold, and go out through the pools of their destinations. A start that fails half-way undoes itself.
 */
import { Profiler } from '@ambit/core/admin/profile';
import type { Clock, Random } from '@ambit/core/clock';
import { VERSION } from '@ambit/core/gen/version';
import { HttpServer } from '@ambit/core/http-server';
import type { LogRoot } from '@ambit/core/log';
import { MetricRegistry } from '@ambit/core/metrics';
import { metricsHandler, processMetrics } from '@ambit/core/metrics-process';
import { type Lookup, Names } from '@ambit/core/names';
import { Readiness, readinessHandler } from '@ambit/core/readiness';
import { until } from '@ambit/core/watch';
import { Deadlines } from '@ambit/http/deadlines';
import type { HeaderFields } from '@ambit/http/header-fields';
import { DEFAULT_SESSION_OPTIONS, type SessionOptions } from '@ambit/http/h2/session';
import {
  DEFAULT_HTTP1_OPTIONS,
  DEFAULT_HTTP1_SERVER_OPTIONS,
  DEFAULT_HTTP2_CLIENT_OPTIONS,
  DEFAULT_HTTP2_OPTIONS,
} from '@ambit/http/options';
import { QueueBudget } from '@ambit/hbone/queue-budget';
import { CertificateStore } from '@ambit/identity/certificate-store';
import { certificateSource } from '@ambit/identity/control-plane-access';
import { Revocations, watchRevocationFile } from '@ambit/identity/revocation-list';
import { MeshWaits } from '@ambit/model/mesh-waits';
import { MeshStore } from '@ambit/model/store';
import { xdsMetrics } from '@ambit/xds/client-metrics';
import type { TypeReport } from '@ambit/xds/client/type-state';
import type { Config } from './config.ts';
import { adminHandler } from './control/admin.ts';
import { handleConfigDump } from './control/dump/config-dump.ts';
import { addressHandler, localNames, xdsClient } from './control/control-plane.ts';
import { ownMetrics } from './control/own-metrics.ts';
import { OwnCertificate } from './control/own-certificate.ts';
import { resourceHandlers } from './control/resources.ts';
import { handleWhy } from './control/why.ts';
import { ownBaggage, selfWorkload } from './control/self-workload.ts';
import { Admission } from './exchange/admission.ts';
import { clientCertificateField } from './exchange/client-certificate.ts';
import type { ExchangeContext } from './exchange/context.ts';
import { FaultReport } from './exchange/fault-report.ts';
import { configOf } from './exchange/downstream.ts';
import { PolicyReport } from './exchange/policy-report.ts';
import { HttpService } from './inbound/http-service.ts';
import { Inbound } from './inbound/inbound.ts';
import { hashOf } from './decide/balance/hash-key.ts';
import { mayBeAsked } from './decide/outside.ts';
import { hasHttpRules } from './decide/port-rules.ts';
import { decideRetry } from './decide/retry.ts';
import { createSecurity } from './security/security.ts';
import { webFetcher } from './security/web-fetch.ts';
import { FLUSH_MS } from './limits.ts';
import { ResourceStore } from './resources/store.ts';
import { ByteStreams } from './stream/stream-service.ts';
import type { LogOutputs } from './telemetry/access-log/log-outputs.ts';
import { MAX_COLLECTOR_ANSWER_BYTES } from './telemetry/limits.ts';
import { destinationLines } from './telemetry/metrics/destination-lines.ts';
import { WaypointTelemetry } from './telemetry/telemetry.ts';
import { askService } from './upstream/ask-service.ts';
import { Connector } from './upstream/connector.ts';
import { outsideLookup } from './upstream/outside-names.ts';
import { readTlsFile } from './upstream/read-tls-file.ts';
import { TlsMaterials } from './upstream/tls-materials.ts';
import { Tunnels } from './upstream/tunnels.ts';
import { Upstreams } from './upstream/upstreams.ts';

export interface AppDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: LogRoot;
  /** Variables of this process, which users may have added to spans. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Whether this machine has IPv6. */
  readonly machineHasIpv6: boolean;
  /** Somebody asked this process to end gracefully. */
  readonly onShutdown: (reason: string) => void;
  /** Called once, before clients are served: the start leaves much that nothing would look for. Default: nothing. */
  readonly collectGarbage?: () => void;
  /** Where endpoints take tunnels, if not at 15008: for tests. */
  readonly hbonePort?: number;
  /** Where access lines go, if not to the outputs of this process: for tests. */
  readonly accessLog?: LogOutputs;
  /** Where Secrets are mounted, if not where pods have them: for tests. */
  readonly credentials?: string;
  /** Who is asked for names that clients bring, and which addresses are believed, if not as always: for tests. */
  readonly outside?: { readonly lookUp: Lookup; readonly mayBeAsked: (ip: string) => boolean };
}

export interface App extends AsyncDisposable {
  /** Where it listens, once started: for tests, which let the kernel choose. */
  readonly ports: {
    readonly inbound: number;
    readonly admin: number;
    readonly stats: number;
    readonly readiness: number;
  };
  /** Says that it goes, lets requests and connections end for as long as the configuration says, and stops everything. */
  stop(): Promise<void>;
}

const NO_FIELDS: HeaderFields = [];

/** What a start waits for, and an end says. */
type ReadinessTask = 'certificate' | 'configuration' | 'draining';

/** @throws MeshError naming what stands in the way, such as a port. `signal.reason` if that aborts. */
export async function startApp(config: Config, deps: AppDeps, signal: AbortSignal): Promise<App> {
  await using scope = new AsyncDisposableStack();
  const { clock, random } = deps;
  const log = deps.log.scope('app');
  const ipv6 = config.ipv6 && deps.machineHasIpv6;
  const readiness = new Readiness<ReadinessTask>();
  readiness.block('certificate');
  readiness.block('configuration');
  const registry = new MetricRegistry();
  processMetrics(registry);
  const build = registry.gauge({
    name: 'istio_build',
    help: 'Istio component build info',
    labels: ['component', 'tag'],
    stable: true,
  });
  build.set(1, { component: 'proxy', tag: config.istioVersion ?? VERSION });

  // What it knows.
  const mesh = new MeshStore({ nodeName: '' });
  const resources = new ResourceStore({
    namespace: config.self.namespace,
    gatewayName: config.self.gatewayName,
  });
  const self = selfWorkload(mesh, config);
  const baggage = ownBaggage(self);

  // Who it is.
  const source = scope.use(
    await certificateSource(config, false, {
      clock,
      random,
      log: deps.log.scope('ca'),
      onConnected: () => store.tryAgain(),
    }),
  );
  const store: CertificateStore = scope.use(
    new CertificateStore({ fetch: source.fetch, clock, random, log: deps.log.scope('identity') }),
  );
  const revocations = new Revocations();
  if (config.crlPath) {
    const crl = { path: config.crlPath, revocations, clock, log: deps.log.scope('crl') };
    scope.use(await watchRevocationFile(crl));
  }
  const certificate = scope.use(
    new OwnCertificate({
      identity: config.self.identity,
      store,
      revocations,
      settings: config.tls,
      trustDomains: () => {
        const { trustDomain, trustDomainAliases } = resources.snapshot.settings;
        return [trustDomain || config.trustDomain, ...trustDomainAliases];
      },
    }),
  );

  // The way out.
  const budget = new QueueBudget(config.maxHeldBytes);
  const session: SessionOptions = {
    ...DEFAULT_SESSION_OPTIONS,
    streamWindowBytes: config.streamWindowBytes,
    connectionWindowBytes: config.connectionWindowBytes,
    maxFrameBytes: config.frameBytes,
    clock,
  };
  const deadlines = new Deadlines(clock);
  const tunnels = scope.use(
    new Tunnels({
      certificate,
      session,
      maxStreams: config.poolMaxStreams,
      unusedReleaseMs: config.poolUnusedReleaseMs,
      baggage,
      budget,
    }),
  );
  const connector = new Connector({
    tunnels,
    materials: new TlsMaterials({
      read: readTlsFile,
      credentials: deps.credentials,
      clock,
      log: deps.log.scope('upstream'),
    }),
    clock,
    http1: { ...DEFAULT_HTTP1_OPTIONS, deadlines, budget },
    http2: { ...DEFAULT_HTTP2_CLIENT_OPTIONS, clock, deadlines, budget },
    hbonePort: deps.hbonePort,
  });
  const admission = new Admission(config.maxRequests, config.maxConnections);
  const upstreams = scope.use(
    new Upstreams({
      mesh,
      resources,
      connector,
      names: new Names(clock),
      outside: {
        names: new Names(clock, deps.outside?.lookUp ?? outsideLookup(), admission.lookups),
        mayBeAsked: deps.outside?.mayBeAsked ?? mayBeAsked,
      },
      clock,
      self,
      random,
      log: deps.log.scope('upstream'),
    }),
  );

  const asking = { upstreams, mesh, random, rootNamespace: () => resources.settings.rootNamespace };

  // What is told.
  const telemetry = new WaypointTelemetry({
    settings: () => resources.settings,
    context: {
      local: localNames(config),
      hostname: config.self.podName,
      environment: deps.environment,
    },
    registry,
    ask: (tracer, request, stop) => {
      const question = {
        service: tracer.service,
        port: tracer.port,
        version: request.http2 ? ('2' as const) : ('1.1' as const),
        method: 'POST',
        path: request.path,
        fields: request.fields,
        body: request.body,
        maxBytes: MAX_COLLECTOR_ANSWER_BYTES,
      };
      return askService(asking, question, stop);
    },
    clock,
    random,
    log: deps.log.scope('telemetry'),
    ...(deps.accessLog ? { outputs: deps.accessLog } : {}),
  });

  // What becomes of requests and connections.
  const security = createSecurity({
    settings: () => resources.settings,
    mesh,
    ask: (question, stop) => askService(asking, question, stop),
    ownIdentity: config.self.identity,
    fetch: webFetcher(),
    clock,
    log: deps.log.scope('security'),
  });
  const faults = new FaultReport(registry, deps.log.scope('http'), clock);
  const context: ExchangeContext = {
    snapshot: () => resources.snapshot,
    decisions: { hashOf, decideRetry },
    security,
    reporter: telemetry,
    policyReport: new PolicyReport(registry, deps.log.scope('policies')),
    faults,
    upstreams,
    admission,
    budget,
    clock,
    random,
    deadlines,
    clientFields: config.tellsClientIdentity ? clientCertificateField(config.self.identity) : () => NO_FIELDS,
    retryBodyBytes: config.retryBodyBytes,
    streamIdleMs: config.streamIdleMs,
  };
  const http = new HttpService({
    context,
    http: {
      http1: { ...DEFAULT_HTTP1_SERVER_OPTIONS, deadlines, budget },
      http2: { ...DEFAULT_HTTP2_OPTIONS, clock, deadlines, budget },
    },
  });
  const identity = {
    service: config.self.service,
    workloadUid: config.self.workloadUid,
    ip: config.self.ip,
    network: config.network,
  };
  const streams = scope.use(new ByteStreams(context, resources.changes));
  const inbound = scope.use(
    new Inbound({
      ip: ipv6 ? '::' : '0.0.0.0',
      port: config.ports.inbound,
      network: config.network,
      mesh,
      meshWaits: new MeshWaits(mesh, clock),
      self: identity,
      admission,
      certificate,
      session,
      budget,
      http,
      streams,
      clock,
      hasHttpRules: (destination) => hasHttpRules(configOf(resources.snapshot, destination)),
      faults,
      baggage,
      log: deps.log.scope('inbound'),
    }),
  );

  // What operators ask.
  ownMetrics(registry, { admission, budget, openTunnels: () => tunnels.openTunnels });
  const scrape = function* () {
    yield* destinationLines(upstreams.clusters());
    yield* telemetry.scrape();
  };
  const metrics = { scrape: () => ({ pieces: scrape() }) };
  let feeds: () => readonly TypeReport[] = () => [];
  const admin = adminHandler({
    configDump: (query) =>
      handleConfigDump(query, {
        version: VERSION,
        self: config.self,
        identity,
        mesh,
        resources,
        destinations: () => upstreams.clusters(),
        keySets: security.keySets,
        certificates: () => certificate.states(),
        feeds: () => feeds(),
        admission,
      }),
    why: (query) =>
      handleWhy(query, {
        mesh,
        snapshot: () => resources.snapshot,
        self: identity,
        place: self,
        cluster: (backend, host) => upstreams.clusterFor(backend, () => host, undefined),
        authenticate: security.authenticate,
        version: VERSION,
      }),
    stats: () => [...scrape()].join(''),
    logging: {
      initial: deps.log.filter,
      current: () => deps.log.filter,
      change: (filter) => {
        deps.log.filter = filter;
      },
    },
    profiler: new Profiler(clock),
    shutdown: deps.onShutdown,
  });
  const loopback = ['127.0.0.1', ...(ipv6 ? ['::1'] : [])];
  const wildcard = [ipv6 ? '::' : '0.0.0.0'];
  const httpLog = deps.log.scope('http');
  const serve = async (
    name: 'admin' | 'stats' | 'readiness',
    handler: ConstructorParameters<typeof HttpServer>[0]['handler'],
    hosts: readonly string[],
  ) => {
    const server = scope.use(
      new HttpServer({ name, handler, hosts, port: config.ports[name], log: httpLog }),
    );
    await server.start(signal);
    signal.throwIfAborted();
    return server;
  };
  const adminServer = await serve('admin', admin, loopback);
  const statsServer = await serve('stats', metricsHandler(metrics), wildcard);
  const readinessServer = await serve('readiness', readinessHandler(readiness), wildcard);

  // The control plane, and then clients: nobody is served before it is known what must be enforced.
  const stopping = new AbortController();
  scope.defer(() => stopping.abort(new Error('stopping')));
  if (config.xds) {
    const xds = scope.use(
      await xdsClient(config, config.xds, {
        handlers: [...resourceHandlers(resources), addressHandler(mesh)],
        observer: xdsMetrics(registry),
        clock,
        random,
        log: deps.log.scope('xds'),
      }),
    );
    feeds = () => xds.report();
    await xds.start(signal);
    void until(xds.synced, (synced) => synced, stopping.signal)
      .then(
        async () => {
          mesh.complete();
          deps.collectGarbage?.();
          await inbound.open();
          log.info('serving', { port: inbound.port });
          readiness.done('configuration');
          source.connectAhead();
        },
        () => undefined,
      )
      .catch((error: unknown) => deps.onShutdown(String(error)));
  }
  void certificate.available().then(() => readiness.done('certificate'));
  log.info('started', { admin: adminServer.port, stats: statsServer.port });

  const owned = scope.move();
  return {
    get ports() {
      return {
        inbound: inbound.port,
        admin: adminServer.port,
        stats: statsServer.port,
        readiness: readinessServer.port,
      };
    },
    stop: async () => {
      log.info('draining', { ms: config.drainMs });
      readiness.block('draining');
      await inbound.drain(config.drainMs);
      await Promise.race([telemetry.flush(), clock.sleep(FLUSH_MS)]);
      tunnels.drain();
      log.info('drained');
      await owned.disposeAsync();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
