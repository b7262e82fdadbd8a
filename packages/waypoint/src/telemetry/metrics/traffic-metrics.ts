/**
 * Counts requests and connections under Istio's names and labels.
 *
 * Series are found by identity of plan, source and destination, then by a short text: labels are made only when a set of
 * them is new. Parties are shared objects, so that this holds for nearly every request.
 */
import { type AnyRecord, isRequest } from '../expression/attributes.ts';
import { type Evaluate, textOf } from '@ambit/model/expression/compile';
import { MAX_CONNECTION_SERIES, MAX_REQUEST_SERIES } from '../limits.ts';
import { type Party, UNKNOWN_PARTY } from '../party.ts';
import type { ConnectionRecord, RequestRecord } from '../record.ts';
import { isGrpc } from '../../grpc.ts';
import { CONNECTION_LABELS, REQUEST_LABELS, seriesKeyOf, standardLabel } from './labels.ts';
import type { LabelValue, MetricKey, MetricsPlan } from './metrics-plan.ts';
import { CounterSeries, HistogramSeries, labelText, SeriesFamily } from './series.ts';

/** Series of one set of labels; a metric that is off has none. */
interface RequestSeries {
  readonly requests: CounterSeries | undefined;
  readonly duration: HistogramSeries | undefined;
  readonly requestBytes: HistogramSeries | undefined;
  readonly responseBytes: HistogramSeries | undefined;
  readonly requestMessages: CounterSeries | undefined;
  readonly responseMessages: CounterSeries | undefined;
}

interface ConnectionSeries {
  readonly opened: CounterSeries | undefined;
  readonly closed: CounterSeries | undefined;
  readonly sentBytes: CounterSeries | undefined;
  readonly receivedBytes: CounterSeries | undefined;
}

/** One connection, from open to closed. */
export interface CountedConnection {
  /** Bytes since the last call: from downstream to upstream, and back. */
  addBytes(received: number, sent: number): void;
  /** Once; later calls do nothing. */
  close(record: ConnectionRecord): void;
}

export interface TrafficMetricsLimits {
  readonly maxRequestSeries: number;
  readonly maxConnectionSeries: number;
}

const LIMITS: TrafficMetricsLimits = {
  maxRequestSeries: MAX_REQUEST_SERIES,
  maxConnectionSeries: MAX_CONNECTION_SERIES,
};

type Found<S> = WeakMap<MetricsPlan, WeakMap<Party, WeakMap<Party, Map<string, S>>>>;

export class TrafficMetrics {
  readonly #requests: SeriesFamily<CounterSeries>;
  readonly #duration: SeriesFamily<HistogramSeries>;
  readonly #requestBytes: SeriesFamily<HistogramSeries>;
  readonly #responseBytes: SeriesFamily<HistogramSeries>;
  readonly #requestMessages: SeriesFamily<CounterSeries>;
  readonly #responseMessages: SeriesFamily<CounterSeries>;
  readonly #opened: SeriesFamily<CounterSeries>;
  readonly #closed: SeriesFamily<CounterSeries>;
  readonly #sentBytes: SeriesFamily<CounterSeries>;
  readonly #receivedBytes: SeriesFamily<CounterSeries>;
  readonly #requestSeries: Found<RequestSeries> = new WeakMap();
  readonly #connectionSeries: Found<ConnectionSeries> = new WeakMap();
  #overflow = 0;

