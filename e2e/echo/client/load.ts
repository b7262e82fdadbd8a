/**
 * A steady load: so many requests a second, each due at its own time whatever became of those before (a slow answer
 * does not thin the load out), with counts that a suite reads while it runs and afterwards. What is due while the process
 * itself stands still is not asked: all at once, it would be another load.
 *
 * A held connection that the other side closed between two requests is opened anew, which is counted but no failure. One
 * that ends under a request has failed it, but for a close that crossed the request: as HTTP clients do, that one is asked
 * once more on a new connection, and counted.
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { type LoadError, type LoadOrder, type LoadReport, SLOW_MS } from '../messages.ts';
import type { Answer, Opening } from './conversation.ts';
import { HeldConnection } from './held-connection.ts';
import { DEFAULT_TIMEOUT_MS, dial, failureText, STOOD_STILL_MS, within } from './request.ts';

const MAX_ERRORS_KEPT = 20;
const MAX_SLOW_KEPT = 20;
const MAX_SERVERS_KEPT = 50;
const MAX_REQUESTS_PER_SECOND = 2_000;
const MAX_CONNECTIONS = 500;
const MAX_IN_FLIGHT = 5_000;
const MAX_DURATION_MS = 1_800_000;
const MICROSECONDS_PER_MS = 1_000;

/** @throws RangeError naming what is out of bounds. */
export function checkOrder({ connections, requestsPerSecond, durationMs }: LoadOrder): void {
  const bounded = (name: string, value: number, max: number) => {
    if (!(value > 0 && value <= max)) throw new RangeError(`${name} must be above 0 and at most ${max}`);
  };
  bounded('requestsPerSecond', requestsPerSecond, MAX_REQUESTS_PER_SECOND);
  bounded('durationMs', durationMs, MAX_DURATION_MS);
  if (connections !== 'new') bounded('connections', connections, MAX_CONNECTIONS);
}

export class Load {
  readonly #order: LoadOrder;
  readonly #beganAt = performance.now();
  readonly #latencyUs = createHistogram();
  readonly #stepsUs = { name: createHistogram(), connect: createHistogram(), answer: createHistogram() };
  readonly #errors: LoadError[] = [];
  readonly #slow: { readonly atMs: number; readonly latencyMs: number }[] = [];
  readonly #servers = new Map<string, number>();
  readonly #held: HeldConnection[];
  readonly #work = new Set<Promise<void>>();
  readonly #ended: Promise<void>;
  #endAt: number;
  #wake: (() => void) | undefined;
  #ok = 0;
  #failed = 0;
  #lastOkAt = this.#beganAt;
  #longestGapMs = 0;
  #stoodStillMs = 0;
  #running = true;

  constructor(order: LoadOrder) {
    checkOrder(order);
    this.#order = order;
    this.#endAt = this.#beganAt + order.durationMs;
    const held = order.connections === 'new' ? 0 : order.connections;
    this.#held = Array.from({ length: held }, () => new HeldConnection(order));
    this.#ended = this.#run();
  }

