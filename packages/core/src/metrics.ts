/**
 * Counters, gauges and histograms, and their OpenMetrics text.
 *
 * A family is declared once with its label names; a series is made by its first use, and an empty label value leaves its
 * label out. Values can come from elsewhere as well: a scrape merges any `MetricFamily` values (other threads').
 *
 * Invariant: names and labels of released metrics are API. Whatever is not stable says so in its help.
 */

/** `unknown` is what OpenMetrics calls a counter that does not end in `_total`. */
export type MetricType = 'counter' | 'gauge' | 'histogram' | 'unknown';

/** One line: `name + suffix`, its labels in order, its value. */
export interface MetricSample {
  readonly suffix: '' | '_total' | '_bucket' | '_sum' | '_count';
  readonly labels: readonly (readonly [name: string, value: string])[];
  readonly value: number;
}

export interface MetricFamily {
  /** Without `_total`. */
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly samples: readonly MetricSample[];
}

export interface MetricOptions<L extends string> {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly L[];
  /** Default false: the help then says "unstable". */
  readonly stable?: boolean;
}

/** Series of one family. Past it further ones are dropped: hostile names must not fill memory. */
export const MAX_SERIES_PER_METRIC = 50_000;

type LabelValues<L extends string> = Readonly<Record<L, string>>;

abstract class Family<L extends string, S> {
  readonly options: MetricOptions<L>;
  readonly #series = new Map<string, { readonly values: readonly string[]; readonly state: S }>();

  constructor(options: MetricOptions<L>) {
    this.options = options;
  }

  abstract readonly type: MetricType;
  protected abstract fresh(): S;
  protected abstract lines(state: S): readonly (readonly [MetricSample['suffix'], number, string?])[];

  protected series(labels: LabelValues<L> | undefined): S | undefined {
    const values = (this.options.labels ?? []).map((name) => labels?.[name] ?? '');
    const key = values.join('\u0000');
    const known = this.#series.get(key);
    if (known) return known.state;
    if (this.#series.size >= MAX_SERIES_PER_METRIC) return undefined;
    const state = this.fresh();
    this.#series.set(key, { values, state });
    return state;
  }

  /** Forgets one series, as when what it counts is gone. */
  remove(labels: LabelValues<L>): void {
    this.#series.delete((this.options.labels ?? []).map((name) => labels[name]).join('\u0000'));
  }

  family(): MetricFamily {
    const { name, help, stable, labels: names = [] } = this.options;
    const samples = [...this.#series.values()].flatMap(({ values, state }) => {
      const labels = names.flatMap((label, i) => (values[i] ? [[label, values[i]] as const] : []));
      return this.lines(state).map(
        ([suffix, value, le]): MetricSample => ({
          suffix,
          value,
          labels: le === undefined ? labels : [...labels, ['le', le]],
        }),
      );
    });
    return { name, help: stable ? help : `${help} (unstable)`, type: this.type, samples };
  }
}

interface CounterOptions<L extends string> extends MetricOptions<L> {
  /** Told under its own name, without `_total`: as Istio's control plane tells its counters. */
  readonly bare?: true;
}

export class Counter<L extends string = never> extends Family<L, { value: number }> {
  readonly type: MetricType;
  readonly #suffix: '' | '_total';

  constructor(options: CounterOptions<L>) {
    super(options);
    this.type = options.bare ? 'unknown' : 'counter';
    this.#suffix = options.bare ? '' : '_total';
  }

  inc(labels?: LabelValues<L>, by = 1): void {
    const series = this.series(labels);
    if (series) series.value += by;
  }

  protected fresh(): { value: number } {
    return { value: 0 };
  }

