/**
 * Counters and histograms that are found by the text of their labels, and written out piece by piece.
 *
 * Labels become text once, when a series is made: a request then costs an addition, and a scrape no formatting of labels.
 * Series are limited; what comes beyond shares one that names nobody, and is counted.
 */
import { MAX_LABEL_CHARS } from '../limits.ts';

/** Envoy's: milliseconds, or bytes. Upper bounds, without infinity. */
export const BUCKETS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000,
  1_800_000, 3_600_000,
];

/** Name and value; one without value is left out. */
export type Labels = readonly (readonly [name: string, value: string])[];

export class CounterSeries {
  readonly labels: string;
  value = 0;

  constructor(labels: string) {
    this.labels = labels;
  }

  *lines(name: string): Generator<string> {
    yield `${name}_total${inBraces(this.labels)} ${this.value}\n`;
  }
}

export class HistogramSeries {
  readonly labels: string;
  readonly #counts = new Float64Array(BUCKETS.length + 1);
  #sum = 0;

  constructor(labels: string) {
    this.labels = labels;
  }

  observe(value: number): void {
    let at = 0;
    while (at < BUCKETS.length && value > (BUCKETS[at] ?? 0)) at += 1;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sum += value;
  }

  *lines(name: string): Generator<string> {
    const before = this.labels === '' ? '' : `${this.labels},`;
    let text = '';
    let count = 0;
    for (const [at, bound] of BUCKETS.entries()) {
      count += this.#counts[at] ?? 0;
      text += `${name}_bucket{${before}le="${bound}"} ${count}\n`;
    }
    count += this.#counts[BUCKETS.length] ?? 0;
    const all = inBraces(this.labels);
    yield `${text}${name}_bucket{${before}le="+Inf"} ${count}\n${name}_sum${all} ${this.#sum}\n${name}_count${all} ${count}\n`;
  }
}

type Series = CounterSeries | HistogramSeries;

export class SeriesFamily<S extends Series> {
  readonly name: string;
  readonly #help: string;
  readonly #make: (labels: string) => S;
  readonly #maxSeries: number;
  readonly #series = new Map<string, S>();
  #shared: S | undefined;

  /** @param name - Without `_total`. */
  constructor(options: {
    readonly name: string;
    readonly help: string;
    readonly make: (labels: string) => S;
    readonly maxSeries: number;
  }) {
    this.name = options.name;
    this.#help = options.help;
    this.#make = options.make;
    this.#maxSeries = options.maxSeries;
  }

  /** `undefined` when there may be no further one. */
  seriesOf(labels: string): S | undefined {
    const known = this.#series.get(labels);
    if (known) return known;
    if (this.#series.size >= this.#maxSeries) return undefined;
    const made = this.#make(labels);
    this.#series.set(labels, made);
    return made;
  }

  /** Where everything goes that has no place of its own. */
  sharedSeries(labels: string): S {
    this.#shared ??= this.#make(labels);
    return this.#shared;
  }

  get size(): number {
    return this.#series.size;
  }

  /** OpenMetrics text, one series at a time; nothing without series. */
  *lines(): Generator<string> {
    const [first, ...others] = [this.#shared, ...this.#series.values()].filter((one) => one !== undefined);
    if (!first) return;
    const type = first instanceof CounterSeries ? 'counter' : 'histogram';
    yield `# HELP ${this.name} ${this.#help}.\n# TYPE ${this.name} ${type}\n`;
    yield* first.lines(this.name);
    for (const series of others) yield* series.lines(this.name);
  }
}

export function labelText(labels: Labels): string {
  return labels
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',');
}

function escaped(value: string): string {
  const text = value.length > MAX_LABEL_CHARS ? value.slice(0, MAX_LABEL_CHARS) : value;
  return /[\\"\n]/.test(text)
    ? text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
    : text;
}

function inBraces(labels: string): string {
  return labels === '' ? '' : `{${labels}}`;
}
