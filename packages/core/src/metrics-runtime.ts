/**
 * What Node itself tells of a process (event loop lag, heap, garbage collection, handles), by `prom-client`.
 *
 * For programs whose memory is not budgeted to the megabyte: it keeps performance observers of its own.
 */
import { collectDefaultMetrics, type MetricObjectWithValues, type MetricValue, Registry } from 'prom-client';
import type { MetricFamily, MetricSample, MetricType } from './metrics.ts';

const TYPES: readonly MetricType[] = ['counter', 'gauge', 'histogram'];

export class RuntimeMetrics implements Disposable {
  readonly #registry = new Registry();

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
  }

  /** As values now; all of them are unstable by our rule, since their names are Node's and prom-client's. */
  async collect(): Promise<readonly MetricFamily[]> {
    const metrics = await this.#registry.getMetricsAsJSON();
    return metrics.flatMap((metric) => familyOf(metric as MetricObjectWithValues<NamedValue>) ?? []);
  }

  [Symbol.dispose](): void {
    this.#registry.clear();
  }
}

type NamedValue = MetricValue<string> & { readonly metricName?: string };

function familyOf({
  name,
  help,
  type,
  values,
}: MetricObjectWithValues<NamedValue>): MetricFamily | undefined {
  const known = TYPES.find((one) => one === String(type));
  if (known === undefined || values.length === 0) return undefined;
  const base = known === 'counter' ? name.replace(/_total$/, '') : name;
  return {
    name: base,
    help: `${help} (unstable)`,
    type: known,
    samples: values.map((value) => sampleOf(base, known, value)),
  };
}

function sampleOf(base: string, type: MetricType, { metricName, labels, value }: NamedValue): MetricSample {
  const ending = metricName?.slice(base.length);
  const suffix = (['_bucket', '_sum', '_count'] as const).find((one) => one === ending);
  return {
    suffix: suffix ?? (type === 'counter' ? '_total' : ''),
    labels: Object.entries(labels).map(([label, text]) => [label, String(text)] as const),
    value,
  };
}