  protected lines({ value }: { value: number }) {
    return [[this.#suffix, value] as const];
  }
}

export class Gauge<L extends string = never> extends Family<L, { value: number }> {
  readonly type = 'gauge';

  set(value: number, labels?: LabelValues<L>): void {
    const series = this.series(labels);
    if (series) series.value = value;
  }

  add(by: number, labels?: LabelValues<L>): void {
    const series = this.series(labels);
    if (series) series.value += by;
  }

  protected fresh(): { value: number } {
    return { value: 0 };
  }

  protected lines({ value }: { value: number }) {
    return [['', value] as const];
  }
}

interface HistogramState {
  readonly counts: number[];
  sum: number;
  count: number;
}

export class Histogram<L extends string = never> extends Family<L, HistogramState> {
  readonly type = 'histogram';
  readonly #bounds: readonly number[];

  /** @param bounds - Upper bounds, rising, without infinity. */
  constructor(options: MetricOptions<L>, bounds: readonly number[]) {
    super(options);
    this.#bounds = bounds;
  }

  observe(value: number, labels?: LabelValues<L>): void {
    const series = this.series(labels);
    if (!series) return;
    const bucket = this.#bounds.findIndex((bound) => value <= bound);
    if (bucket >= 0) series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.sum += value;
    series.count += 1;
  }

  protected fresh(): HistogramState {
    return { counts: this.#bounds.map(() => 0), sum: 0, count: 0 };
  }

  protected lines({ counts, sum, count }: HistogramState) {
    let below = 0;
    const buckets = this.#bounds.map((bound, i) => {
      below += counts[i] ?? 0;
      return ['_bucket', below, formatNumber(bound)] as const;
    });
    return [
      ...buckets,
      ['_bucket', count, '+Inf'] as const,
      ['_sum', sum] as const,
      ['_count', count] as const,
    ];
  }
}

/** The families of one component, in the order in which they were declared. */
export class MetricRegistry {
  readonly #families: { family(): MetricFamily }[] = [];
  readonly #collectors: (() => void)[] = [];

  counter<L extends string = never>(options: CounterOptions<L>): Counter<L> {
    return this.#declare(new Counter(options));
  }

  gauge<L extends string = never>(options: MetricOptions<L>): Gauge<L> {
    return this.#declare(new Gauge(options));
  }

  histogram<L extends string = never>(options: MetricOptions<L>, bounds: readonly number[]): Histogram<L> {
    return this.#declare(new Histogram(options, bounds));
  }

  /** Called before each collection, to set gauges that are read and not counted. */
  beforeCollect(update: () => void): void {
    this.#collectors.push(update);
  }

  collect(): readonly MetricFamily[] {
    for (const update of this.#collectors) update();
    return this.#families.map((family) => family.family());
  }

  #declare<F extends { family(): MetricFamily }>(family: F): F {
    this.#families.push(family);
    return family;
  }
}

export const OPENMETRICS_CONTENT_TYPE = 'application/openmetrics-text;charset=utf-8;version=1.0.0';
export const PLAIN_METRICS_CONTENT_TYPE = 'text/plain; charset=utf-8';

/** The content type for what a scraper accepts; the text is the same in both cases. */
export function metricsContentType(accept: string | undefined): string {
  return accept?.includes('application/openmetrics-text')
    ? OPENMETRICS_CONTENT_TYPE
    : PLAIN_METRICS_CONTENT_TYPE;
}

/**
 * OpenMetrics text, which whoever reads Prometheus' older form understands too. Families without samples are left out.
 *
 * What is of no type says none: the two forms have different words for that, and refuse the other's.
 */
export function formatMetrics(families: Iterable<MetricFamily>): string {
  const parts: string[] = [];
  for (const { name, help, type, samples } of families) {
    if (samples.length === 0) continue;
    parts.push(`# HELP ${name} ${escapeHelp(help)}.\n`);
    if (type !== 'unknown') parts.push(`# TYPE ${name} ${type}\n`);
    for (const sample of samples) {
      parts.push(`${name}${sample.suffix}${formatLabels(sample.labels)} ${formatNumber(sample.value)}\n`);
    }
  }
  return `${parts.join('')}# EOF\n`;
}

function formatLabels(labels: MetricSample['labels']): string {
  if (labels.length === 0) return '';
  return `{${labels.map(([name, value]) => `${name}="${escapeLabel(value)}"`).join(',')}}`;
}

function formatNumber(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
