/**
 * The control plane wired, top to bottom. Nothing is served before everything that was there at the start is known:
 * an answer made from half of it would make proxies forget the rest.
 */
import { createServer } from 'node:net';
import { hostname } from 'node:os';
import { Scheduler } from '@ambit/collections/scheduler';
import type { Clock, Random } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { BindError, HttpServer } from '@ambit/core/http-server';
import { formatHostPort } from '@ambit/core/ip';
import type { Logger } from '@ambit/core/log';
import { RuntimeMetrics } from '@ambit/core/metrics-runtime';
import { type Service, stop } from '@ambit/core/service';
import { until, type Watch, Watched } from '@ambit/core/watch';
import { CA_SERVICE, createCaService } from '@ambit/identity/ca-server';
import type { KubeClient } from '@ambit/kube/client';
import { EventTeller } from '@ambit/kube/event-teller';
import { validatingWebhookConfigurations } from '@ambit/kube/resources/authentication';
import type { ConfigMap } from '@ambit/kube/resources/core';
import { watchCollection } from '@ambit/kube/watch-collection';
import type { ClientNode } from '@ambit/xds/resource-feed';
import { DeltaXdsServer, type DeltaXdsServerOptions, XDS_SERVER_OPTIONS } from '@ambit/xds/server';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { adminHandler, monitoringHandler, readinessHandler } from './admin/routes.ts';
import { startAuthority } from './ca/authority.ts';
import { NodeAuthorization } from './ca/node-authorization.ts';
import { RootDistribution } from './ca/root-distribution.ts';
import { TokenAuthenticator } from './ca/token-authenticator.ts';
import type { Config } from './config.ts';
import { startClassStatuses } from './gateway/class-statuses.ts';
import { revisionName } from './gateway/decide/management.ts';
import { renderSettings } from './gateway/settings.ts';
import { startGatewayController } from './gateway/start.ts';
import { buildGraph, type Graph } from './graph.ts';
import { RenewedCredentials } from './grpc-credentials.ts';
import { watchInputs } from './inputs.ts';
import { Leadership, type StartWork } from './leadership.ts';
import { BELIEVED_AT_START_MAX_MS } from './limits.ts';
import { withMeshConfigAtStart } from './mesh-config/at-start.ts';
import { meshConfigName } from './mesh-config/mesh-config.ts';
import { MeshConfigProblems } from './mesh-config/problems.ts';
import { ControlPlaneMetrics } from './metrics.ts';
import { nodeProblem } from './push/client-check.ts';
import { ServingCertificate, servingNames } from './serving-certificate.ts';
import { AddressAllotter } from './status/address-allotter.ts';
import { startStatusWriters } from './status/status-writers.ts';
import { NodeUntaint } from './untaint/node-untaint.ts';
import { clusterWorld } from './webhook/cluster-world.ts';
import { lacking } from './webhook/bundle.ts';
import { WebhookRegistration } from './webhook/registration.ts';
import { WebhookServer } from './webhook/server.ts';

export interface Deps {
  readonly client: KubeClient;
  readonly version: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Gives back what reading the world at the start took. Default: that stays until it is needed. */
  readonly collectGarbage?: () => void;
}

export interface ControlPlane extends AsyncDisposable {
  readonly ports: {
    readonly secure: number;
    readonly plaintext: number | undefined;
    readonly webhook: number;
    readonly http: number;
    readonly monitoring: number;
  };
  /**
   * Says that it is not ready, goes on serving until that is known, tells clients one after another to go elsewhere, and
   * ends.
   */
  stop(): Promise<void>;
}

