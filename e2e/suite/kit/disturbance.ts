/**
 * A disturbance under load: what it does to requests on new connections and on held ones, as a row of a table.
 *
 * Suites assert counts and never times: a machine with two cores and other work would make those lie.
 */
import { writeSync } from 'node:fs';
import type { LoadReport } from '../../echo/messages.ts';
import type { EchoPod } from './echo-pod.ts';

/**
 * Requests a second on new connections, and as many on held ones. A suite asks for little, so that a busy machine is not
 * the disturbance; the benchmark sets the rate that Ambit is compared at.
 */
const PER_SECOND = Number(process.env['AMBIT_E2E_REQUESTS_PER_SECOND'] ?? 40);
const HELD_CONNECTIONS = 20;
/** Far beyond what any answer takes: a request fails because it was lost, not because the machine is busy. */
const TIMEOUT_MS = 30_000;
const BEFORE_MS = 1_500;
const AFTER_MS = 1_500;

export interface Loads {
  readonly perSecond?: number;
  readonly heldConnections?: number;
  /** How long the load goes on when the disturbance is over. */
  readonly afterMs?: number;
}

export interface Disturbed {
  readonly fresh: LoadReport;
  readonly held: LoadReport;
  /** How long the disturbance took. */
  readonly tookMs: number;
}

export interface Row extends Disturbed {
  readonly what: string;
  readonly besides: string;
}

/**
 * Loads `host` from `client`, runs `disturb` meanwhile, and goes on for a moment. It begins when nothing is lost without a
 * disturbance: how soon after its start an application is reached is none.
 */
export async function underLoad(
  client: EchoPod,
  host: string,
  disturb: () => Promise<void>,
  { perSecond = PER_SECOND, heldConnections = HELD_CONNECTIONS, afterMs = AFTER_MS }: Loads = {},
): Promise<Disturbed> {
  await client.settledOn({ host });
  const fresh = await client.load({
    host,
    connections: 'new',
    requestsPerSecond: perSecond,
    timeoutMs: TIMEOUT_MS,
  });
  const held = await client.load({
    host,
    connections: heldConnections,
    requestsPerSecond: perSecond,
    timeoutMs: TIMEOUT_MS,
  });
  try {
    await Promise.all([fresh.hasServed(perSecond / 2), held.hasServed(heldConnections)]);
    await pause(BEFORE_MS);
    const began = performance.now();
    await disturb();
    const tookMs = performance.now() - began;
    await pause(afterMs);
    return { fresh: await fresh.end(), held: await held.end(), tookMs };
  } catch (error) {
    await Promise.allSettled([fresh.end(), held.end()]);
    throw error;
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** What was lost, a line for each kind of failure; empty where nothing may be lost and nothing was. */
export function lost({ fresh, held }: Disturbed): readonly string[] {
  return [...lostOf('new connections', fresh), ...lostOf('held connections', held)];
}

/** @param which - Heads each line. */
function lostOf(which: string, report: LoadReport): readonly string[] {
  const { failed, errors, elapsedMs, stoodStillMs } = report;
  // A load that did not ask has lost nothing, and shows nothing.
  if (stoodStillMs > elapsedMs / 2)
    return [`${which}: nothing was asked for ${stoodStillMs} of ${elapsedMs} ms, the machine stood still`];
  if (failed === 0) return [];
  const kinds = Map.groupBy(errors, ({ error }) => error);
  return [
    `${which}: ${failed} failed`,
    ...[...kinds].map(([error, all]) => {
      const [first = 0, ...later] = all.map(({ atMs }) => atMs);
      return `  ${all.length} of the first: ${error} (ended ${first} to ${later.at(-1) ?? first} ms after the start)`;
    }),
  ];
}

/** Rows as Markdown, for people and for docs. */
export function table(rows: readonly Row[]): string {
  const head = [
    'disturbance',
    'took',
    'new connections: failed / all',
    'p50 / p99 / max',
    'held: failed / all',
    'reopened',
    'p50 / p99 / max',
    'besides',
  ];
  const cells = rows.map(({ what, tookMs, fresh, held, besides }) => [
    what,
    `${(tookMs / 1_000).toFixed(1)} s`,
    `${fresh.failed} / ${fresh.ok + fresh.failed}`,
    latencies(fresh),
    `${held.failed} / ${held.ok + held.failed}`,
    held.crossed === 0 ? String(held.reopened) : `${held.reopened}, ${held.crossed} under a request`,
    latencies(held),
    [besides, standstill(fresh), steps(fresh), slowest('new', fresh), slowest('held', held)]
      .filter((part) => part !== '')
      .join('; '),
  ]);
  const line = (parts: readonly string[]) => `| ${parts.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...cells.map(line)].join('\n');
}

function standstill({ stoodStillMs }: LoadReport): string {
  return stoodStillMs === 0 ? '' : `the load stood still for ${stoodStillMs} ms`;
}

/** Where new connections waited, most of them and the slowest hundredth. */
function steps({ stepsMs }: LoadReport): string {
  const parts = Object.entries(stepsMs).map(
    ([step, { p50, p99 }]) => `${step} ${p50.toFixed(1)} / ${p99.toFixed(0)}`,
  );
  return `new, p50 / p99 of each step: ${parts.join(', ')} ms`;
}

/** When the slow ones began, so that a reader can tell what held them up. */
function slowest(which: string, { slow }: LoadReport): string {
  if (slow.length === 0) return '';
  const each = slow.map(({ atMs, latencyMs }) => `${latencyMs} ms at ${(atMs / 1_000).toFixed(1)} s`);
  return `${which}, slow: ${each.slice(0, 5).join(', ')}`;
}

function latencies({ latencyMs: { p50, p99, max } }: LoadReport): string {
  return `${p50.toFixed(1)} / ${p99.toFixed(1)} / ${max.toFixed(0)} ms`;
}

/** Past jest, which gathers what is written and loses some of it when it is made to exit. */
export function say(text: string): void {
  writeSync(process.stdout.fd, text);
}

/** Rows of one suite; printed when it ends. */
export class Rows {
  readonly #rows: Row[] = [];

  add(what: string, disturbed: Disturbed, besides = ''): void {
    this.#rows.push({ what, besides, ...disturbed });
  }

  print(): void {
    if (this.#rows.length > 0) say(`\n${table(this.#rows)}\n\n`);
  }
}
