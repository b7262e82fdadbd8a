/**
 * What a worker counts of its connections, by Istio's labels.
 *
 * Opened and closed cannot diverge: a connection is a handle that is closed once. Bytes are added when somebody asks or the
 * connection ends, never per chunk. Series are limited; what comes beyond is counted under labels that say nothing.
 */
import type { MetricReport } from '../threads/messages.ts';
import { MAX_TRAFFIC_SERIES } from '../limits.ts';
import {
  labelsOf,
  type Party,
  type ResponseFlag,
  TRAFFIC_LABELS,
  type Traffic,
  UNKNOWN_PARTY,
} from './traffic.ts';

interface Series {
  readonly labels: readonly string[];
  opened: number;
  closed: number;
  failed: number;
  receivedBytes: number;
  sentBytes: number;
}

/** One connection, from open to closed. */
export interface CountedConnection {
  /** Bytes since the last call: from downstream to upstream, and back. */
  addBytes(received: number, sent: number): void;
  /** Once; later calls do nothing. */
  close(flag: ResponseFlag): void;
}

/** The last traffic between two parties, and its series. */
interface Recent {
  readonly traffic: Traffic;
  readonly series: Series;
}

export class TrafficCounters {
  readonly #series = new Map<string, Series>();
  /**
   * By source, then by destination; apart for the two ends, which may both be here. Labels cost more than the rest of
   * counting, and most connections repeat others.
   */
  readonly #recent = {
    source: new WeakMap<Party, WeakMap<Party, Recent>>(),
    destination: new WeakMap<Party, WeakMap<Party, Recent>>(),
  };
  readonly #maxSeries: number;
  readonly #open = { source: 0, destination: 0 };

  constructor(maxSeries: number = MAX_TRAFFIC_SERIES) {
    this.#maxSeries = maxSeries;
  }

  /** Counts a connection as opened. */
  open(traffic: Traffic): CountedConnection {
    const opened = this.#faultlessSeriesOf(traffic);
    opened.opened += 1;
    this.#open[traffic.reporter] += 1;
    let isOpen = true;
    return {
      addBytes: (received, sent) => {
        opened.receivedBytes += received;
        opened.sentBytes += sent;
      },
      close: (flag) => {
        if (!isOpen) return;
        isOpen = false;
        this.#open[traffic.reporter] -= 1;
        const closed = flag === '-' ? opened : this.#seriesOf(traffic, flag);
        closed.closed += 1;
        if (flag !== '-') closed.failed += 1;
      },
    };
  }

  report(): readonly MetricReport[] {
    const counter = (name: string, value: (series: Series) => number): MetricReport => ({
      name,
      type: 'counter',
      labelNames: TRAFFIC_LABELS,
      samples: [...this.#series.values()]
        .filter((series) => value(series) > 0)
        .map((series) => ({ labels: series.labels, value: value(series) })),
    });
    return [
      counter('istio_tcp_connections_opened', (series) => series.opened),
      counter('istio_tcp_connections_closed', (series) => series.closed),
      counter('istio_tcp_connections_failed', (series) => series.failed),
      counter('istio_tcp_received_bytes', (series) => series.receivedBytes),
      counter('istio_tcp_sent_bytes', (series) => series.sentBytes),
      {
        name: 'istio_tcp_sockets_open',
        type: 'gauge',
        labelNames: ['reporter'],
        samples: (['source', 'destination'] as const).map((reporter) => ({
          labels: [reporter],
          value: this.#open[reporter],
        })),
      },
    ];
  }

  #faultlessSeriesOf(traffic: Traffic): Series {
    const { reporter, source, destination } = traffic;
    const known = this.#recent[reporter].get(source);
    const recent = known?.get(destination);
    if (recent && isAlike(recent.traffic, traffic)) return recent.series;
    const series = this.#seriesOf(traffic, '-');
    if (known) known.set(destination, { traffic, series });
    else this.#recent[reporter].set(source, new WeakMap([[destination, { traffic, series }]]));
    return series;
  }

  #seriesOf(traffic: Traffic, flag: ResponseFlag): Series {
    const labels = labelsOf(traffic, flag);
    const key = labels.join('\0');
    const found = this.#series.get(key);
    if (found) return found;
    if (this.#series.size >= this.#maxSeries) {
      const anonymous = {
        ...traffic,
        source: UNKNOWN_PARTY,
        destination: UNKNOWN_PARTY,
        service: undefined,
      };
      const shared = labelsOf(anonymous, flag);
      return this.#add(shared.join('\0'), shared);
    }
    return this.#add(key, labels);
  }

  #add(key: string, labels: readonly string[]): Series {
    const found = this.#series.get(key);
    if (found) return found;
    const series = { labels, opened: 0, closed: 0, failed: 0, receivedBytes: 0, sentBytes: 0 };
    this.#series.set(key, series);
    return series;
  }
}

/** Of the same two parties, told by the same end: whether all the rest is the same too. */
function isAlike(one: Traffic, other: Traffic): boolean {
  return one.service === other.service && one.mutualTls === other.mutualTls;
}
