/** What a waypoint counts of itself: how much is under way, what was turned away, what is held, how busy its loop is. */
import { performance } from 'node:perf_hooks';
import type { MetricRegistry } from '@ambit/core/metrics';
import type { QueueBudget } from '@ambit/hbone/queue-budget';
import type { Admission, PlacesReport } from '../exchange/admission.ts';

export interface OwnMetricsSources {
  readonly admission: Admission;
  readonly budget: QueueBudget;
  /** To endpoints. */
  readonly openTunnels: () => number;
}

export function ownMetrics(
  registry: MetricRegistry,
  { admission, budget, openTunnels }: OwnMetricsSources,
): void {
  const inUse = registry.gauge({
    name: 'ambit_waypoint_in_use',
    help: 'Requests, connections of clients, and lookups of names that clients bring, under way now',
    labels: ['what'],
  });
  const limit = registry.gauge({
    name: 'ambit_waypoint_limit',
    help: 'How many of them there may be at a time',
    labels: ['what'],
  });
  const refused = registry.counter({
    name: 'ambit_waypoint_refused',
    help: 'Requests, connections and lookups turned away: all places were taken, or the client had its share',
    labels: ['what', 'reason'],
  });
  const held = registry.gauge({
    name: 'ambit_waypoint_held_bytes',
    help: 'Bytes held for peers that do not read, or for another try',
  });
  const heldLimit = registry.gauge({
    name: 'ambit_waypoint_held_limit_bytes',
    help: 'How many of them there may be',
  });
  const evicted = registry.counter({
    name: 'ambit_waypoint_evicted',
    help: 'Times that whoever held most had to let go, since more was held than may be',
  });
  const tunnels = registry.gauge({ name: 'ambit_waypoint_upstream_tunnels', help: 'Tunnels to endpoints' });
  const busy = registry.counter({
    name: 'ambit_waypoint_loop_busy_seconds',
    help: 'Time in which the one loop that serves everything had something to do',
  });
  const counted = new Map<string, number>();
  /** By how much what is counted elsewhere has grown since the last look. */
  const rise = (key: string, now: number) => {
    const before = counted.get(key) ?? 0;
    counted.set(key, now);
    return now - before;
  };
  const places = (what: string, report: PlacesReport) => {
    inUse.set(report.taken, { what });
    limit.set(report.max, { what });
    for (const [reason, count] of Object.entries(report.refused))
      refused.inc({ what, reason }, rise(`${what} ${reason}`, count));
  };
  registry.beforeCollect(() => {
    for (const [what, report] of Object.entries(admission.report())) places(what, report);
    held.set(budget.usedBytes);
    heldLimit.set(budget.limitBytes);
    evicted.inc(undefined, rise('evictions', budget.evictions));
    tunnels.set(openTunnels());
    busy.inc(undefined, rise('busy', performance.eventLoopUtilization().active / 1_000));
  });
}
