/**
 * What the control plane counts, under Istio's names where Istio has one.
 *
 * Two moments tell an operator whether proxies are current: how long a change waited here until it was sent
 * (`pilot_proxy_convergence_time`), and how long until the client took it (`pilot_xds_send_time`).
 */
import { X509Certificate } from 'node:crypto';
import type { Clock } from '@ambit/core/clock';
import { MetricRegistry } from '@ambit/core/metrics';
import type { CaOutcome } from '@ambit/identity/ca-server';
import type { AuthorityMaterial } from '@ambit/identity/certificate-authority';
import { rootOf } from '@ambit/identity/trust-path';
import type { WatchObserver } from '@ambit/kube/watch-collection';
import type { DeltaXdsServer } from '@ambit/xds/server';
import type { ServerObserver } from '@ambit/xds/server/client-stream';
import { ROOT_PROBLEMS, type RootObserver } from './ca/root-secret.ts';
import type { Graph } from './graph.ts';
import type { WebhookRegistration } from './webhook/registration.ts';

const SECOND_MS = 1_000;
/** Upper bounds in seconds. */
const PUSH_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 3, 5, 10, 20, 30];
const CERTIFICATE_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5];

export class ControlPlaneMetrics {
  readonly registry = new MetricRegistry();
  readonly xds: ServerObserver;
  readonly watches: WatchObserver;
  /** For a request to the CA: call it, and what it returns when the answer goes out. */
  readonly issuing: () => (outcome: CaOutcome) => void;
  readonly root: RootObserver;
  readonly meshConfig: (isWrong: boolean) => void;

  constructor(clock: Clock) {
    this.xds = this.#pushes();
    this.watches = this.#watches();
    this.issuing = this.#certificates(clock);
    this.root = this.#root();
    const wrong = this.registry.gauge({
      name: 'ambit_istiod_mesh_config_problem',
      help: 'Whether the settings of the mesh are wrong, so that those before them are in force, or none: 1 or 0',
    });
    this.meshConfig = (isWrong) => wrong.set(isWrong ? 1 : 0);
  }

  /** Gauges that are read when somebody asks. */
  follow(sources: {
    readonly graph: Graph;
    readonly servers: () => readonly DeltaXdsServer[];
    readonly material: () => AuthorityMaterial | undefined;
    /** `undefined`: no webhook configuration is ours. */
    readonly registration: Pick<WebhookRegistration, 'unwritten'> | undefined;
    readonly clock: Clock;
  }): void {
    const { registry } = this;
    const resources = registry.gauge({
      name: 'ambit_istiod_resources',
      help: 'Resources served',
      labels: ['type'],
    });
    const owed = registry.gauge({
      name: 'ambit_istiod_xds_owed_names',
      help: 'Names of changed resources that wait until their clients have read what they were sent, over all clients',
    });
    const slowest = registry.gauge({
      name: 'ambit_istiod_xds_unread_seconds',
      help: 'For how long the slowest client has not taken the response that it was sent',
    });
    const waiting = registry.gauge({
      name: 'ambit_istiod_xds_waiting_clients',
      help: 'Clients that wait for their turn to be sent everything',
    });
    const expiry = registry.gauge({
      name: 'citadel_server_root_cert_expiry_timestamp',
      help: 'When the root that signs, or signed the signer, expires, in Unix seconds',
    });
    const remaining = registry.gauge({
      name: 'citadel_server_root_cert_expiry_seconds',
      help: 'Seconds until that root expires',
    });
    const chainExpiry = registry.gauge({
      name: 'citadel_server_cert_chain_expiry_timestamp',
      help: 'When the certificate that signs expires, in Unix seconds',
    });
    const roots = registry.gauge({
      name: 'ambit_istiod_trusted_roots',
      help: 'Roots that proxies are told to trust: more than one while a root is rotated',
    });
    const unwritten = registry.gauge({
      name: 'ambit_istiod_webhook_configurations_unwritten',
      help: 'Webhook configurations that are ours, by name or by label alone, and could not be written; they are tried again',
      labels: ['by'],
    });
    registry.beforeCollect(() => {
      const { graph, servers, material, registration, clock } = sources;
      if (registration) {
        const { name, label } = registration.unwritten();
        unwritten.set(name, { by: 'name' });
        unwritten.set(label, { by: 'label' });
      }
      resources.set(graph.addresses.size, { type: 'address' });
      resources.set([...graph.authorizationFeed.all()].length, { type: 'authorization' });
      for (const { kind, size } of graph.waypointFeeds) resources.set(size, { type: kind.toLowerCase() });
      const clients = servers().flatMap((server) => server.clients());
      owed.set(clients.flatMap(({ types }) => types).reduce((sum, type) => sum + type.owed, 0));
      slowest.set(Math.max(0, ...clients.map(({ unreadForMs }) => unreadForMs)) / SECOND_MS);
      waiting.set(servers().reduce((sum, { waitingForAll }) => sum + waitingForAll, 0));
      const now = material();
      if (!now) return;
      const endsMs = (pem: string) => new X509Certificate(pem).validToDate.getTime();
      const rootMs = rootOf(now)?.validToDate.getTime() ?? endsMs(now.signer.certificatePem);
      expiry.set(rootMs / SECOND_MS);
      remaining.set((rootMs - clock.now()) / SECOND_MS);
      chainExpiry.set(endsMs(now.signer.certificatePem) / SECOND_MS);
      roots.set(now.rootsPem.length);
    });
  }

