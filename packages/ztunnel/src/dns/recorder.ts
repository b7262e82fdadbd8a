/** What the DNS proxy counts: the metrics `istio_dns_*` under Istio's names. */
import type { Histogram, Counter, MetricRegistry } from '@ambit/core/metrics';

const LABELS = [
  'request_query_type',
  'request_protocol',
  'source_canonical_service',
  'source_canonical_revision',
] as const;

export type DnsLabels = Readonly<Record<(typeof LABELS)[number], string>>;

export interface DnsRecorder {
  request(labels: DnsLabels): void;
  upstreamRequest(labels: DnsLabels): void;
  upstreamFailure(labels: DnsLabels): void;
  upstreamAnswer(labels: DnsLabels, seconds: number): void;
}

export class DnsMetrics implements DnsRecorder {
  readonly #requests: Counter<(typeof LABELS)[number]>;
  readonly #upstreamRequests: Counter<(typeof LABELS)[number]>;
  readonly #upstreamFailures: Counter<(typeof LABELS)[number]>;
  readonly #upstreamDuration: Histogram<(typeof LABELS)[number]>;

  constructor(registry: MetricRegistry) {
    const counter = (name: string, help: string) => registry.counter({ name, help, labels: LABELS });
    this.#requests = counter('istio_dns_requests', 'Total number of DNS requests');
    this.#upstreamRequests = counter(
      'istio_dns_upstream_requests',
      'Total number of DNS requests forwarded to upstream',
    );
    this.#upstreamFailures = counter(
      'istio_dns_upstream_failures',
      'Total number of DNS requests that failed upstream',
    );
    this.#upstreamDuration = registry.histogram(
      {
        name: 'istio_dns_upstream_request_duration_seconds',
        help: 'Time in seconds until an upstream resolver answered',
        labels: LABELS,
      },
      [0.0005, 0.001, 0.01, 0.1, 1, 5],
    );
  }

  request(labels: DnsLabels): void {
    this.#requests.inc(labels);
  }

  upstreamRequest(labels: DnsLabels): void {
    this.#upstreamRequests.inc(labels);
  }

  upstreamFailure(labels: DnsLabels): void {
    this.#upstreamFailures.inc(labels);
  }

  upstreamAnswer(labels: DnsLabels, seconds: number): void {
    this.#upstreamDuration.observe(seconds, labels);
  }
}

const TYPES: Readonly<Record<number, string>> = {
  1: 'a',
  2: 'ns',
  5: 'cname',
  6: 'soa',
  12: 'ptr',
  15: 'mx',
  16: 'txt',
  28: 'aaaa',
  33: 'srv',
  35: 'naptr',
  43: 'ds',
  48: 'dnskey',
  64: 'svcb',
  65: 'https',
  255: 'any',
};

/** The name of a query type; all unknown ones share one, since a client could invent thousands. */
export function typeName(type: number): string {
  return TYPES[type] ?? 'other';
}
