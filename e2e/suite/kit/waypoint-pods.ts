/** The pods of one waypoint that are ready, together: what they count and what they log. */
import { pods } from '@ambit/kube/resources/core';
import type { Cluster } from './cluster.ts';
import { isReady } from './mesh.ts';
import { parseMetrics, type Sample } from './metrics.ts';
import { askPod, logsOf } from './pod-http.ts';
import { eventually } from './wait.ts';

const METRICS_PORT = 15_020;
const LOGS_SINCE_SECONDS = 600;

export class WaypointPods {
  readonly #cluster: Cluster;
  readonly #namespace: string;
  readonly #name: string;

  constructor(cluster: Cluster, namespace: string, name = 'waypoint') {
    this.#cluster = cluster;
    this.#namespace = namespace;
    this.#name = name;
  }

  async #all() {
    const { items } = await this.#cluster.client.list(pods, {
      namespace: this.#namespace,
      labelSelector: `gateway.networking.k8s.io/gateway-name=${this.#name}`,
    });
    return items
      .filter((pod) => isReady(pod) && pod.metadata.deletionTimestamp === undefined)
      .map(({ metadata: { name } }) => ({ namespace: this.#namespace, name }));
  }

  /** A pod that goes meanwhile is asked for nothing the next time. */
  async metrics(): Promise<readonly Sample[]> {
    return await eventually(
      'metrics of the waypoint',
      () => this.#metricsNow(),
      (samples) => samples.length > 0,
    );
  }

  async #metricsNow(): Promise<readonly Sample[]> {
    const all = await this.#all();
    const pages = await Promise.all(
      all.map((pod) =>
        askPod(this.#cluster.client, { ...pod, port: METRICS_PORT }, 'GET', '/stats/prometheus'),
      ),
    );
    return pages.flatMap(({ body }) => parseMetrics(body));
  }

  /** Lines of the last ten minutes: what is waited for may have been told at the beginning of the wait. */
  async logs(): Promise<readonly string[]> {
    const all = await this.#all();
    const texts = await Promise.all(
      all.map((pod) => logsOf(this.#cluster.client, pod, { sinceSeconds: LOGS_SINCE_SECONDS })),
    );
    return texts.flatMap((text) => text.split('\n'));
  }
}