  #pushes(): ServerObserver {
    const { registry } = this;
    const labels = ['type'] as const;
    const clients = registry.gauge({ name: 'pilot_xds', help: 'Clients connected over xDS' });
    const pushes = registry.counter({ name: 'pilot_xds_pushes', bare: true, help: 'Responses sent', labels });
    const bytes = registry.counter({
      name: 'pilot_xds_config_size_bytes',
      bare: true,
      help: 'Bytes sent',
      labels,
    });
    const refusals = registry.counter({
      name: 'pilot_total_xds_rejects',
      bare: true,
      help: 'Responses refused',
      labels,
    });
    const convergence = registry.histogram(
      {
        name: 'pilot_proxy_convergence_time',
        help: 'Seconds from a change until it is sent to a client',
        labels,
      },
      PUSH_BUCKETS,
    );
    const send = registry.histogram(
      { name: 'pilot_xds_send_time', help: 'Seconds until a client has taken a response', labels },
      PUSH_BUCKETS,
    );
    const short = (typeUrl: string) => ({ type: typeUrl.slice(typeUrl.lastIndexOf('.') + 1).toLowerCase() });
    return {
      connected: () => clients.add(1),
      disconnected: () => clients.add(-1),
      pushed: (typeUrl, _, sizeBytes, waitedMs) => {
        pushes.inc(short(typeUrl));
        bytes.inc(short(typeUrl), sizeBytes);
        convergence.observe(waitedMs / SECOND_MS, short(typeUrl));
      },
      taken: (typeUrl, tookMs) => send.observe(tookMs / SECOND_MS, short(typeUrl)),
      refused: (typeUrl) => refusals.inc(short(typeUrl)),
    };
  }

  #watches(): WatchObserver {
    const labels = ['collection'] as const;
    const lists = this.registry.counter({
      name: 'ambit_istiod_watch_lists',
      help: 'Times that all objects of a kind were listed: once, and again when the API server forgot where we were',
      labels,
    });
    const failures = this.registry.counter({
      name: 'ambit_istiod_watch_failures',
      help: 'Lists and watches that failed; they are tried again with growing pauses',
      labels,
    });
    return {
      listed: (collection) => lists.inc({ collection }),
      failed: (collection) => failures.inc({ collection }),
    };
  }

  #root(): RootObserver {
    const problems = this.registry.gauge({
      name: 'ambit_istiod_ca_secret_problem',
      help: 'Whether this is wrong with the Secret of the self-signed root: 1 or 0',
      labels: ['problem'],
    });
    const writes = this.registry.counter({
      name: 'ambit_istiod_ca_secret_written_back',
      help: 'Times that the Secret of the self-signed root was gone and was written again',
    });
    return {
      problem: (problem) => {
        for (const one of ROOT_PROBLEMS) problems.set(one === problem ? 1 : 0, { problem: one });
      },
      writtenBack: () => writes.inc(),
    };
  }

  #certificates(clock: Clock): () => (outcome: CaOutcome) => void {
    const { registry } = this;
    const requests = registry.counter({
      name: 'citadel_server_csr_count',
      bare: true,
      help: 'Certificate requests that reached the CA',
    });
    const outcomes = {
      issued: registry.counter({
        name: 'citadel_server_success_cert_issuance_count',
        bare: true,
        help: 'Certificates issued',
      }),
      'not authenticated': registry.counter({
        name: 'citadel_server_authentication_failure_count',
        bare: true,
        help: 'Requests of callers who are not who they say, or may not act for whom they ask',
      }),
      'not signed': registry.counter({
        name: 'citadel_server_csr_sign_err_count',
        bare: true,
        help: 'Requests that were not signed: wrong, for too long, or the CA cannot',
      }),
    } as const satisfies Record<CaOutcome, unknown>;
    const took = registry.histogram(
      { name: 'ambit_istiod_certificate_seconds', help: 'Seconds from a certificate request to its answer' },
      CERTIFICATE_BUCKETS,
    );
    return () => {
      requests.inc();
      const startedMs = clock.monotonicMs();
      return (outcome) => {
        outcomes[outcome].inc();
        took.observe((clock.monotonicMs() - startedMs) / SECOND_MS);
      };
    };
  }
}