  constructor({ maxRequestSeries, maxConnectionSeries }: TrafficMetricsLimits = LIMITS) {
    const counter = (maxSeries: number, name: string, help: string) =>
      new SeriesFamily({ name, help, maxSeries, make: (labels) => new CounterSeries(labels) });
    const histogram = (maxSeries: number, name: string, help: string) =>
      new SeriesFamily({ name, help, maxSeries, make: (labels) => new HistogramSeries(labels) });
    const ofRequests = maxRequestSeries;
    this.#requests = counter(ofRequests, 'istio_requests', 'Requests that ended');
    this.#duration = histogram(
      ofRequests,
      'istio_request_duration_milliseconds',
      'Time from the first byte of a request to the last byte of its response',
    );
    this.#requestBytes = histogram(ofRequests, 'istio_request_bytes', 'Size of requests, with their headers');
    this.#responseBytes = histogram(
      ofRequests,
      'istio_response_bytes',
      'Size of responses, with their headers',
    );
    this.#requestMessages = counter(ofRequests, 'istio_request_messages', 'gRPC messages of clients');
    this.#responseMessages = counter(ofRequests, 'istio_response_messages', 'gRPC messages of servers');
    const ofConnections = maxConnectionSeries;
    this.#opened = counter(ofConnections, 'istio_tcp_connections_opened', 'TCP connections opened');
    this.#closed = counter(ofConnections, 'istio_tcp_connections_closed', 'TCP connections closed');
    this.#sentBytes = counter(ofConnections, 'istio_tcp_sent_bytes', 'Bytes of responses on TCP connections');
    this.#receivedBytes = counter(
      ofConnections,
      'istio_tcp_received_bytes',
      'Bytes of requests on TCP connections',
    );
  }

  /** Requests and connections that were counted under labels that name nobody, since there were too many sets of labels. */
  get overflow(): number {
    return this.#overflow;
  }

  countRequest(plan: MetricsPlan, record: RequestRecord): void {
    const series = this.#ofRequest(plan, record);
    if (series.requests) series.requests.value += 1;
    series.duration?.observe(record.durationMs);
    series.requestBytes?.observe(record.requestHeaderBytes + record.requestBodyBytes);
    series.responseBytes?.observe(record.responseHeaderBytes + record.responseBodyBytes);
    if (!isGrpc(record.request.fields)) return;
    if (series.requestMessages) series.requestMessages.value += record.requestMessages;
    if (series.responseMessages) series.responseMessages.value += record.responseMessages;
  }

  /** @param record - Of the connection as it begins. */
  openConnection(plan: MetricsPlan, record: ConnectionRecord): CountedConnection {
    const series = this.#ofConnection(plan, record);
    if (series.opened) series.opened.value += 1;
    let isOpen = true;
    return {
      addBytes: (received, sent) => {
        if (series.receivedBytes) series.receivedBytes.value += received;
        if (series.sentBytes) series.sentBytes.value += sent;
      },
      close: (ended) => {
        if (!isOpen) return;
        isOpen = false;
        const { closed } = this.#ofConnection(plan, ended);
        if (closed) closed.value += 1;
      },
    };
  }

  /** OpenMetrics text without its end, a series at a time. */
  *lines(): Generator<string> {
    yield* this.#requests.lines();
    yield* this.#duration.lines();
    yield* this.#requestBytes.lines();
    yield* this.#responseBytes.lines();
    yield* this.#requestMessages.lines();
    yield* this.#responseMessages.lines();
    yield* this.#opened.lines();
    yield* this.#closed.lines();
    yield* this.#sentBytes.lines();
    yield* this.#receivedBytes.lines();
  }

  #ofRequest(plan: MetricsPlan, record: RequestRecord): RequestSeries {
    const known = knownOf(this.#requestSeries, plan, record);
    const key = keyOf(plan, record);
    const found = known.get(key);
    if (found) return found;
    const finder = new SeriesFinder(plan, record);
    const series = {
      requests: finder.find('REQUEST_COUNT', this.#requests),
      duration: finder.find('REQUEST_DURATION', this.#duration),
      requestBytes: finder.find('REQUEST_SIZE', this.#requestBytes),
      responseBytes: finder.find('RESPONSE_SIZE', this.#responseBytes),
      requestMessages: finder.find('GRPC_REQUEST_MESSAGES', this.#requestMessages),
      responseMessages: finder.find('GRPC_RESPONSE_MESSAGES', this.#responseMessages),
    };
    if (finder.overflowed) this.#overflow += 1;
    else known.set(key, series);
    return series;
  }

  #ofConnection(plan: MetricsPlan, record: ConnectionRecord): ConnectionSeries {
    const known = knownOf(this.#connectionSeries, plan, record);
    const key = keyOf(plan, record);
    const found = known.get(key);
    if (found) return found;
    const finder = new SeriesFinder(plan, record);
    const series = {
      opened: finder.find('TCP_OPENED_CONNECTIONS', this.#opened),
      closed: finder.find('TCP_CLOSED_CONNECTIONS', this.#closed),
      sentBytes: finder.find('TCP_SENT_BYTES', this.#sentBytes),
      receivedBytes: finder.find('TCP_RECEIVED_BYTES', this.#receivedBytes),
    };
    if (finder.overflowed) this.#overflow += 1;
    else known.set(key, series);
    return series;
  }
}

/** Finds the series of one record in each family, and says whether one had no place. */
class SeriesFinder {
  readonly #plan: MetricsPlan;
  readonly #record: AnyRecord;
  /** Of metrics that share their labels; most do. */
  readonly #texts = new Map<unknown, string>();
  overflowed = false;

  constructor(plan: MetricsPlan, record: AnyRecord) {
    this.#plan = plan;
    this.#record = record;
  }

  find<S extends CounterSeries | HistogramSeries>(key: MetricKey, family: SeriesFamily<S>): S | undefined {
    const metric = this.#plan.metrics.get(key);
    if (!metric) return undefined;
    const text = this.#texts.get(metric.labels) ?? labelText(this.#values(metric.labels));
    this.#texts.set(metric.labels, text);
    const series = family.seriesOf(text);
    if (series) return series;
    this.overflowed = true;
    return family.sharedSeries(labelText(nobody(isRequest(this.#record))));
  }

  #values(labels: readonly (readonly [name: string, value: LabelValue])[]) {
    return labels.map(([name, value]) => [name, labelValue(value, this.#record)] as const);
  }
}

function knownOf<S>(found: Found<S>, plan: MetricsPlan, record: AnyRecord): Map<string, S> {
  const bySource = madeOnce(found, plan, () => new WeakMap<Party, WeakMap<Party, Map<string, S>>>());
  const byDestination = madeOnce(bySource, record.source, () => new WeakMap<Party, Map<string, S>>());
  return madeOnce(byDestination, record.destination ?? UNKNOWN_PARTY, () => new Map<string, S>());
}

function madeOnce<K extends object, V>(map: WeakMap<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known) return known;
  const made = make();
  map.set(key, made);
  return made;
}

function keyOf(plan: MetricsPlan, record: AnyRecord): string {
  const { service } = record;
  let key = `${seriesKeyOf(record)} ${service ? `${service.namespace}/${service.hostname}` : ''}`;
  for (const evaluate of plan.computed) key += `\0${computed(evaluate, record)}`;
  return key;
}

function labelValue(value: LabelValue, record: AnyRecord): string {
  switch (value.kind) {
    case 'standard':
      return standardLabel(value.label, record);
    case 'constant':
      return value.value;
    case 'computed':
      return computed(value.evaluate, record);
  }
}

function computed(evaluate: Evaluate<AnyRecord>, record: AnyRecord): string {
  return textOf(evaluate(record)) ?? 'unknown';
}

function nobody(isOfRequests: boolean) {
  const names = isOfRequests ? REQUEST_LABELS : CONNECTION_LABELS;
  return names.map((name) => [name, name === 'reporter' ? 'waypoint' : 'unknown'] as const);
}
