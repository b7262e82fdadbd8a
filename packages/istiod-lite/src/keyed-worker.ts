/**
 * Work by key, done again until it succeeds: what a controller does.
 *
 * A key that is added while it waits is not added twice; one that is added while it is worked on is worked on again
 * afterwards, a moment later: there may be somebody who undoes what we do whenever we do it. Failures wait longer each
 * time; each cause of them is a warning once and then each hour, whatever else happens between. The queue is bounded by the
 * number of keys.
 */
import { Backoff } from '@ambit/core/backoff';
import type { Clock, Random, Timer } from '@ambit/core/clock';
import { codeOf, messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { ToldCauses } from '@ambit/core/told-causes';
import { statusOf } from '@ambit/kube/errors';
import {
  WRITE_AGAIN_MS,
  WRITE_CAUSES_TOLD,
  WRITE_CONCURRENCY,
  WRITE_FAILURE_TOLD_MS,
  WRITE_RETRY_INITIAL_MS,
  WRITE_RETRY_MAX_MS,
} from './limits.ts';

export interface KeyedWorkerOptions {
  /** Names the work in the log. */
  readonly name: string;
  readonly work: (key: string, signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** What has failed and is tried again. */
interface Failing {
  readonly backoff: Backoff;
  timer: Timer | undefined;
  readonly told: ToldCauses;
}

export class KeyedWorker implements AsyncDisposable {
  readonly #options: KeyedWorkerOptions;
  readonly #waiting = new Set<string>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #failing = new Map<string, Failing>();
  /** Keys that were worked on just now. */
  readonly #resting = new Map<string, Timer>();
  readonly #abort = new AbortController();

  constructor(options: KeyedWorkerOptions) {
    this.#options = options;
  }

  /** Keys that have failed and are tried again. */
  get failing(): Iterable<string> {
    return this.#failing.keys();
  }

  add(key: string): void {
    if (this.#abort.signal.aborted) return;
    this.#waiting.add(key);
    this.#next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    this.#waiting.clear();
    for (const { timer } of this.#failing.values()) timer?.cancel();
    for (const timer of this.#resting.values()) timer.cancel();
    await Promise.all(this.#running.values());
  }

  #next(): void {
    for (const key of this.#waiting) {
      if (this.#running.size >= WRITE_CONCURRENCY) return;
      if (this.#running.has(key) || this.#resting.has(key)) continue;
      this.#waiting.delete(key);
      // Not within this: what it asks for at once must find that it runs.
      this.#running.set(
        key,
        Promise.resolve().then(() => this.#work(key)),
      );
    }
  }

  async #work(key: string): Promise<void> {
    const { work } = this.#options;
    const { signal } = this.#abort;
    try {
      await work(key, signal);
      this.#failing.get(key)?.timer?.cancel();
      this.#failing.delete(key);
    } catch (error) {
      if (!signal.aborted) this.#failed(key, error);
    }
    this.#running.delete(key);
    if (signal.aborted) return;
    this.#rest(key);
    this.#next();
  }

  #rest(key: string): void {
    const timer = this.#options.clock.after(WRITE_AGAIN_MS, () => {
      this.#resting.delete(key);
      this.#next();
    });
    this.#resting.set(key, timer);
  }

  #failed(key: string, error: unknown): void {
    const { clock, random, name, log } = this.#options;
    const failing: Failing = this.#failing.get(key) ?? {
      backoff: new Backoff(
        { initialMs: WRITE_RETRY_INITIAL_MS, maxMs: WRITE_RETRY_MAX_MS, jitter: 0.2 },
        random,
      ),
      timer: undefined,
      told: new ToldCauses({ againMs: WRITE_FAILURE_TOLD_MS, most: WRITE_CAUSES_TOLD }),
    };
    this.#failing.set(key, failing);
    const waitMs = failing.backoff.nextMs();
    failing.timer?.cancel();
    failing.timer = clock.after(waitMs, () => this.add(key));
    const isNews = failing.told.isNews(causeOf(error), clock.monotonicMs());
    const about = { work: name, key, error: messageOf(error), waitMs };
    log[isNews ? 'warn' : 'debug']('not done, trying again', about);
  }
}

/** The same for failures that differ in words alone, such as in the version of an object. */
function causeOf(error: unknown): string {
  const code = codeOf(error);
  if (code === undefined) return messageOf(error);
  const cause = error instanceof Error && error.cause !== undefined ? causeOf(error.cause) : '';
  return `${code} ${statusOf(error) ?? ''} ${cause}`;
}
