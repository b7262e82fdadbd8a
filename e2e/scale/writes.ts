/**
 * Changes written to the API server at a given pace, and how long each took to reach every client.
 *
 * A change is a label that shows in the pod's workload. Time runs from before the request is sent, so the API server's own
 * part is in it.
 */
import { systemClock } from '@ambit/core/clock';
import type { KubeClient } from '@ambit/kube/client';
import { pods } from '@ambit/kube/resources/core';
import type { Arrival, Clients } from './clients.ts';
import { nowMs, percentile } from './measure.ts';
import { pod, type Size, workloadName } from './population.ts';

export interface Pace {
  readonly changes: number;
  readonly everyMs: number;
}

export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Until the API server had answered the write: what of it is not ours. */
  readonly apiP50Ms: number;
  readonly apiP99Ms: number;
  /** From that answer on; a client may have the change before the writer has the answer. */
  readonly afterP50Ms: number;
  readonly afterP99Ms: number;
}

/** How long the last change may take to arrive everywhere. */
const ARRIVAL_TIMEOUT_MS = 20_000;
const POLL_MS = 100;
/** Successive runs begin elsewhere among the pods; a prime, so that services and nodes mix. */
const STRIDE = 37;

let revision = 0;

export async function measureWrites(options: {
  readonly admin: KubeClient;
  readonly clients: Clients;
  readonly clientCount: number;
  readonly size: Size;
  readonly pace: Pace;
}): Promise<Latency> {
  const { admin, clients, clientCount, size, pace } = options;
  await clients.collect();
  revision += 1;
  const body = { metadata: { labels: { 'app.kubernetes.io/version': `v${revision}` } } };
  const writtenMs = new Map<string, number>();
  const requests: Promise<number>[] = [];
  const answeredMs = new Map<string, number>();
  const startedMs = nowMs();
  for (let n = 0; n < pace.changes; n++) {
    await systemClock.sleep(Math.max(0, startedMs + n * pace.everyMs - nowMs()));
    const i = (n * STRIDE) % size.pods;
    const name = workloadName(i, size);
    const sentMs = nowMs();
    writtenMs.set(name, sentMs);
    const write = async () => {
      await admin.patch(pods, pod(i, size).metadata, { type: 'merge', body });
      answeredMs.set(name, nowMs());
      return nowMs() - sentMs;
    };
    requests.push(write());
  }
  const answers = await Promise.all(requests);
  const arrivals = await arrivalsOf(clients, writtenMs.size * clientCount);
  const since = (startsMs: ReadonlyMap<string, number>) =>
    arrivals.map(({ name, atMs }) => atMs - (startsMs.get(name) ?? Number.NaN));
  const latencies = since(writtenMs);
  const after = since(answeredMs);
  return {
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    maxMs: percentile(latencies, 1),
    apiP50Ms: percentile(answers, 0.5),
    apiP99Ms: percentile(answers, 0.99),
    afterP50Ms: percentile(after, 0.5),
    afterP99Ms: percentile(after, 0.99),
  };
}

async function arrivalsOf(clients: Clients, count: number): Promise<readonly Arrival[]> {
  const deadlineMs = nowMs() + ARRIVAL_TIMEOUT_MS;
  const arrivals: Arrival[] = [];
  while (arrivals.length < count) {
    if (nowMs() > deadlineMs)
      throw new Error(`${arrivals.length} of ${count} changes arrived within ${ARRIVAL_TIMEOUT_MS} ms`);
    await systemClock.sleep(POLL_MS);
    arrivals.push(...(await clients.collect()));
  }
  return arrivals;
}
