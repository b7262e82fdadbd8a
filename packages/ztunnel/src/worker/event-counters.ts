/** What a worker counts beside connections: names that it resolved, peers whose certificates are revoked, faults. */
import type { MetricReport } from '../threads/messages.ts';
import { FAULT_LOG_MS, MAX_EVENT_SERIES } from './limits.ts';
import { labelsOf, TRAFFIC_LABELS, type Traffic } from './traffic.ts';

/** The part of a connection's labels that tells its source. */
const SOURCE = [1, 9] as const;

export class EventCounters {
  readonly #resolutions = new Map<string, { readonly labels: readonly string[]; count: number }>();
  readonly #revoked = { source: 0, destination: 0 };
  #faults = 0;
  #toldFaultAtMs = Number.NEGATIVE_INFINITY;

  /** A hostname was resolved for a connection of that source. */
  resolved(traffic: Traffic, hostname: string): void {
    const labels = [...labelsOf(traffic, '-').slice(...SOURCE), hostname];
    const key = labels.join('\0');
    const series = this.#resolutions.get(key);
    if (series) series.count += 1;
    else if (this.#resolutions.size < MAX_EVENT_SERIES) this.#resolutions.set(key, { labels, count: 1 });
  }

  /** A peer was turned away, or cut off, because its certificate is revoked. */
  revoked(reporter: Traffic['reporter']): void {
    this.#revoked[reporter] += 1;
  }

  /**
   * A connection ended by something wrong in this proxy.
   *
   * @returns Whether the log should tell of it, too: what is wrong with one may be wrong with ten thousand.
   */
  fault(nowMs: number): boolean {
    this.#faults += 1;
    if (nowMs < this.#toldFaultAtMs + FAULT_LOG_MS) return false;
    this.#toldFaultAtMs = nowMs;
    return true;
  }

  report(): readonly MetricReport[] {
    return [
      {
        name: 'istio_on_demand_dns',
        type: 'counter',
        labelNames: [...TRAFFIC_LABELS.slice(...SOURCE), 'hostname'],
        samples: [...this.#resolutions.values()].map(({ labels, count }) => ({ labels, value: count })),
      },
      {
        name: 'istio_crl_policy_rejections',
        type: 'counter',
        labelNames: ['reporter'],
        samples: (['source', 'destination'] as const)
          .filter((reporter) => this.#revoked[reporter] > 0)
          .map((reporter) => ({ labels: [reporter], value: this.#revoked[reporter] })),
      },
      {
        name: 'ambit_ztunnel_faults',
        type: 'counter',
        labelNames: [],
        samples: [{ labels: [], value: this.#faults }],
      },
    ];
  }
}
