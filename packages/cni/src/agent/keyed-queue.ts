/**
 * Work on keys: never two at once on one key, a few keys at a time, and a failed one again after a while. Asking for a key
 * that waits changes nothing; asking for one that is being worked on runs it once more afterwards. What keeps failing for the
 * same reason is news once and then each hour.
 */
import { Backoff } from '@ambit/core/backoff';
import type { Clock, Random } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { ToldCauses } from '@ambit/core/told-causes';
import {
  CONCURRENT_PODS,
  FAILURE_TOLD_AGAIN_MS,
  RETRY_INITIAL_MS,
  RETRY_MAX_MS,
  RETRY_WARNED_MS,
} from './limits.ts';

export interface KeyedQueueOptions {
  /** A rejection is a failure that is worth another attempt. */
  readonly work: (key: string, signal: AbortSignal) => Promise<void>;
  readonly onFailure: (key: string, error: unknown, failure: Failure) => void;
  readonly clock: Clock;
  readonly random: Random;
}

export interface Failure {
  /** Until the next attempt. */
  readonly retryMs: number;
  /** Whether it is worth a warning: it does not pass by itself, and was not told lately. */
  readonly isNews: boolean;
}

/** A key whose last attempt failed. */
interface Failing {
  readonly backoff: Backoff;
  readonly told: ToldCauses;
}

export class KeyedQueue implements AsyncDisposable {
  readonly #options: KeyedQueueOptions;
  readonly #waiting = new Set<string>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #failing = new Map<string, Failing>();
  readonly #again = new Set<string>();
  readonly #abort = new AbortController();

  constructor(options: KeyedQueueOptions) {
    this.#options = options;
  }

  /** Keys that wait or are being worked on. */
  get size(): number {
    return this.#waiting.size + this.#running.size;
  }

  add(key: string): void {
    if (this.#abort.signal.aborted) return;
    if (this.#running.has(key)) this.#again.add(key);
    else this.#waiting.add(key);
    this.#next();
  }

  /** Runs `work` of one key as soon as nothing else works on it, and passes its outcome on; no retry. */
  async exclusively<T>(key: string, work: () => Promise<T>): Promise<T> {
    while (this.#running.has(key)) await this.#running.get(key);
    const outcome = Promise.resolve().then(work);
    const done = outcome.then(
      () => undefined,
      () => undefined,
    );
    this.#running.set(key, done);
    try {
      return await outcome;
    } finally {
      this.#finish(key);
    }
  }

  /** Nothing new is begun; resolves when what runs has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    this.#waiting.clear();
    await Promise.all(this.#running.values());
  }

  #next(): void {
    for (const key of this.#waiting) {
      if (this.#running.size >= CONCURRENT_PODS || this.#abort.signal.aborted) return;
      if (this.#running.has(key)) continue;
      this.#waiting.delete(key);
      // Not within this: what it asks for at once must find that it runs.
      this.#running.set(
        key,
        Promise.resolve().then(() => this.#run(key)),
      );
    }
  }

  async #run(key: string): Promise<void> {
    const { work, onFailure, clock, random } = this.#options;
    const { signal } = this.#abort;
    try {
      await work(key, signal);
      this.#failing.delete(key);
    } catch (error) {
      if (!signal.aborted) {
        const failing = this.#failing.get(key) ?? newFailing(random);
        this.#failing.set(key, failing);
        const retryMs = failing.backoff.nextMs();
        // The first attempts follow each other in milliseconds; what passes by itself is no news.
        const lasts = retryMs >= RETRY_WARNED_MS;
        const isNews = lasts && failing.told.isNews(messageOf(error), clock.monotonicMs());
        onFailure(key, error, { retryMs, isNews });
        clock.after(retryMs, () => this.add(key));
      }
    } finally {
      this.#finish(key);
    }
  }

  #finish(key: string): void {
    this.#running.delete(key);
    if (this.#again.delete(key)) this.#waiting.add(key);
    this.#next();
  }
}

function newFailing(random: Random): Failing {
  return {
    backoff: new Backoff({ initialMs: RETRY_INITIAL_MS, maxMs: RETRY_MAX_MS, jitter: 0.2 }, random),
    told: new ToldCauses({ againMs: FAILURE_TOLD_AGAIN_MS }),
  };
}
