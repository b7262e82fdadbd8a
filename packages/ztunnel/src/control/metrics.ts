/**
 * What this process counts: the control thread's own, and the workers' summed, under Istio's names.
 *
 * A worker's counters restart with the process only, so sums never go back while it runs.
 */
import { formatMetrics, type MetricFamily, MetricRegistry, type MetricSample } from '@ambit/core/metrics';
import { processMetrics } from '@ambit/core/metrics-process';
import type { ClientObserver } from '@ambit/xds/client';
import { xdsMetrics } from '@ambit/xds/client-metrics';
import type { MetricReport } from '../threads/messages.ts';
import type { PodObserver } from './pods.ts';

/** Words for the workers' metrics. Any other is told as it comes, and is unstable. */
const WORKER_HELP: Readonly<Record<string, { readonly help: string; readonly stable: boolean }>> = {
  istio_tcp_connections_opened: { help: 'The total number of TCP connections opened', stable: true },
  istio_tcp_connections_closed: { help: 'The total number of TCP connections closed', stable: true },
  istio_tcp_received_bytes: {
    help: 'The size of total bytes received during request in case of a TCP connection',
    stable: true,
  },
  istio_tcp_sent_bytes: {
    help: 'The size of total bytes sent during response in case of a TCP connection',
    stable: true,
  },
  istio_tcp_connections_failed: { help: 'The total number of TCP connections that failed', stable: false },
  istio_tcp_sockets_open: { help: 'The number of TCP sockets open now', stable: false },
  istio_on_demand_dns: { help: 'The total number of hostnames resolved for connections', stable: false },
  istio_crl_policy_rejections: {
    help: 'The total number of connections with a revoked certificate',
    stable: false,
  },
  ambit_ztunnel_faults: {
    help: 'The total number of connections that ended by something wrong in this proxy',
    stable: false,
  },
  istio_crl_untracked_connections: {
    help: 'The total number of tunnels that revocation cannot end',
    stable: false,
  },
};

export interface ControlMetricsOptions {
  /** The version shown in `istio_build`. */
  readonly tag: string;
  readonly podCount: (state: 'Up' | 'Pending') => number;
  /** The workers' counts, for one scrape. */
  readonly workerReports: () => Promise<readonly (readonly MetricReport[])[]>;
}

export class ControlMetrics {
  readonly registry = new MetricRegistry();
  readonly xds: ClientObserver;
  readonly pods: PodObserver;
  readonly #options: ControlMetricsOptions;

  constructor(options: ControlMetricsOptions) {
    this.#options = options;
    const { registry } = this;
    const build = registry.gauge({
      name: 'istio_build',
      help: 'Istio component build info',
      labels: ['component', 'tag'],
      stable: true,
    });
    build.set(1, { component: 'ztunnel', tag: options.tag });
    this.xds = xdsMetrics(registry);
    this.pods = podObserver(registry, options.podCount);
    processMetrics(registry);
  }

  async scrape(): Promise<string> {
    const reports = await this.#options.workerReports();
    return formatMetrics([...mergedReports(reports), ...this.registry.collect()]);
  }
}

function podObserver(registry: MetricRegistry, count: ControlMetricsOptions['podCount']): PodObserver {
  const active = registry.gauge({
    name: 'workload_manager_active_proxy_count',
    help: 'Pods that are served',
  });
  const pending = registry.gauge({
    name: 'workload_manager_pending_proxy_count',
    help: 'Pods that could not be served so far',
  });
  const started = registry.counter({ name: 'workload_manager_proxies_started', help: 'Pods started' });
  const stopped = registry.counter({ name: 'workload_manager_proxies_stopped', help: 'Pods stopped' });
  started.inc(undefined, 0);
  stopped.inc(undefined, 0);
  registry.beforeCollect(() => {
    active.set(count('Up'));
    pending.set(count('Pending'));
  });
  return { started: () => started.inc(), stopped: () => stopped.inc() };
}

/** Sums what several workers counted, series by series. */
export function mergedReports(reports: readonly (readonly MetricReport[])[]): readonly MetricFamily[] {
  const families = new Map<string, { report: MetricReport; series: Map<string, MetricSample> }>();
  for (const report of reports.flat()) {
    const family = families.get(report.name) ?? { report, series: new Map<string, MetricSample>() };
    families.set(report.name, family);
    for (const { labels: values, value } of report.samples) {
      const key = values.join('\u0000');
      const known = family.series.get(key);
      const labels = known?.labels ?? labelsOf(report.labelNames, values);
      const suffix = report.type === 'counter' ? '_total' : '';
      family.series.set(key, { suffix, labels, value: (known?.value ?? 0) + value });
    }
  }
  return [...families.values()].map(({ report: { name, type }, series }) => {
    const known = WORKER_HELP[name];
    const help = known?.help ?? 'Counted by the data workers';
    return { name, type, help: known?.stable ? help : `${help} (unstable)`, samples: [...series.values()] };
  });
}

function labelsOf(names: readonly string[], values: readonly string[]): MetricSample['labels'] {
  return names.flatMap((name, i) => (values[i] ? [[name, values[i]] as const] : []));
}
