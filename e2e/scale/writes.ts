/**
 * Changes written to the API server at a given pace, and how long each took to reach every client.
 *
 * A change is a label that shows in the pod's workload. Time runs from before the request is sent, so the API server's own
 * part is in it; the same changes can be written with nobody watching, which tells how much of that part is its own.
 */
import { systemClock } from '@ambit/core/clock';
import { pathOf } from '@ambit/kube/resource';
import { pods } from '@ambit/kube/resources/core';
import type { Arrival, Clients } from './clients.ts';
import { nowMs, percentile } from './measure.ts';
import { pod, type Size, workloadName } from './population.ts';
import type { Write, Writer } from './writer.ts';

export interface Pace {
  readonly changes: number;
  readonly everyMs: number;
}

/** Until the API server had answered the write: what of it is not ours. */
export interface ApiLatency {
  readonly apiP50Ms: number;
  readonly apiP99Ms: number;
  readonly apiMaxMs: number;
}

export interface Latency extends ApiLatency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
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

export interface WriteOptions {
  readonly writer: Writer;
  readonly size: Size;
  readonly pace: Pace;
}

/** What the API server takes for the writes, whoever else there is. */
export async function measureAnswers(options: WriteOptions): Promise<ApiLatency> {
  return apiLatencyOf([...(await writeAll(options)).values()]);
}

export async function measureWrites(
  options: WriteOptions & { readonly clients: Clients; readonly clientCount: number },
): Promise<Latency> {
  const { clients, clientCount } = options;
  await clients.collect();
  const writes = await writeAll(options);
  const arrivals = await arrivalsOf(clients, writes.size * clientCount);
  const since = (start: (write: Write) => number) =>
    arrivals.map(({ name, atMs }) => {
      const write = writes.get(name);
      return write ? atMs - start(write) : Number.NaN;
    });
  const latencies = since(({ sentMs }) => sentMs);
  const after = since(({ answeredMs }) => answeredMs);
  return {
    ...apiLatencyOf([...writes.values()]),
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    maxMs: percentile(latencies, 1),
    afterP50Ms: percentile(after, 0.5),
    afterP99Ms: percentile(after, 0.99),
  };
}

/** By name of the workload that changes. */
async function writeAll({ writer, size, pace }: WriteOptions): Promise<ReadonlyMap<string, Write>> {
  revision += 1;
  const numbers = Array.from({ length: pace.changes }, (_, n) => (n * STRIDE) % size.pods);
  const writes = await writer.write({
    paths: numbers.map((i) => pathOf(pods, pod(i, size).metadata)),
    body: JSON.stringify({ metadata: { labels: { 'app.kubernetes.io/version': `v${revision}` } } }),
    everyMs: pace.everyMs,
  });
  return new Map(writes.map((write, n) => [workloadName(numbers[n] ?? 0, size), write]));
}

function apiLatencyOf(writes: readonly Write[]): ApiLatency {
  const answers = writes.map(({ sentMs, answeredMs }) => answeredMs - sentMs);
  return {
    apiP50Ms: percentile(answers, 0.5),
    apiP99Ms: percentile(answers, 0.99),
    apiMaxMs: percentile(answers, 1),
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
