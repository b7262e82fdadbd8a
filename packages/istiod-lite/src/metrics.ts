/** What the control plane counts, under Istio's names where Istio has one. */
import { MetricRegistry } from '@ambit/core/metrics';
import type { ServerObserver } from '@ambit/xds/server/client-stream';
import type { Graph } from './graph.ts';

export class ControlPlaneMetrics {
  readonly registry = new MetricRegistry();
  readonly xds: ServerObserver;
  readonly #signed;
  readonly #requests;

  constructor(graph: Graph) {
    const { registry } = this;
    const clients = registry.gauge({ name: 'pilot_xds', help: 'Clients connected over xDS' });
    const pushes = registry.counter({ name: 'pilot_xds_pushes', help: 'Responses sent', labels: ['type'] });
    const bytes = registry.counter({
      name: 'pilot_xds_config_size_bytes',
      help: 'Bytes sent',
      labels: ['type'],
    });
    const refusals = registry.counter({
      name: 'pilot_total_xds_rejects',
      help: 'Responses refused',
      labels: ['type'],
    });
    this.#requests = registry.counter({
      name: 'citadel_server_csr_count',
      help: 'Certificate requests that reached the CA',
    });
    this.#signed = registry.counter({
      name: 'citadel_server_success_cert_issuance_count',
      help: 'Certificates issued',
    });
    const resources = registry.gauge({
      name: 'ambit_istiod_resources',
      help: 'Resources served',
      labels: ['type'],
    });
    registry.beforeCollect(() => {
      resources.set(graph.addresses.size, { type: 'address' });
      resources.set([...graph.authorizationFeed.all()].length, { type: 'authorization' });
    });
    const short = (typeUrl: string) => ({ type: typeUrl.slice(typeUrl.lastIndexOf('.') + 1).toLowerCase() });
    this.xds = {
      connected: () => clients.add(1),
      disconnected: () => clients.add(-1),
      pushed: (typeUrl, _, sizeBytes) => {
        pushes.inc(short(typeUrl));
        bytes.inc(short(typeUrl), sizeBytes);
      },
      refused: (typeUrl) => refusals.inc(short(typeUrl)),
    };
  }

  /** Counts one request to the CA, and whether a certificate came of it. */
  async issuing<T>(issue: () => Promise<T>): Promise<T> {
    this.#requests.inc();
    const issued = await issue();
    this.#signed.inc();
    return issued;
  }
}