export async function startControlPlane(
  given: Config,
  deps: Deps,
  signal: AbortSignal,
): Promise<ControlPlane> {
  const { client, clock, random, log } = deps;
  await using scope = new AsyncDisposableStack(); // undoes a start that fails half-way
  const metrics = new ControlPlaneMetrics(clock);
  const host = given.bindAddress === '::' ? await anyAddress() : given.bindAddress;
  // A name of our own for where there is no pod: two processes of one machine are two replicas.
  const identity = given.podName ?? `${hostname()}-${Math.floor(random() * 2 ** 32).toString(36)}`;
  const events = new EventTeller({ client, component: 'istiod', instance: identity, clock, log });
  const meshConfig = { namespace: given.namespace, name: meshConfigName(given.revision) };
  const meshConfigLog = log.scope('mesh config');
  const problems = new MeshConfigProblems({
    ...meshConfig,
    events,
    observe: metrics.meshConfig,
    log: meshConfigLog,
  });

  let ready = false;
  const notReady = () =>
    ready ? undefined : problems.current === undefined ? 'starting' : `starting: ${problems.current}`;
  let admin = readinessHandler(notReady);
  const http = scope.use(
    new HttpServer({
      name: 'http',
      hosts: [host],
      port: given.httpPort,
      handler: (request) => admin(request),
      log: log.scope('http'),
    }),
  );
  const runtime = scope.use(new RuntimeMetrics());
  const monitoring = scope.use(
    new HttpServer({
      name: 'monitoring',
      hosts: [host],
      port: given.monitoringPort,
      handler: monitoringHandler(metrics.registry, runtime, deps.version),
      log: log.scope('http'),
    }),
  );
  await http.start(signal);
  await monitoring.start(signal);

  const config = await withMeshConfigAtStart(
    given,
    { client, problems, clock, random, log: meshConfigLog },
    signal,
  );
  const settings = {
    ...config,
    systemNamespace: config.namespace,
    rootNamespace: config.rootNamespace ?? config.namespace,
  };
  const common = { client, clock, random, log };

  const scheduler = new Scheduler({
    onError: (collection, key, error) =>
      log.error('computation failed', { collection, key, error: messageOf(error) }),
  });
  const watched = scope.use(
    watchInputs(client, {
      meshConfig,
      scheduler,
      clock,
      random,
      observer: metrics.watches,
      log: log.scope('watch'),
    }),
  );
  const { revision } = config;
  const graph = buildGraph({
    inputs: watched,
    settings,
    revision,
    scheduler,
    clock,
    log: log.scope('graph'),
  });
  const { inputs } = graph;
  const nodes = new NodeAuthorization({
    ...config,
    // Also of namespaces that are not looked at: the node's proxy may be in one.
    pods: watched.pods,
    scheduler,
    trustedAccounts: config.trustedNodeAccounts,
    clock,
  });
  const tokens = new TokenAuthenticator({ ...config, client, clock, audiences: config.audience.split(',') });

  const xdsServers: DeltaXdsServer[] = [];
  const review = { settings, world: clusterWorld(inputs, graph, settings) };
  admin = adminHandler({ notReady, graph, inputs, xds: () => xdsServers, review, clock });

  const { webhookConfiguration } = config;
  const configurations = scope.use(
    watchCollection(client, validatingWebhookConfigurations, { clock, random, log: log.scope('webhook') }),
  );
  const holdUp = (rootsPem: readonly string[], nextPem: string) => {
    if (webhookConfiguration === '') return undefined;
    if (!configurations.synced.value) return 'webhook configurations cannot be read';
    const names = lacking(configurations.values(), rootsPem, nextPem);
    return names.length > 0
      ? `it is not in the caBundle of ${names.join(', ')}, which would refuse all policies`
      : undefined;
  };
  const ca = scope.use(
    await startAuthority(
      { ...common, config, events, observer: metrics.root, holdUp, log: log.scope('ca') },
      signal,
    ),
  );
  const registration =
    webhookConfiguration === ''
      ? undefined
      : scope.use(
          new WebhookRegistration({
            ...common,
            configurations,
            name: webhookConfiguration,
            revision,
            namespace: config.namespace,
            material: () => ca.authority.material,
            changed: ca.changed,
          }),
        );
  metrics.follow({
    graph,
    servers: () => xdsServers,
    material: () => ca.authority.material,
    registration,
    clock,
  });
  const serving = scope.use(
    await ServingCertificate.create({
      authority: ca.authority,
      changed: ca.changed,
      believed: async (maxMs) => await registration?.believed(maxMs),
      dnsNames: [...servingNames(config.namespace, config.revision, config.domain), 'localhost'],
      ips: ['127.0.0.1', '::1'],
      // Nobody gets a longer one, not even we.
      ttlMs: Math.min(config.servingTtlMs, config.maxTtlMs),
      clock,
      log: log.scope('ca'),
    }),
  );
  for (const root of graph.roots) await until(root.synced, Boolean, signal);
  const followed = scope.use(followSettings(graph, problems, () => [...watched.meshConfigMaps.values()][0]));
  await until(followed.areRead, Boolean, signal);
  log.info('everything is known', { addresses: graph.addresses.size });

  const xdsOptions: Omit<DeltaXdsServerOptions, 'authenticate'> = {
    feeds: [graph.addressFeed, graph.authorizationFeed, ...graph.waypointFeeds],
    systemVersion: () => deps.version,
    observer: metrics.xds,
    clock,
    log: log.scope('xds'),
  };
  const problemOf = (client: string, node: ClientNode) =>
    nodeProblem(
      client,
      node,
      (gateway, account) =>
        // Whoever may make pods may give them the label of a Gateway that is not there.
        inputs.gateways.has(gateway) &&
        (graph.gatewayInstances.get(gateway) ?? []).some((instance) => instance.account === account),
    );
  const grpcServers: Server[] = [];
  const newServer = () => {
    const server = new Server(XDS_SERVER_OPTIONS);
    grpcServers.push(server);
    scope.defer(() => server.forceShutdown());
    return server;
  };
  const secure = newServer();
  const xds = scope.use(
    new DeltaXdsServer({
      ...xdsOptions,
      authenticate: async ({ metadata }) =>
        config.xdsAuth ? ((await tokens.authenticate(metadata)).identities[0] ?? '') : '',
      ...(config.xdsAuth && config.xdsIdentityCheck && { refuse: problemOf }),
    }),
  );
  xdsServers.push(xds);
  xds.addTo(secure);
  secure.addService(
    CA_SERVICE,
    createCaService({
      authority: ca.authority,
      observe: metrics.issuing,
      authenticate: tokens.authenticate,
      authorize: nodes.authorize,
      log: log.scope('ca'),
    }),
  );
  const credentials = scope.use(new RenewedCredentials(serving.pair));
  const securePort = await bind(secure, 'xDS and CA', host, config.securePort, credentials);

  let plaintextPort: number | undefined;
  if (config.plaintext) {
    const plaintext = newServer();
    const plain = scope.use(new DeltaXdsServer({ ...xdsOptions, authenticate: () => Promise.resolve('') }));
    xdsServers.push(plain);
    plain.addTo(plaintext);
    plaintextPort = await bind(
      plaintext,
      'plaintext xDS',
      '127.0.0.1',
      config.plaintextPort,
      ServerCredentials.createInsecure(),
    );
  }

  const webhook = scope.use(
    new WebhookServer({
      host,
      port: config.webhookPort,
      certificate: serving.pair,
      review,
      log: log.scope('webhook'),
    }),
  );
  await webhook.start(signal);
  registration?.serves();

  const leaderships: Leadership[] = [];
  const onlyOne = (lease: string, start: StartWork) => {
    const leadership = scope.use(
      new Leadership({ ...common, namespace: config.namespace, name: lease, identity }),
    );
    leaderships.push(leadership);
    leadership.whileLeading(start);
  };
  onlyOne('istio-namespace-controller-election', (own) =>
    own.use(
      new RootDistribution({
        ...common,
        rootsPem: () => ca.authority.material.rootsPem.join(''),
        changed: ca.changed,
        namespaces: inputs.discoveredNamespaces,
        name: config.rootConfigMap,
      }),
    ),
  );
  const classStatuses = config.gatewayDeployments && config.gatewayStatus;
  if (config.status || classStatuses)
    // One of all revisions, so what is nobody's revision is here as well.
    onlyOne('istio-status-leader', (own) => {
      if (classStatuses) own.use(startClassStatuses({ ...common, inputs, scheduler }));
      if (!config.status) return;
      own.use(
        startStatusWriters({
          ...common,
          inputs,
          conditions: graph.conditions,
          routes: graph.routeStatuses,
          backendTls: graph.backendTlsStatuses,
        }),
      );
    });
  if (config.ipAutoallocate)
    onlyOne('istio-ip-autoallocate', (own) =>
      own.use(
        new AddressAllotter({
          ...common,
          ...config,
          settings,
          entries: inputs.serviceEntries,
          ...graph.serviceEntries,
        }),
      ),
    );
  if (config.gatewayDeployments)
    onlyOne(`istio-gateway-deployment-${revisionName(revision)}`, () =>
      startGatewayController({
        ...common,
        inputs,
        settings: renderSettings(config, deps.version),
        systemNamespace: config.namespace,
        scheduler,
        writes: { classes: config.gatewayClasses, statuses: config.gatewayStatus },
      }),
    );
  if (config.untaint)
    onlyOne('istio-node-untaint', (own) =>
      own.use(
        new NodeUntaint({
          ...common,
          nodes: inputs.nodes,
          // Also of namespaces that are not looked at: the agents may be in one, and nodes would wait for ever.
          pods: watched.pods,
          agentNamespace: config.agentNamespace ?? config.namespace,
          taintKey: config.untaintKey,
          scheduler,
        }),
      ),
    );
  deps.collectGarbage?.();
  // Who is ready is asked: after a start with another CA, policies would be refused until the API server was told.
  await registration?.believed(BELIEVED_AT_START_MAX_MS, signal);
  ready = true;
  log.info('serving', {
    secure: securePort,
    webhook: webhook.port,
    http: http.port,
    monitoring: monitoring.port,
  });

  const owned = scope.move(); // success: from here the caller owns everything
  return {
    ports: {
      secure: securePort,
      plaintext: plaintextPort,
      webhook: webhook.port,
      http: http.port,
      monitoring: monitoring.port,
    },
    stop: async () => {
      ready = false;
      // Leases first: another replica need not wait for our clients to leave.
      const handedOver = Promise.all(leaderships.map((leadership) => leadership[Symbol.asyncDispose]()));
      // Whoever connects in this time is still served, since not everybody knows yet that we leave.
      await clock.sleep(config.drainNoticeMs);
      await Promise.all(xdsServers.map((server) => server.drain(config.drainSpreadMs)));
      const services = [webhook, ...grpcServers.map(asService)];
      await Promise.all([
        handedOver,
        ...services.map((service) => stop(service, config.drainDeadlineMs, clock)),
      ]);
      await Promise.all([http, monitoring].map((service) => stop(service, config.drainDeadlineMs, clock)));
      await owned.disposeAsync();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/**
 * Tells what is wrong with the mesh's settings. At a start there is no text before this one that could stay in force, so
 * nothing may be served before they have been read.
 */
function followSettings(
  { settings: { meshConfig, problem } }: Graph,
  problems: MeshConfigProblems,
  object: () => ConfigMap | undefined,
): Disposable & { readonly areRead: Watch<boolean> } {
  const areRead = new Watched(false);
  const look = () => {
    const isAny = meshConfig.value !== undefined;
    const consequence = isAny ? 'the last good ones stay in force' : 'nothing is served until they are right';
    problems.report(problem.value, consequence, object());
    if (isAny) areRead.set(true);
  };
  const subscriptions = new DisposableStack();
  for (const one of [problem, meshConfig]) subscriptions.use(one.subscribe(look));
  look();
  return { areRead, [Symbol.dispose]: () => subscriptions.dispose() };
}

/** A certificate that is being issued is still handed out; streams have been ended before. */
function asService(server: Server): Service {
  return {
    name: 'grpc',
    start: () => Promise.resolve(),
    drain: () => new Promise((resolve) => server.tryShutdown(() => resolve())),
    [Symbol.asyncDispose]: () => Promise.resolve(server.forceShutdown()),
  };
}

/** Every address of the machine, both families where there are both. */
async function anyAddress(): Promise<string> {
  const probe = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      probe.once('error', reject);
      probe.listen({ host: '::', port: 0 }, resolve);
    });
    return '::';
  } catch {
    return '0.0.0.0';
  } finally {
    probe.close();
  }
}

function bind(
  server: Server,
  what: string,
  host: string,
  port: number,
  credentials: ServerCredentials,
): Promise<number> {
  const address = formatHostPort(host, port);
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, bound) => {
      if (error) reject(new BindError(what, address, error));
      else resolve(bound);
    });
  });
}