  report(): LoadReport {
    const ms = (value: number) => (this.#ok === 0 ? 0 : value / MICROSECONDS_PER_MS);
    return {
      running: this.#running,
      elapsedMs: Math.round(performance.now() - this.#beganAt),
      ok: this.#ok,
      failed: this.#failed,
      reopened: this.#held.reduce((sum, { reopened }) => sum + reopened, 0),
      crossed: this.#held.reduce((sum, { crossed }) => sum + crossed, 0),
      errors: [...this.#errors],
      latencyMs: {
        p50: ms(this.#latencyUs.percentile(50)),
        p99: ms(this.#latencyUs.percentile(99)),
        max: ms(this.#latencyUs.max),
      },
      stepsMs: {
        name: stepOf(this.#stepsUs.name),
        connect: stepOf(this.#stepsUs.connect),
        answer: stepOf(this.#stepsUs.answer),
      },
      slow: [...this.#slow],
      stoodStillMs: Math.round(this.#stoodStillMs),
      longestGapMs: Math.round(this.#longestGapMs),
      servers: Object.fromEntries(this.#servers),
    };
  }

  /** Asks no more; resolves when what was asked is answered or has failed. */
  async end(): Promise<LoadReport> {
    this.#endAt = performance.now();
    this.#wake?.();
    await this.#ended;
    return this.report();
  }

  async #run(): Promise<void> {
    const everyMs = 1_000 / this.#order.requestsPerSecond;
    let dueAt = this.#beganAt;
    for (let i = 0; ; i++, dueAt += everyMs) {
      const lateMs = performance.now() - dueAt;
      if (lateMs > STOOD_STILL_MS) {
        this.#stoodStillMs += lateMs;
        dueAt += lateMs;
      }
      if (dueAt >= this.#endAt) break;
      await this.#until(dueAt);
      if (performance.now() >= this.#endAt) break;
      if (this.#work.size >= MAX_IN_FLIGHT) this.#fail(`more than ${MAX_IN_FLIGHT} requests under way`);
      else this.#track(this.#one(i));
    }
    await Promise.all(this.#work);
    for (const connection of this.#held) connection.close();
    this.#running = false;
  }

  /** Sleeps until then, or until the load is ended. */
  async #until(at: number): Promise<void> {
    const waitMs = at - performance.now();
    if (waitMs <= 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  #track(work: Promise<void>): void {
    this.#work.add(work);
    void work.finally(() => this.#work.delete(work));
  }

  async #one(index: number): Promise<void> {
    const began = performance.now();
    try {
      const held = this.#held[index % Math.max(this.#held.length, 1)];
      const { server, opening } = held
        ? { ...(await held.ask()), opening: undefined }
        : await askOnce(this.#order);
      const latencyMs = performance.now() - began;
      if (opening) this.#timeSteps(opening, latencyMs);
      this.#succeed(latencyMs, server?.pod);
    } catch (error) {
      this.#fail(failureText(error));
    }
  }

  #succeed(latencyMs: number, server: string | undefined): void {
    const now = performance.now();
    this.#ok++;
    this.#latencyUs.record(Math.max(1, Math.round(latencyMs * MICROSECONDS_PER_MS)));
    this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#lastOkAt);
    this.#lastOkAt = now;
    if (latencyMs > SLOW_MS && this.#slow.length < MAX_SLOW_KEPT)
      this.#slow.push({
        atMs: Math.round(now - latencyMs - this.#beganAt),
        latencyMs: Math.round(latencyMs),
      });
    if (server === undefined) return;
    const known = this.#servers.get(server);
    if (known !== undefined || this.#servers.size < MAX_SERVERS_KEPT)
      this.#servers.set(server, (known ?? 0) + 1);
  }

  #timeSteps({ nameMs, connectMs }: Opening, latencyMs: number): void {
    const record = (histogram: RecordableHistogram, ms: number) =>
      histogram.record(Math.max(1, Math.round(ms * MICROSECONDS_PER_MS)));
    record(this.#stepsUs.name, nameMs);
    record(this.#stepsUs.connect, connectMs);
    record(this.#stepsUs.answer, latencyMs - nameMs - connectMs);
  }

  #fail(error: string): void {
    this.#failed++;
    if (this.#errors.length < MAX_ERRORS_KEPT)
      this.#errors.push({ atMs: Math.round(performance.now() - this.#beganAt), error });
  }
}

function stepOf(histogram: RecordableHistogram): { readonly p50: number; readonly p99: number } {
  const at = (percentile: number) =>
    histogram.count === 0 ? 0 : histogram.percentile(percentile) / MICROSECONDS_PER_MS;
  return { p50: at(50), p99: at(99) };
}

async function askOnce(order: LoadOrder): Promise<Answer & { readonly opening: Opening | undefined }> {
  return await within(order.timeoutMs ?? DEFAULT_TIMEOUT_MS, async (signal) => {
    const conversation = await dial(order, false, signal);
    try {
      return { ...(await conversation.ask(signal)), opening: conversation.opening };
    } finally {
      conversation.close();
    }
  });
}
