/**
 * Metrics of destinations, read from them when somebody scrapes: what of their circuit breakers is in use, how their
 * endpoints are doing, and how often requests were tried again.
 *
 * One set of labels for each destination, up to a limit; those beyond it share one, and so do single workloads, which clients
 * name at will.
 */
import { MAX_DESTINATIONS_TOLD } from '../limits.ts';
import { BREAKER_KINDS, type BreakerKind } from '../../upstream/breakers.ts';
import type { Cluster } from '../../upstream/cluster.ts';
import { labelText } from './series.ts';

/** Destinations that have their labels in common. */
interface Group {
  readonly labels: string;
  readonly clusters: Cluster[];
}

/** OpenMetrics text, a line at a time. */
export function* destinationLines(clusters: Iterable<Cluster>): Generator<string> {
  const groups = groupsOf(clusters);
  if (groups.length === 0) return;
  for (const { name, help, type, samples } of FAMILIES) {
    const suffix = type === 'counter' ? '_total' : '';
    yield `# HELP ${name} ${help} (unstable).\n# TYPE ${name} ${type}\n`;
    for (const { labels, clusters: all } of groups)
      for (const [own, value] of samples(all)) {
        const text = own === '' ? labels : `${labels},${own}`;
        yield `${name}${suffix}{${text}} ${value}\n`;
      }
  }
}

/** A label beside those of the destination, and the sum over a group. */
type Sample = readonly [label: string, value: number];

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter';
  readonly samples: (clusters: readonly Cluster[]) => readonly Sample[];
}

const WORDS: Readonly<Record<BreakerKind, string>> = {
  connections: 'connections',
  pendingRequests: 'pending_requests',
  requests: 'requests',
  retries: 'retries',
};

function perBreaker(value: (cluster: Cluster, kind: BreakerKind) => number): Family['samples'] {
  return (clusters) =>
    BREAKER_KINDS.map((kind) => [`what="${WORDS[kind]}"`, sum(clusters, (cluster) => value(cluster, kind))]);
}

const FAMILIES: readonly Family[] = [
  {
    name: 'ambit_waypoint_destination_in_use',
    help: 'Connections, requests that wait for one, requests and retries of a destination under way now',
    type: 'gauge',
    samples: perBreaker(({ breakers }, kind) => breakers.used(kind)),
  },
  {
    name: 'ambit_waypoint_destination_limit',
    help: 'How many of them there may be at a time',
    type: 'gauge',
    samples: perBreaker(({ breakers }, kind) => breakers.limits[kind]),
  },
  {
    name: 'ambit_waypoint_destination_refused',
    help: 'How often a circuit breaker stood in the way',
    type: 'counter',
    samples: perBreaker(({ breakers }, kind) => breakers.refused(kind)),
  },
  {
    name: 'ambit_waypoint_endpoints',
    help: 'Endpoints of a destination by how they are doing; one may be both ejected and failing its health checks',
    type: 'gauge',
    samples: (clusters) => {
      const count = (state: string, is: (endpoint: EndpointOf) => boolean): Sample => [
        `state="${state}"`,
        sum(clusters, ({ endpoints }) => [...endpoints].filter(is).length),
      ];
      return [
        count('healthy', ({ isHealthy }) => isHealthy),
        count('ejected', ({ ejected }) => ejected),
        count('failing_health_checks', ({ failedChecks }) => failedChecks),
      ];
    },
  },
  {
    name: 'ambit_waypoint_ejections',
    help: 'Endpoints left out for a while since requests to them failed',
    type: 'counter',
    samples: (clusters) => {
      const reasons = new Set(clusters.flatMap(({ counts }) => [...counts.ejections.keys()]));
      return [...reasons].map((reason) => [
        `reason="${reason}"`,
        sum(clusters, ({ counts }) => counts.ejections.get(reason) ?? 0),
      ]);
    },
  },
  {
    name: 'ambit_waypoint_retries',
    help: 'Further tries of requests',
    type: 'counter',
    samples: (clusters) => [['', sum(clusters, ({ breakers }) => breakers.retries)]],
  },
  {
    name: 'ambit_waypoint_retries_over_budget',
    help: 'Requests that were not tried again since too many requests were retries',
    type: 'counter',
    samples: (clusters) => [['', sum(clusters, ({ counts }) => counts.retriesOverBudget)]],
  },
  {
    name: 'ambit_waypoint_health_checks',
    help: 'Health checks by how they went',
    type: 'counter',
    samples: (clusters) => {
      const passed = sum(clusters, ({ counts }) => counts.passedChecks);
      const failed = sum(clusters, ({ counts }) => counts.failedChecks);
      const isChecked = passed + failed > 0;
      return isChecked ? [['result="passed"', passed] as const, ['result="failed"', failed] as const] : [];
    },
  },
];

type EndpointOf = Cluster['endpoints'] extends Iterable<infer E> ? E : never;

function sum(clusters: readonly Cluster[], of: (cluster: Cluster) => number): number {
  return clusters.reduce((total, cluster) => total + of(cluster), 0);
}

function groupsOf(clusters: Iterable<Cluster>): readonly Group[] {
  const groups = new Map<string, Group>();
  for (const cluster of clusters) {
    const own = labelsOf(cluster);
    const labels = groups.has(own) || groups.size < MAX_DESTINATIONS_TOLD ? own : OTHERS;
    const group = groups.get(labels) ?? { labels, clusters: [] };
    group.clusters.push(cluster);
    groups.set(labels, group);
  }
  return [...groups.values()];
}

const OTHERS = labelText([['destination', '(others)']]);
const WORKLOADS = labelText([['destination', '(workloads)']]);

function labelsOf({ source, subset }: Cluster): string {
  if (source.isFleeting) return WORKLOADS;
  return labelText([
    ['destination', source.hostname ?? source.name],
    ['port', String(source.port)],
    ['subset', subset],
  ]);
}
